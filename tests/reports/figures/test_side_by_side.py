"""Figures drawn by forks: the same files, warnings and errors as one after the other."""

import subprocess
import sys
import textwrap
import threading
import warnings

import pytest

from reports.figures.side_by_side import side_by_side

PROCESS = textwrap.dedent("""
    import os, pathlib, sys, warnings
    import reports
    from activations.errors import InputError
    from reports.figures import gallery, side_by_side

    results = reports.example(["tanh", "elu"], ["gru"], seeds=1, utterances=40)
    analysis = reports.analyse(results)

    def noted(figure):
        warnings.warn(f"{figure.name} by {os.getpid()}")
        return figure.name

    with warnings.catch_warnings(record=True) as seen:
        names = side_by_side.side_by_side(noted, gallery.FIGURES)
    assert names == [figure.name for figure in gallery.FIGURES]
    said = [str(each.message).split(" by ") for each in seen]
    assert [name for name, _ in said] == names
    print(len({pid for _, pid in said} - {str(os.getpid())}))

    folder = pathlib.Path(sys.argv[1])
    for way in ("forks", "turns"):
        if way == "turns":
            side_by_side._forks_are_safe = lambda: False
        gallery.write_figures(analysis, folder / way, only=["cost", "scores"], formats=["svg"])
    for file in sorted((folder / "forks").iterdir()):
        assert file.read_bytes() == (folder / "turns" / file.name).read_bytes(), file
    try:
        side_by_side._forks_are_safe = lambda: True
        gallery.write_figures(analysis, folder / "none", only=["cost", "sensitivity"])
    except InputError as error:
        print(error)
""")


@pytest.mark.skipif(sys.platform != "linux", reason="figures are drawn by forks on Linux only")
def test_forks_draw_the_same_files_and_pass_warnings_and_errors_on(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    forks, error = done.stdout.splitlines()
    assert int(forks) >= 1
    assert "has nothing to show in figure 'sensitivity'" in error


def test_beside_another_thread_figures_are_drawn_here():
    ready = threading.Event()
    other = threading.Thread(target=ready.wait)
    other.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert (
                side_by_side(lambda _: threading.get_ident(), [None, None])
                == [  # type: ignore[list-item]
                    threading.get_ident()
                ]
                * 2
            )
    finally:
        ready.set()
        other.join()
