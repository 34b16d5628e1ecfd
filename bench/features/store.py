"""The frames of a whole corpus on disk: computed once, in parallel, and never half there.

- A store is found by what it contains: its folder's name is a hash of the corpus's content and of
  the settings. Nothing is ever overwritten, and a changed corpus is simply another store.
- Computing takes minutes and may be interrupted by anything. Parts survive it (`parts.py`), the
  next call continues with them, and the finished folder appears by one rename.
- Utterances differ in length by a factor of fifty, so frames lie end to end in one array without
  padding, which training maps into memory.
"""

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from activations.errors import GateswapError, InputError
from activations.files import alone_in, atomically, sweep
from activations.kernels.cpu.limits import processors
from bench.arrays import IntArray
from bench.features import checksums
from bench.features.frames import FeatureStore, adopt, damaged
from bench.features.moments import Moments, normalisation
from bench.features.parts import Part, Utterance, compute_part, load_part
from bench.features.settings import FeatureSettings
from bench.features.workers import Task, compute_parts

if TYPE_CHECKING:
    from bench.corpora.corpus import Corpus

Count = Callable[[int, int], None]

WEARER = re.compile(r"Ses\d\d[FM]_")
PART_SIZE = 24  # utterances: a second or two of work, which is what an interruption can lose


def compute_features(
    corpus: "Corpus",
    folder: Path,
    *,
    settings: FeatureSettings | None = None,
    jobs: int | None = None,
    progress: Count | None = None,
) -> FeatureStore:
    """The features of `corpus` as a store below `folder`: opened if it exists, else computed.

    jobs: processes, by default one per core that this process may use; 1 computes in this one.
    progress: called as progress(done, total) with numbers of utterances, first with what an
    interrupted call left.
    Raises InputError for audio that is missing or cannot be used (naming the first such file) and
    for a folder that cannot be written; GateswapError where a process died. KeyboardInterrupt
    passes through. In each case finished parts are kept and no store appears.
    """
    settings = settings or FeatureSettings()
    report = progress or (lambda *_: None)
    _check_audio(corpus, needed=settings.path is None)
    check_wearers(corpus, settings)
    try:
        key = settings.key(corpus.fingerprint)
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}.") from None
    target = Path(folder) / key
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with alone_in(Path(folder)):  # the second of two waits, then finds the first one's store
            if not target.exists():
                _compute(corpus, target, settings, jobs or processors(), report)
            elif not (target / checksums.FILE).exists():
                adopt(target)
    except OSError as error:
        raise InputError(
            f"{folder}: features cannot be written there ({error.strerror or error}). "
            f"Make room or choose another folder with --workspace."
        ) from None
    report(len(corpus), len(corpus))
    made = FeatureStore.open(target)
    if made.key != key or made.ids != tuple(corpus.table["id"].astype(str).tolist()):
        raise InputError(damaged(target, "its utterances are not the corpus's"))
    return made


def check_wearers(corpus: "Corpus", settings: FeatureSettings) -> None:
    """Raise InputError where normalising by marker wearer is asked of ids that name none."""
    if settings.normalise != "wearer":
        return
    for utterance in corpus.table["id"].astype(str):
        if not WEARER.match(utterance):
            raise InputError(
                "features.normalise: wearer needs IEMOCAP's ids (Ses01F_impro01_M003); "
                f"{utterance} names no marker wearer. Take features.normalise: speaker"
            )


def _check_audio(corpus: "Corpus", *, needed: bool) -> None:
    if corpus.faults:
        more = f" ({len(corpus.faults) - 1:,} more such faults)" if len(corpus.faults) > 1 else ""
        raise InputError(f"{corpus.faults[0]}{more}; mend the audio or remove its utterances")
    if not len(corpus):
        raise InputError(f"{corpus.root}: corpus {corpus.name} has no utterances.")
    if not needed:
        return
    missing = [str(path) for path in corpus.table["audio"] if not Path(str(path)).is_file()]
    if missing:
        raise InputError(
            f"{len(missing):,} of {len(corpus):,} audio files of corpus {corpus.name} are missing, "
            f"the first is {missing[0]}. Copy them again, or remove their utterances."
        )


def _compute(
    corpus: "Corpus", target: Path, settings: FeatureSettings, jobs: int, report: Count
) -> None:
    """Compute what `target` shall hold and write it; `target` does not exist before or in part."""
    parts_folder = target.with_name(f".{target.name}.parts")
    sweep(target.parent)
    parts_folder.mkdir(exist_ok=True)
    parts = _compute_parts(corpus, parts_folder, settings, jobs, report)
    about = {
        "key": target.name,
        "corpus": {
            "name": corpus.name,
            "fingerprint": corpus.fingerprint,
            "synthetic": corpus.synthetic,
        },
        "settings": settings.as_dict(),
        "notes": dict(Counter(note for part in parts for note in part.notes if note)),
        "checksums": True,
    }
    _write_store(target, parts, _groups(corpus, settings), corpus, settings, about)
    shutil.rmtree(parts_folder)


def _groups(corpus: "Corpus", settings: FeatureSettings) -> NDArray[Any] | None:
    """By what each utterance's frames are normalised here, [U]; None: they are not."""
    if settings.normalise in ("none", "corpus"):
        return None
    ids, speakers = (corpus.table[column].astype(str).tolist() for column in ("id", "speaker"))
    if settings.normalise == "wearer":
        return np.asarray([utterance[:6] for utterance in ids])
    return np.asarray(speakers)


@dataclass(frozen=True, eq=False)
class _PartFile:
    """A part on disk, and all of it but its frames, which together may not fit into memory."""

    path: Path
    first: int
    lengths: IntArray
    moments: Moments
    notes: tuple[str, ...]

    def part(self) -> Part:
        """All of it. Raises GateswapError where it is gone."""
        part = load_part(self.path, self.first, len(self.lengths))
        if part is None:
            raise GateswapError(
                f"{self.path}: a part that was just computed is gone. Run it again."
            )
        return part


def _compute_parts(
    corpus: "Corpus", folder: Path, settings: FeatureSettings, jobs: int, report: Count
) -> list[_PartFile]:
    """All parts of the corpus in order, those that `folder` lacks computed by `jobs` processes."""
    utterances = [
        Utterance(str(audio), str(name), *stretch)
        for audio, name, stretch in zip(
            corpus.table["audio"], corpus.table["id"], corpus.stretches, strict=True
        )
    ]
    firsts = range(0, len(utterances), PART_SIZE)
    batches = {first: tuple(utterances[first : first + PART_SIZE]) for first in firsts}
    paths = {first: folder / f"{first:08d}.npz" for first in firsts}
    missing = [
        first for first in firsts if load_part(paths[first], first, len(batches[first])) is None
    ]
    done = len(utterances) - sum(len(batches[first]) for first in missing)
    report(done, len(utterances))
    tasks = [(paths[first], first, batches[first], settings) for first in missing]
    for count in _run(tasks, min(jobs, len(tasks))):
        done += count
        report(done, len(utterances))
    parts = []
    for first in firsts:
        part = load_part(paths[first], first, len(batches[first]))
        if part is None:
            raise GateswapError(f"{folder}: a part that was just computed is gone. Run it again.")
        moments = Moments(part.counts, part.means, part.squares)
        parts.append(_PartFile(paths[first], first, part.lengths, moments, part.notes))
        if part.means.shape[1] != parts[0].moments.means.shape[1]:
            raise InputError(
                f"{folder}: utterances have {parts[0].moments.means.shape[1]} and "
                f"{part.means.shape[1]} features; all must have equally many"
            )
    return parts


def _run(tasks: list[Task], jobs: int) -> Iterator[int]:
    """`compute_part` of each task, in `jobs` processes; its results in the order they come."""
    if jobs > 1:
        yield from compute_parts(tasks, jobs)
        return
    for task in tasks:
        yield compute_part(*task)


def _write_store(
    target: Path,
    parts: list[_PartFile],
    groups: NDArray[Any] | None,
    corpus: "Corpus",
    settings: FeatureSettings,
    about: dict[str, Any],
) -> None:
    """Write the store beside `target`, part by part, then move it there."""
    moments = Moments(
        *(
            np.concatenate([getattr(part.moments, name) for part in parts])
            for name in ("counts", "means", "squares")
        )
    )
    centre, scale = normalisation(moments, groups)
    lengths = np.concatenate([part.lengths for part in parts])
    ids = np.asarray(corpus.table["id"].astype(str).tolist())
    with atomically(target) as building:
        building.mkdir()
        frames = np.lib.format.open_memmap(
            building / "frames.npy",
            mode="w+",
            dtype=np.float32,
            shape=(int(lengths.sum()), centre.shape[1]),
        )
        at = 0
        for part in parts:
            own = slice(part.first, part.first + len(part.lengths))
            normal = part.part().normalised(centre[own], scale[own], settings)
            if not np.isfinite(normal).all():
                raise GateswapError(f"features of corpus {corpus.name} are not finite.")
            frames[at : at + len(normal)] = normal
            at += len(normal)
        frames.flush()
        np.savez(building / "index.npz", lengths=lengths, ids=ids)
        if settings.normalise == "corpus":
            np.savez(building / "moments.npz", **vars(moments))
        text = json.dumps(about, indent=1, ensure_ascii=False) + "\n"
        (building / "settings.json").write_text(text, encoding="utf-8")
        checksums.write(building)
