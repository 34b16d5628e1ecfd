"""Warming: what runs once in other processes, and what becomes of what does not run."""

from activations.speed.warm import run_once, warm


def test_layers_run_in_other_processes_and_each_is_reported_once() -> None:
    seen = []
    found = list(
        warm(
            ["tanh", "relu"],
            [4],
            ["ieee"],
            device="cpu",
            processes=1,
            progress=lambda *arguments: seen.append(arguments),
        )
    )
    assert {(each.activation, each.hidden, each.precision) for each in found} == {
        ("tanh", 4, "ieee"),
        ("relu", 4, "ieee"),
    }
    assert all(each.seconds > 0 and not each.error for each in found)
    assert seen == [(1, 2), (2, 2)]


def test_a_layer_that_cannot_run_is_told_and_raises_nothing() -> None:
    found = run_once(("swsh", 4, "ieee", "cpu"))
    assert "no activation 'swsh'" in found.error
