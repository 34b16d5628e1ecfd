from activations.wording import counted


def test_one_thing_is_singular_and_none_or_many_are_plural():
    assert [counted(n, "fold") for n in (0, 1, 2)] == ["0 folds", "1 fold", "2 folds"]
    assert counted(1, "study", "studies") == "1 study"
    assert counted(12_000, "study", "studies") == "12,000 studies"
