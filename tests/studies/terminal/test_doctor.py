"""The doctor on GPUs that are not here: what it would say of them."""

import sqlite3
from pathlib import Path

import pytest

from activations.errors import GateswapError, InputError
from bench.features import checksums
from studies.terminal import doctor
from studies.terminal.doctor import Gpu, gpu_checks
from studies.workspace import Workspace

H200 = Gpu("cuda:0", "NVIDIA H200", 150_000_000_000, 149_000_000_000, "9.0")
P100 = Gpu("cuda:1", "Tesla P100", 16 << 30, 15 << 30, "6.0")


def test_each_gpu_is_described_and_an_old_one_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_version", lambda _: "3.6.0")
    first, second = gpu_checks([H200, P100])
    assert (first.name, first.ok, first.remedy) == ("gpu", True, "")
    assert first.found == (
        "NVIDIA H200, 139.7 GiB of memory, 138.8 GiB free, compute capability 9.0, Triton 3.6.0"
    )
    assert (second.name, second.ok) == ("gpu 1", False)
    assert "--device cpu" in second.remedy


def test_a_gpu_without_triton_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_version", lambda _: None)
    (check,) = gpu_checks([H200])
    assert "Triton not installed" in check.found
    assert "pip install triton" in check.remedy


def test_no_gpu_is_nothing_that_is_needed_and_says_how_to_have_one() -> None:
    (check,) = gpu_checks([])
    assert not check.ok
    assert not check.needed
    assert "training runs on the CPU; for one: an NVIDIA driver" in check.remedy
    (broken,) = gpu_checks([], "RuntimeError: CUDA driver error")
    assert broken.found == "RuntimeError: CUDA driver error"


def test_every_byte_of_every_feature_store_is_compared(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert doctor._features(workspace) == "none yet"
    store = workspace.features / "abc"
    store.mkdir(parents=True)
    (store / "frames.npy").write_bytes(bytes(1000))
    (store / "settings.json").write_text('{"checksums": true}')
    checksums.write(store)
    assert doctor._features(workspace) == "1 store as it was written"
    (store / "frames.npy").write_bytes(bytes(999) + b"x")
    with pytest.raises(InputError, match=f"{store} is damaged"):
        doctor._features(workspace)


def test_a_synthesiser_that_is_installed_and_does_not_start_is_not_called_ok(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doctor._espeak().startswith("espeakng-loader ")
    (tmp_path / "espeakng_loader.py").write_text("raise OSError('libespeak-ng.so: no such file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(OSError, match=r"libespeak-ng\.so: no such file"):
        doctor._espeak()


def test_a_damaged_database_is_not_called_ok(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with sqlite3.connect(workspace.optuna_database) as database:
        database.execute("create table trials (name)")
        database.executemany("insert into trials values (?)", [("x" * 100,)] * 1000)
    database.close()
    assert "answers" in doctor._storage(workspace, "Optuna")
    content = bytearray(workspace.optuna_database.read_bytes())
    content[3 * 4096 : 4 * 4096] = bytes(4096)  # a page that a disk has lost
    workspace.optuna_database.write_bytes(content)
    with pytest.raises(GateswapError, match=r"optuna\.db does not answer: .* damaged"):
        doctor._storage(workspace, "Optuna")
