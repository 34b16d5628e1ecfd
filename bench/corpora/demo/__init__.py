"""The demo corpus: synthetic speech in IEMOCAP's exact layout, so that nothing needs a licence.

- It is real audio through the same adapter, features and folds as the real release. It is marked as
  synthetic by a file in its root, and everything that prints its numbers says so.
- The same seed gives the same bytes, however many processes speak.
- It appears under its name only when it is whole: a folder beside it is renamed at the end.
"""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from activations.errors import GateswapError, InputError
from activations.files import alone_in, atomically, file_text, sweep
from activations.kernels.cpu.limits import processors
from bench.corpora.demo import speak
from bench.corpora.demo.annotate import turn_ids, write_annotations
from bench.corpora.demo.plan import Dialogue, plan_corpus
from bench.corpora.iemocap import MOST_MARKER, SYNTHETIC_MARKER

__all__ = ["write_demo_corpus"]

REVISION = 3  # of the recipe: a demo of another revision is made again
NAME = "demo (synthetic speech)"
LARGEST_SEED = 2**63 - 1  # what random streams take
MOST_DIALOGUES = 1_000  # of a session: a hundred times the default, a day of speaking
# a file of any demo, also of another revision
_OF_A_DEMO = re.compile(
    r"Session\d/(dialog/(EmoEvaluation|transcriptions)/Ses0\d[FM]_\w+\.txt|"
    r"sentences/wav/Ses0\d[FM]_\w+/Ses0\d[FM]_\w+\.wav)"
)

Count = Callable[[int, int], None]


def write_demo_corpus(
    root: Path,
    *,
    seed: int = 0,
    dialogues_per_session: int = 10,
    jobs: int | None = None,
    progress: Count | None = None,
) -> Path:
    """Speak the demo corpus into the folder `root` and return it; some 24 turns a dialogue.

    jobs: processes that speak at once (default: one per core that this process may use); they do
    not change a byte.
    progress: called with (utterances spoken, utterances in all).
    A demo of the same settings that is there already is kept; one of other settings is replaced,
    unless something lies there that no demo wrote.
    Raises InputError when `root` holds anything else, cannot be written, or when espeak-ng is not
    installed; GateswapError when espeak-ng fails.
    """
    settings = {
        "name": NAME,
        "note": "Spoken by espeak-ng: numbers on this corpus say nothing about human emotion.",
        "revision": REVISION,
        "seed": seed,
        "dialogues_per_session": dialogues_per_session,
    }
    if not 0 <= seed <= LARGEST_SEED or not 1 <= dialogues_per_session <= MOST_DIALOGUES:
        raise InputError(
            f"the demo corpus needs a seed from 0 up to {LARGEST_SEED:,} and 1 to "
            f"{MOST_DIALOGUES:,} dialogues per session, not seed {seed} and {dialogues_per_session}"
        )
    root = Path(root).absolute()
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with alone_in(root.parent):  # the second of two waits, then finds the first one's demo
            sweep(root.parent, root.name)
            _make(root, settings, jobs or processors(), progress or (lambda _n, _all: None))
    except OSError as error:
        raise InputError(
            f"the demo corpus cannot be written to {root} ({error.strerror or error}); "
            "choose a folder that can be written"
        ) from error
    return root


def _make(root: Path, settings: Mapping[str, Any], jobs: int, progress: Count) -> None:
    """Speak the demo of these settings unless it is there."""
    present = _present(root)
    if present is not None and {name: present.get(name) for name in settings} == settings:
        return
    foreign = None if present is None else _foreign(root, present)
    if foreign is not None:
        raise InputError(
            f"{root} holds a demo corpus of other settings and {foreign}, which no demo wrote; "
            "move it away or choose another folder"
        )
    dialogues = plan_corpus(settings["seed"], settings["dialogues_per_session"])
    marker = json.dumps({**settings, "synthesiser": _synthesiser()}, indent=1) + "\n"
    with atomically(root) as new:
        _write(new, dialogues, jobs, progress)
        (new / SYNTHETIC_MARKER).write_text(marker, encoding="utf-8")


def _present(root: Path) -> dict[str, Any] | None:
    """The settings of the demo that is there, None where there is nothing.

    Raises InputError when there is anything but a demo.
    """
    try:
        if not root.exists() or (root.is_dir() and not any(root.iterdir())):
            return None
        marker = root / SYNTHETIC_MARKER
        if marker.stat().st_size <= MOST_MARKER:
            settings = json.loads(file_text(marker))
            if settings["name"] == NAME:
                return dict(settings)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass  # whatever is there, no demo wrote it
    raise InputError(
        f"{root} is there and is no demo corpus; choose a folder that is empty or does not exist"
    )


def _foreign(root: Path, settings: Mapping[str, Any]) -> str | None:
    """The first file below `root` that a demo of these settings does not have."""
    seed, size = settings.get("seed"), settings.get("dialogues_per_session")
    written: set[str] = set()
    known = settings.get("revision") == REVISION and isinstance(seed, int) and isinstance(size, int)
    if known and int(str(seed)) >= 0 and 1 <= int(str(size)) <= MOST_DIALOGUES:
        for dialogue in plan_corpus(int(str(seed)), int(str(size))):
            session = f"Session{dialogue.session}"
            wavs = f"{session}/sentences/wav/{dialogue.name}"
            written |= {
                f"{session}/dialog/{kind}/{dialogue.name}.txt"
                for kind in ("EmoEvaluation", "transcriptions")
            }
            written |= {f"{wavs}/{name}.wav" for name in turn_ids(dialogue)}
    for folder, _, names in os.walk(root):
        for name in sorted(names):
            path = (Path(folder) / name).relative_to(root).as_posix()
            ours = path in written if written else _OF_A_DEMO.fullmatch(path)
            if not ours and path != SYNTHETIC_MARKER:
                return path
    return None


def _synthesiser() -> str:
    try:
        return f"espeakng-loader {version('espeakng-loader')}"
    except PackageNotFoundError:
        raise InputError(
            "the demo corpus is spoken by espeak-ng, which is not installed; "
            "pip install 'gateswap[demo]'"
        ) from None


def _write(root: Path, dialogues: Sequence[Dialogue], jobs: int, progress: Count) -> None:
    """Write audio, transcriptions and evaluations of all dialogues below `root`."""
    for dialogue in dialogues:
        session = root / f"Session{dialogue.session}"
        (session / "sentences" / "wav" / dialogue.name).mkdir(parents=True)
    total = sum(len(dialogue.turns) for dialogue in dialogues)
    spoken = 0
    lock = threading.Lock()

    def count() -> None:
        nonlocal spoken
        with lock:
            spoken += 1
            progress(spoken, total)

    # what one process speaks is fixed by the plan, not by `jobs`: see speak.py
    ordered = sorted(dialogues, key=_recording)
    parts = [list(part) for _, part in groupby(ordered, key=_recording)]
    pool = ThreadPoolExecutor(jobs)
    try:
        lengths = list(pool.map(lambda part: _speak(root, part, count), parts))
    finally:
        pool.shutdown(cancel_futures=True)
    for dialogue, samples in zip(chain(*parts), chain(*lengths), strict=True):
        seconds = [n / speak.RATE for n in samples]
        write_annotations(root / f"Session{dialogue.session}", dialogue, seconds)


def _recording(dialogue: Dialogue) -> str:
    """Session and marker, Ses01F … Ses05M: the share of one process."""
    return dialogue.name[:6]


def _speak(root: Path, part: Sequence[Dialogue], count: Callable[[], None]) -> list[list[int]]:
    """Speak some dialogues in one process; the number of samples of each turn, by dialogue."""
    work = []
    for dialogue in part:
        folder = root / f"Session{dialogue.session}" / "sentences" / "wav" / dialogue.name
        for name, turn in zip(turn_ids(dialogue), dialogue.turns, strict=True):
            path = str(folder / f"{name}.wav")
            work.append({"path": path, "speech": turn.speech, "room": turn.room})
    # -P: the modules beside the program are no top-level modules
    command = [sys.executable, "-P", str(Path(speak.__file__))]
    samples = []
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        with suppress(BrokenPipeError):  # it died already, and says why on its stderr
            process.stdin.write(json.dumps(work))
            process.stdin.close()
        for line in process.stdout:
            samples.append(int(line))
            count()
        complaint = process.stderr.read().strip()
    if process.returncode != 0 or len(samples) != len(work):
        last = complaint.splitlines()[-1] if complaint else f"exit status {process.returncode}"
        raise GateswapError(f"espeak-ng failed while speaking {part[0].name}: {last}")
    lengths = iter(samples)
    return [[next(lengths) for _ in dialogue.turns] for dialogue in part]
