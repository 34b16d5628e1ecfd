"""What the system grants: read from files as Linux lays them out, and held against real limits."""

import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from activations.kernels.cpu import limits

GIB = 1 << 30
MEMINFO = f"MemTotal: {16 << 20} kB\nMemFree: {1 << 20} kB\nMemAvailable: {8 << 20} kB\n"
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")


def machine(root: Path, files: Mapping[str, object]) -> Path:
    """A root folder with these files, and 8 of 16 GiB available."""
    for name, content in {"proc/meminfo": MEMINFO, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


def test_without_groups_what_is_available_is_free(tmp_path: Path) -> None:
    root = machine(tmp_path, {})
    assert limits.free_memory(root) == 8 * GIB
    assert limits.memory_limit(root) == 16 * GIB


def test_a_group_of_version_2_leaves_its_limit_less_what_it_uses(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/user.slice/job"
    root = machine(
        tmp_path,
        {
            "proc/self/cgroup": "0::/user.slice/job",
            f"{group}/memory.max": 4 * GIB,
            f"{group}/memory.high": "max",
            f"{group}/memory.current": 3 * GIB,
            f"{group}/memory.stat": f"anon {GIB}\ninactive_file {2 * GIB}",
            f"{group}/cpu.max": "250000 100000",
        },
    )
    assert limits.free_memory(root) == 3 * GIB
    assert limits.memory_limit(root) == 4 * GIB
    assert limits.processors(root) == min(2, limits.processors())


def test_the_tightest_of_the_groups_above_counts(tmp_path: Path) -> None:
    above, own = "sys/fs/cgroup/a", "sys/fs/cgroup/a/b"
    root = machine(
        tmp_path,
        {
            "proc/self/cgroup": "0::/a/b",
            f"{above}/memory.max": 2 * GIB,
            f"{above}/memory.current": GIB,
            f"{own}/memory.max": "max",
            f"{own}/memory.current": GIB // 2,
            f"{above}/cpu.max": "50000 100000",
        },
    )
    assert limits.free_memory(root) == GIB
    assert limits.processors(root) == 1  # half a processor still needs a thread


def test_a_group_of_version_1_counts_too_seen_from_inside_a_container(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/memory"  # the path in /proc/self/cgroup is the host's
    root = machine(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/",
            f"{group}/memory.limit_in_bytes": 2 * GIB,
            f"{group}/memory.usage_in_bytes": GIB,
            f"{group}/memory.stat": f"inactive_file 1\ntotal_inactive_file {GIB // 2}",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "100000",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
        },
    )
    assert limits.free_memory(root) == 3 * GIB // 2
    assert limits.processors(root) == 1


def test_a_group_without_a_limit_does_not_limit(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/memory/job"
    root = machine(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/job\n3:cpu:/job",
            f"{group}/memory.limit_in_bytes": 9223372036854771712,
            f"{group}/memory.usage_in_bytes": GIB,
            "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000",
        },
    )
    assert limits.free_memory(root) == 8 * GIB
    assert limits.processors(root) == limits.processors()


def test_hyper_threads_of_one_core_count_once(tmp_path: Path) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    place = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    together = {place.format(cpu): "0-127" for cpu in allowed}
    assert limits.cores(machine(tmp_path / "one", together)) == 1
    apart = {place.format(cpu): cpu for cpu in allowed}
    assert limits.cores(machine(tmp_path / "many", apart)) == limits.processors()


def test_what_the_system_does_not_tell_is_unknown(tmp_path: Path) -> None:
    assert limits.free_memory(tmp_path) is None
    assert limits.resident_memory(tmp_path) is None


@needs_linux
def test_this_machine_tells() -> None:
    free, most = limits.free_memory(), limits.memory_limit()
    assert free is not None
    assert most is not None
    assert 0 < free < most
    resident = limits.resident_memory()
    assert resident is not None
    assert 0 < resident < most


@needs_linux
@pytest.mark.parametrize("name", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_a_resource_limit_leaves_what_can_really_be_had(name: str) -> None:
    code = (
        "import mmap, resource\n"
        "from activations.kernels.cpu import limits\n"
        f"before = resource.getrlimit(resource.{name})[1]\n"
        f"resource.setrlimit(resource.{name}, (3 << 30, before))\n"
        "free = limits.free_memory()\n"
        "kept = mmap.mmap(-1, free - (32 << 20), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
        "try:\n"
        "    mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
        "except OSError:\n"
        "    print('refused', free < 3 << 30)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    if limits.free_memory() < 3 << 30 or resource.getrlimit(resource.RLIMIT_AS)[0] != -1:
        pytest.skip("this machine has less than the limit of the test")
    assert done.stdout == "refused True\n", done.stderr
