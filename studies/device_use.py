"""How much of the machine training uses: this process's cores and memory, and the GPUs.

- GPUs are asked by `nvidia-smi`, whose answer comes a second later and is read the next time: no
  training step waits for it.
"""

import os
import shutil
import subprocess
import time

from activations.kernels.cpu.limits import processors, resident_memory

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
        used = (cpu - self._cpu) / max(1e-3, now - self._at)
        self._cpu, self._at = cpu, now
        memory = resident_memory()
        held = f", {memory / GIB:.1f} GiB" if memory else ""
        return f"CPU {used:.1f} of {processors()} cores{held}"

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
    times = os.times()
    return times.user + times.system
