"""Folds of groups, of a corpus's own split, and dev sets that are large enough to choose on."""

import csv
import dataclasses
from io import StringIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activations.errors import InputError
from bench.data.examples import Examples
from bench.data.folds import each_fold, make_folds
from bench.data.protocol import Protocol
from bench.data.review import as_csv, fold_notes, review

CLASSES = ("ang", "hap", "neu", "sad")


def examples_of(rows: list[tuple[str, str, int]], split: list[str] | None = None) -> Examples:
    """rows: (speaker, dialogue, label) of each example."""
    speaker, dialog, labels = zip(*rows, strict=True)
    missing = np.full(len(rows), -1, dtype=np.int64)
    return Examples(
        classes=CLASSES,
        ids=np.array([f"u{i:04}" for i in range(len(rows))]),
        labels=np.array(labels, dtype=np.int64),
        current=np.arange(len(rows), dtype=np.int64),
        own=missing,
        other=missing,
        session=np.array(speaker),
        speaker=np.array(speaker),
        dialog=np.array(dialog),
        improvised=np.zeros(len(rows), dtype=np.bool_),
        split=np.array(split or [""] * len(rows)),
    )


def monologues(speakers: int = 12, each: int = 8) -> Examples:
    """Utterances without dialogues, every class equally often by every speaker."""
    return examples_of(
        [(f"s{s:03}", f"s{s:03}-{u}", u % 4) for s in range(speakers) for u in range(each)]
    )


def people(examples: Examples, rows: np.ndarray) -> set[str]:
    return set(examples.speaker[rows].tolist())


def test_groups_of_speakers_test_everybody_once_and_are_alike_in_classes() -> None:
    examples = monologues(13)
    folds = make_folds(examples, Protocol(test_unit="group", folds=4))
    assert [fold.name for fold in folds] == ["g1", "g2", "g3", "g4"]
    tested = np.concatenate([fold.test for fold in folds])
    assert sorted(tested.tolist()) == list(range(len(examples)))
    assert sorted(len(people(examples, fold.test)) for fold in folds) == [3, 3, 3, 4]
    for place, fold in enumerate(folds):
        assert not people(examples, fold.test) & people(examples, fold.train)
        following = folds[(place + 1) % 4]
        assert np.array_equal(fold.dev, following.test)  # dev: session is the next group


def test_speakers_who_converse_stay_in_one_group() -> None:
    rows = [(f"s{s}{p}", f"d{s}", u % 4) for s in range(6) for u in range(8) for p in "ab"]
    examples = examples_of(rows)
    for fold in make_folds(examples, Protocol(test_unit="group", folds=3)):
        talks = [set(examples.dialog[side].tolist()) for side in (fold.train, fold.dev, fold.test)]
        assert not talks[0] & talks[2]
        assert not talks[1] & talks[2]
    with pytest.raises(InputError, match=r"speakers who do not converse .* the corpus has 6; set"):
        make_folds(examples, Protocol(test_unit="group", folds=7))


def test_repeats_divide_differently_and_say_which_they_are() -> None:
    examples = monologues()
    folds = make_folds(examples, Protocol(test_unit="group", folds=3, repeats=4))
    assert [fold.name for fold in folds[:4]] == ["r1g1", "r1g2", "r1g3", "r2g1"]
    assert [fold.repeat for fold in folds] == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    divisions = {
        frozenset(frozenset(people(examples, f.test)) for f in folds if f.repeat == repeat)
        for repeat in range(4)
    }
    assert len(divisions) == 4
    other = make_folds(examples, Protocol(test_unit="group", folds=3, fold_seed=1))
    assert [set(f.test.tolist()) for f in other] != [set(f.test.tolist()) for f in folds[:3]]


def test_more_repeats_than_there_are_divisions_are_refused_with_how_many_there_are() -> None:
    protocol = Protocol(test_unit="group", folds=2, repeats=5, dev="utterances")
    with pytest.raises(InputError, match=r"protocol.repeats: after 3 different .* set .*: 3"):
        make_folds(monologues(4), protocol)


def test_a_group_does_not_depend_on_the_order_of_the_rows() -> None:
    examples = monologues(10)
    back = np.arange(len(examples))[::-1]
    turned = dataclasses.replace(
        examples,
        **{
            name: getattr(examples, name)[back]
            for name in ("ids", "labels", "session", "speaker", "dialog", "split")
        },
    )
    protocol = Protocol(test_unit="group", folds=3, dev="speakers")
    for one, other in zip(
        make_folds(examples, protocol), make_folds(turned, protocol), strict=True
    ):
        assert people(examples, one.test) == people(turned, other.test)
        assert people(examples, one.dev) == people(turned, other.dev)


def test_dev_speakers_are_several_and_neither_train_nor_test() -> None:
    examples = monologues(11)
    for fold in make_folds(examples, Protocol(test_unit="speaker", dev="speakers")):
        sides = [people(examples, side) for side in (fold.train, fold.dev, fold.test)]
        assert [len(side) for side in sides] == [8, 2, 1]
        assert len(set.union(*sides)) == 11


def test_dev_speakers_on_two_sides_of_a_dialogue_bring_their_partner_along() -> None:
    rows = [(f"s{s}{p}", f"d{s}", u % 4) for s in range(6) for u in range(8) for p in "ab"]
    examples = examples_of(rows)
    for fold in make_folds(examples, Protocol(test_unit="speaker", dev="speakers")):
        assert len(people(examples, fold.dev)) % 2 == 0
        assert not people(examples, fold.dev) & people(examples, fold.train)


def test_dev_utterances_are_a_share_of_every_speaker_and_class() -> None:
    examples = monologues(6, 40)
    for fold in make_folds(examples, Protocol(test_unit="speaker", dev="utterances")):
        assert people(examples, fold.dev) == people(examples, fold.train)
        assert np.bincount(examples.labels[fold.dev]).tolist() == [10, 10, 10, 10]
        of_each = [int((examples.speaker[fold.dev] == s).sum()) for s in people(examples, fold.dev)]
        assert of_each == [8] * 5


def test_dev_utterances_of_dialogues_are_refused_with_the_way_out() -> None:
    rows = [(f"s{s}", f"d{s}", u % 4) for s in range(6) for u in range(8)]
    protocol = Protocol(test_unit="speaker", dev="utterances")
    with pytest.raises(InputError, match=r"dialogue d2 is in the train and in the dev set; where "):
        make_folds(examples_of(rows), protocol)


def test_without_a_dev_set_everything_else_trains() -> None:
    protocol = Protocol(test_unit="speaker", dev="none", selection="last")
    for fold in make_folds(monologues(4), protocol):
        assert (len(fold.train), len(fold.dev), len(fold.test)) == (24, 0, 8)


def test_two_speakers_work_where_utterances_are_held_out_and_are_refused_otherwise() -> None:
    examples = monologues(2, 20)
    assert len(make_folds(examples, Protocol(test_unit="speaker", dev="utterances"))) == 2
    with pytest.raises(InputError, match=r"needs at least 3; .* dev: utterances"):
        make_folds(examples, Protocol(test_unit="speaker"))


def test_a_thousand_and_one_speakers_are_refused_with_groups_as_the_remedy() -> None:
    examples = monologues(1001, 4)
    with pytest.raises(InputError, match=r"makes 1,001 folds, .* set protocol.test_unit: group"):
        make_folds(examples, Protocol(test_unit="speaker"))
    assert len(make_folds(examples, Protocol(test_unit="group"))) == 5


def own_split() -> Examples:
    rows, split = [], []
    for part, count in (("train", 40), ("dev", 12), ("test", 16), ("", 3)):
        for u in range(count):
            rows.append((f"s{u % 5}", f"{part}{u}", u % 4))
            split.append(part)
    return examples_of(rows, split)


def test_the_corpus_s_own_split_is_one_fold_and_its_shared_speakers_are_reported() -> None:
    examples, protocol = own_split(), Protocol(test_unit="split", dev="split")
    (fold,) = make_folds(examples, protocol)
    assert fold.name == "test"
    assert (len(fold.train), len(fold.dev), len(fold.test)) == (40, 12, 16)
    shared, outside = fold_notes([fold], examples, protocol)
    assert "5 speakers are both in the training and in the test part" in shared
    assert "s0, s1, s2, and 2 more" in shared
    assert outside == "3 utterances are on no side of any fold"


def test_an_own_split_without_a_dev_part_takes_one_from_training() -> None:
    examples = own_split()
    split = examples.split.copy()
    split[split == "dev"] = ""
    examples = dataclasses.replace(examples, split=split)
    with pytest.raises(InputError, match=r"no example is in its dev part; .* protocol.dev: utter"):
        make_folds(examples, Protocol(test_unit="split", dev="split"))
    (fold,) = make_folds(examples, Protocol(test_unit="split", dev="utterances"))
    assert (len(fold.train), len(fold.dev), len(fold.test)) == (32, 8, 16)
    with pytest.raises(InputError, match="no example is in its train part"):
        make_folds(monologues(), Protocol(test_unit="split", dev="utterances"))


@settings(max_examples=80, deadline=None)
@given(
    speakers=st.integers(3, 9),
    seed=st.integers(0, 3),
    unit=st.sampled_from(["speaker", "group"]),
    dev=st.sampled_from(["session", "speakers", "utterances", "none"]),
    data=st.data(),
)
def test_no_speaker_is_ever_on_the_test_side_and_another(
    speakers: int, seed: int, unit: str, dev: str, data: st.DataObject
) -> None:
    rows = [
        (f"s{s}", f"s{s}-{u}", label)
        for s in range(speakers)
        for u, label in enumerate(
            [0, 1, 2, 3, *data.draw(st.lists(st.integers(0, 3), min_size=0, max_size=9))]
        )
    ]
    examples = examples_of(rows)
    given_ = {"test_unit": unit, "dev": dev, "dev_seed": seed, "selection": "last"}
    if unit == "group":
        given_ |= {"folds": min(3, speakers), "fold_seed": seed}
    tested: list[int] = []
    for fold in each_fold(examples, Protocol.from_dict(given_)):
        train, held, test = (people(examples, r) for r in (fold.train, fold.dev, fold.test))
        assert not (train | held) & test
        assert dev == "utterances" or not train & held
        rows_of = [set(side.tolist()) for side in (fold.train, fold.dev, fold.test)]
        assert len(set.union(*rows_of)) == sum(map(len, rows_of)) == len(examples)
        tested += fold.test.tolist()
    assert sorted(tested) == list(range(len(examples)))


def test_a_fold_is_reviewed_by_class_and_speaker() -> None:
    examples = monologues(4)
    fold = make_folds(examples, Protocol(test_unit="speaker"))[0]
    about = review(fold, examples)
    assert about["test"] == {
        "examples": 8,
        "classes": {"ang": 2, "hap": 2, "neu": 2, "sad": 2},
        "speakers": {"s000": 8},
    }
    assert list(about["train"]["speakers"]) == ["s002", "s003"]


def test_the_table_of_sides_has_every_utterance_and_fold() -> None:
    examples = monologues(4)
    folds = make_folds(examples, Protocol(test_unit="speaker"))
    rows = list(csv.DictReader(StringIO(as_csv(folds, examples))))
    assert [row["id"] for row in rows] == examples.ids.tolist()
    for fold in folds:
        for side, members in (("train", fold.train), ("dev", fold.dev), ("test", fold.test)):
            assert [n for n, row in enumerate(rows) if row[fold.name] == side] == members.tolist()


def test_small_sets_and_sets_without_a_class_are_reported() -> None:
    rows = [(f"s{s}", f"s{s}-{u}", u % 4) for s in range(4) for u in range(20)]
    examples = examples_of([*rows, ("s9", "s9-0", 0), ("s9", "s9-1", 0)])
    protocol = Protocol(test_unit="speaker")
    notes = fold_notes(make_folds(examples, protocol), examples, protocol)
    assert notes[0] == (
        "1 of 5 test sets lack a class (s9 has no hap and no neu and no sad): their UAR is over "
        "the classes that are there"
    )
    assert notes[1].startswith("1 of 5 test sets have fewer than 10 utterances (s9 has 2); ")
    assert "1 of 5 dev sets lack a class (s3 has" in notes[2]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"folds": 3}, "protocol.folds: has no meaning with test_unit: session"),
        ({"test_unit": "group", "folds": 1}, "protocol.folds: 1 is not a whole number from 2"),
        ({"test_unit": "group", "repeats": 0}, "protocol.repeats: 0 is not a whole number from 1"),
        ({"test_unit": "group", "repeats": 500}, "protocol.repeats: 500 × 5 folds are more than"),
        ({"dev": "split"}, "needs protocol.test_unit: split"),
        ({"test_unit": "split"}, "protocol.dev: session has no meaning with test_unit: split"),
        ({"dev": "none"}, "protocol.selection: dev has nothing to choose on"),
        ({"style": "read"}, "protocol.style: 'read' is none of all, improvised, scripted"),
        ({"classes": [False, "yes"]}, 'False is no text to YAML, .* in quotes, as in "no"'),
        ({"classes": ["a", 2]}, '2 is a number to YAML, .* in quotes, as in "2"'),
        ({"merge": {1: "ang"}}, 'protocol.merge: 1 is a number to YAML, .* as in "1"'),
    ],
)
def test_fields_that_do_not_fit_together_are_refused_with_the_remedy(
    fields: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        Protocol.from_dict(fields)


def test_what_a_protocol_was_is_written_as_it_was_and_new_fields_only_where_they_count() -> None:
    assert set(Protocol().as_dict()) == {
        *("classes", "merge", "context_turns", "test_unit"),
        *("dev", "dev_fraction", "dev_seed", "selection"),
    }
    group = Protocol(test_unit="group", folds=4, repeats=2, style="scripted")
    assert Protocol.from_dict(group.as_dict()) == group
    assert group.as_dict()["repeats"] == 2
    assert group.as_dict()["style"] == "scripted"
    assert "leave one of 4 groups of speakers out, 2 times (seed 0)" in group.text
