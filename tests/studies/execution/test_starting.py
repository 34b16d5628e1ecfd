"""A worker's process: a fork that is as if it had been started by this process, now."""

import os
import signal
import sys
from multiprocessing.connection import Connection, Pipe

import pytest
import torch

from studies.execution.starting import serve, start

CPU = torch.device("cpu")


def tell(home: Connection) -> None:
    """What a process finds, and that it ends with its code."""
    home.send((dict(os.environ), sys.path, os.getcwd(), hasattr(sys.modules["__main__"], "pytest")))
    signal.raise_signal(signal.SIGINT)
    sys.exit(3)


@pytest.mark.parametrize("devices", [[CPU], [CPU, torch.device("cuda")]])
def test_a_worker_has_the_environment_of_now_and_neither_hears_ctrl_c_nor_runs_the_main_script(
    devices: list[torch.device], monkeypatch: pytest.MonkeyPatch
) -> None:
    serve()
    monkeypatch.setenv("GATESWAP_IN_A_TEST", "set after the fork server had started")
    monkeypatch.delenv("PATH")
    here, there = Pipe()
    process = start(devices, tell, there)
    there.close()
    environment, path, folder, is_pytest = here.recv()
    process.join(60)
    assert process.exitcode == 3
    for name in ("GATESWAP_IN_A_TEST", "PATH", "PYTHONPATH", "PYTHONSAFEPATH"):
        assert environment.get(name) == os.environ.get(name)
    assert path == sys.path
    assert folder == os.getcwd()
    assert not is_pytest
