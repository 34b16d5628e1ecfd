"""How much of the machine training uses: cores and memory of this process and those that it started
(workers), and the GPUs.

- GPUs are asked by `nvidia-smi`, whose answer comes a second later and is read the next time: no
  training step waits for it.
"""

import mmap
import os
import shutil
import subprocess
import time
from pathlib import Path

from activations.kernels.cpu.limits import processors, resident_memory
from activations.wording import counted

GIB = 2**30
FRESH = 20.0  # seconds that an answer of nvidia-smi is good for


class DeviceUse:
    """What was used since it was asked last. gpus: whether training is on some."""

    def __init__(self, *, gpus: bool = False) -> None:
        self._cpu, self._at = _cpu_seconds(), time.monotonic()
        self._command = shutil.which("nvidia-smi") if gpus else None
        self._asked: subprocess.Popen[str] | None = None
        self._answer, self._answered = "", -FRESH

    def text(self) -> str:
        """`CPU 1.9 of 2 cores, 3.2 GiB · GPU 97 %, 12.3 of 80 GiB`; what is not known is left
        out.
        """
        parts = [self._cpu_text(), self._gpu_text() if self._command else ""]
        return " · ".join(filter(None, parts))

    def _cpu_text(self) -> str:
        cpu, now = _cpu_seconds(), time.monotonic()
        spent = max(0.0, cpu - self._cpu)  # what has ended counts no more
        # the system counts in ticks of 10 ms: over a shorter time there would be more than there is
        used = min(spent / max(1e-3, now - self._at), processors())
        self._cpu, self._at = cpu, now
        own = resident_memory()
        held = f", {(own + _held_by_workers()) / GIB:.1f} GiB" if own else ""
        return f"CPU {used:.1f} of {counted(processors(), 'core')}{held}"

    def _gpu_text(self) -> str:
        if self._asked is not None and self._asked.poll() is not None:
            out, _ = self._asked.communicate()
            self._answer, self._answered = _gpus(out), time.monotonic()
            self._asked = None
        if self._asked is None and time.monotonic() - self._answered > FRESH:
            fields = "utilization.gpu,memory.used,memory.total"
            command = [str(self._command), f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
            if visible := os.environ.get("CUDA_VISIBLE_DEVICES"):
                command.append(f"--id={visible}")
            self._asked = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        return self._answer


def _gpus(answer: str) -> str:
    """`nvidia-smi`'s lines "97, 12595, 81559" (percent, MiB, MiB), one for each GPU, as words."""
    parts = []
    for line in answer.splitlines():
        try:
            busy, used, total = (float(each) for each in line.split(","))
        except ValueError:
            continue
        parts.append(f"GPU {busy:.0f} %, {used / 1024:.1f} of {total / 1024:.0f} GiB")
    return " · ".join(parts)


def _cpu_seconds() -> float:
    """Of this process and of those running that it or they started."""
    times = os.times()
    ticks = 0
    for process in _started():
        # the name, which may hold anything, ends with the last parenthesis
        words = _read(process / "stat").rpartition(")")[2].split()
        ticks += sum(map(int, words[11:13]))
    return times.user + times.system + (ticks / os.sysconf("SC_CLK_TCK") if ticks else 0.0)


def _held_by_workers() -> int:
    """Bytes of memory of the processes that this one or they started, but for files that they map;
    what forks share counts once.
    """
    return sum(map(_held, _started()))


def _held(process: Path) -> int:
    for line in _read(process / "smaps_rollup").splitlines():
        if line.startswith("Pss_Anon:"):  # from Linux 5.4 on, where this may read it
            return int(line.split()[1]) << 10
    pages = list(map(int, _read(process / "statm").split()))
    return (pages[1] - pages[2]) * mmap.PAGESIZE if pages else 0


def _started(root: Path = Path("/proc/self")) -> list[Path]:
    """The folders in /proc of the processes that a process started, and of those that they did;
    none where there is no /proc.
    """
    lists = (root / "task").glob("*/children")
    own = [Path("/proc", number) for each in lists for number in _read(each).split()]
    return [process for child in own for process in (child, *_started(child))]


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # it has ended
        return ""
