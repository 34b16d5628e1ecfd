"""What this process may use of the machine: memory and processors.

- Memory that runs out is not refused on Linux: the process is killed and nothing is raised. So what
  is free is asked for before it is taken.
- A container or a batch system grants less than the machine has. Control groups say how much, in
  both of their versions; every group on the way to the root may limit, and the least counts. A
  resource limit (`ulimit -v`) counts, too.
- What the system does not tell is None, never a guess.
"""

import mmap
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_UNLIMITED = 1 << 60  # bytes; version 1 says "no limit" by the largest number of pages
_QUOTA = {2: ("cpu.max",), 1: ("cpu.cfs_quota_us", "cpu.cfs_period_us")}


def processor_name(root: Path = Path("/")) -> str:
    """The processor's name as the system tells it, or else what kind it is."""
    try:
        lines = (root / "proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


@dataclass(frozen=True)
class Group:
    """A control group: its folder, and the version of the hierarchy it is in."""

    folder: Path
    version: int


@dataclass(frozen=True)
class ResourceLimit:
    """A limit of this process alone: the option of `ulimit` that sets it, and bytes."""

    option: str
    most: int
    used: int


def free_memory(root: Path = Path("/")) -> int | None:
    """Bytes that can be had now without swapping; None where the system does not tell.

    root: where /proc and /sys lie.
    """
    free = [
        _meminfo(root, "MemAvailable"),
        *map(_free_in, groups("memory", root)),
        *(limit.most - limit.used for limit in resource_limits(root)),
    ]
    known = [each for each in free if each is not None]
    return max(0, min(known)) if known else None


def memory_limit(root: Path = Path("/")) -> int | None:
    """Bytes that this process could have at most, were nothing else running; None if unknown."""
    most = [_meminfo(root, "MemTotal"), *map(_limit_of, groups("memory", root))]
    known = [each for each in most if each is not None]
    if known:
        return min(known)
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")  # macOS
    except (AttributeError, ValueError, OSError):
        return None


def resident_memory(root: Path = Path("/")) -> int | None:
    """Bytes of memory that this process holds; None where the system does not tell."""
    pages = _pages(root)
    return pages[1] * mmap.PAGESIZE if len(pages) > 1 else None


def resource_limits(root: Path = Path("/")) -> Iterator[ResourceLimit]:
    """The resource limits that are set for this process, of address space and of private memory."""
    try:
        import resource
    except ImportError:  # Windows
        return
    pages = _pages(root)
    for option, name, place in (("-v", "RLIMIT_AS", 0), ("-d", "RLIMIT_DATA", 5)):
        most = resource.getrlimit(getattr(resource, name))[0]
        if most != resource.RLIM_INFINITY and len(pages) > place:
            yield ResourceLimit(option, most, pages[place] * mmap.PAGESIZE)


def processors(root: Path = Path("/")) -> int:
    """Processors' worth of time that this process may use, at least 1.

    Those it may run on, which schedulers and `taskset` narrow, and no more than its groups' quotas.
    """
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        allowed = os.cpu_count() or 1
    quotas = (_quota_of(group) for group in groups("cpu", root))
    shares = [int(quota) for quota in quotas if quota is not None]
    return max(1, min([allowed, *shares]))


def cores(root: Path = Path("/")) -> int:
    """`processors`, but one for each core: a second hyper-thread has no multiplier of its own.

    Where a quota is what limits, it is counted as it is.
    """
    allowed = getattr(os, "sched_getaffinity", lambda _: ())(0)
    siblings = set()
    for cpu in allowed:
        text = _read(root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        siblings.add(text or str(cpu))
    return max(1, min(len(siblings) or processors(root), processors(root)))


def groups(controller: str, root: Path = Path("/")) -> list[Group]:
    """The control groups that limit `controller` ("memory", "cpu") for this process.

    From its own up to the root of each hierarchy. Inside a container the own group's path may be
    the host's, which is not to be seen; what is mounted there is then the group itself.
    """
    found = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if number == "0" and not names:
            version, mounts = 2, ("sys/fs/cgroup/unified", "sys/fs/cgroup")
        elif controller in names.split(","):
            version, mounts = 1, (f"sys/fs/cgroup/{names}", f"sys/fs/cgroup/{controller}")
        else:
            continue
        mount = next((root / each for each in mounts if (root / each).is_dir()), None)
        if mount is not None:
            found += [Group(folder, version) for folder in _upwards(mount, path)]
    return found


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    """The folder of a group and those above it, as far as they are to be seen."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for count in range(len(parts), -1, -1):
        folder = mount.joinpath(*parts[:count])
        if folder.is_dir():
            yield folder


def _meminfo(root: Path, name: str) -> int | None:
    for line in _read(root / "proc/meminfo").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    return None


def _limit_of(group: Group) -> int | None:
    names = ("memory.max", "memory.high") if group.version == 2 else ("memory.limit_in_bytes",)
    limits = [_number(group.folder / name) for name in names]
    known = [each for each in limits if each is not None and each < _UNLIMITED]
    return min(known) if known else None


def _free_in(group: Group) -> int | None:
    """What a group's limit leaves; pages of files that can be dropped do not count as used."""
    limit = _limit_of(group)
    name = "memory.current" if group.version == 2 else "memory.usage_in_bytes"
    used = _number(group.folder / name)
    if limit is None or used is None:
        return None
    prefix = "" if group.version == 2 else "total_"
    droppable = 0
    for line in _read(group.folder / "memory.stat").splitlines():
        key, _, value = line.partition(" ")
        if key == f"{prefix}inactive_file":
            droppable = int(value)
    return limit - max(0, used - droppable)


def _pages(root: Path) -> list[int]:
    """This process's pages of memory: address space, resident, …; the sixth is private."""
    return [int(count) for count in _read(root / "proc/self/statm").split()]


def _quota_of(group: Group) -> float | None:
    """Processors' worth of time that a group may use; None without a limit."""
    words = [word for name in _QUOTA[group.version] for word in _read(group.folder / name).split()]
    if len(words) != 2 or words[0] in ("max", "-1"):
        return None
    return float(words[0]) / float(words[1])


def _number(path: Path) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdigit() else None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
