"""The protocol as plain data, and folds that keep speakers and dialogues apart."""

import dataclasses
import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activations.errors import InputError
from bench.data.cast import Cast
from bench.data.examples import Examples
from bench.data.folds import Fold, check_fold, make_folds
from bench.data.protocol import Protocol

CLASSES = ("ang", "hap", "neu", "sad")


def examples_of(rows: list[tuple[str, str, str, int]]) -> Examples:
    """rows: (session, speaker, dialogue, label) of each example."""
    session, speaker, dialog, labels = zip(*rows, strict=True)
    count = len(rows)
    missing = np.full(count, -1, dtype=np.int64)
    return Examples(
        classes=CLASSES,
        ids=np.array([f"u{i}" for i in range(count)]),
        labels=np.array(labels, dtype=np.int64),
        current=np.arange(count, dtype=np.int64),
        own=missing,
        other=missing,
        session=np.array(session),
        speaker=np.array(speaker),
        dialog=np.array(dialog),
        improvised=np.zeros(count, dtype=np.bool_),
    )


def dyads(sessions: int = 5, dialogues: int = 4, turns: int = 8) -> Examples:
    """Sessions of two speakers who speak with each other only, every class in every dialogue."""
    return examples_of(
        [
            (f"S{s}", f"S{s}{'FM'[t % 2]}", f"S{s}_{d}", t % 4)
            for s in range(sessions)
            for d in range(dialogues)
            for t in range(turns)
        ]
    )


def test_the_default_protocol_is_the_literatures_with_a_clean_dev_set() -> None:
    assert Protocol().as_dict() == {
        "classes": ["ang", "hap", "neu", "sad"],
        "merge": {"exc": "hap"},
        "context_turns": 8,
        "test_unit": "session",
        "dev": "session",
        "dev_fraction": 0.2,
        "dev_seed": 0,
        "selection": "dev",
    }


def test_a_protocol_survives_plain_data_and_pickling_and_can_be_hashed() -> None:
    protocol = Protocol(classes=("a", "b"), merge={"c": "a"}, dev="dialogues", selection="oracle")
    assert Protocol.from_dict(protocol.as_dict()) == protocol
    assert pickle.loads(pickle.dumps(protocol)) == protocol
    assert hash(Protocol.from_dict(protocol.as_dict())) == hash(protocol)


def test_a_protocol_says_in_one_line_what_it_is() -> None:
    assert Protocol().text == (
        "4 classes (ang hap neu sad; exc→hap) · leave one session out · dev: one other session · "
        "context: 8 turns · checkpoint: dev"
    )
    text = Protocol(dev="dialogues", dev_fraction=0.1, dev_seed=3).text
    assert "dev: 10% of the training dialogues (seed 3)" in text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("classes", "ang"),
        ("classes", ["ang"]),
        ("classes", ["ang", "ang"]),
        ("classes", [1, 2]),
        ("merge", ["exc"]),
        ("merge", {"exc": "joy"}),
        ("merge", {"ang": "hap"}),
        ("merge", {"exc": 1}),
        ("context_turns", -1),
        ("context_turns", 2.5),
        ("context_turns", True),
        ("test_unit", "corpus"),
        ("dev", "test"),
        ("dev_fraction", 0),
        ("dev_fraction", 1.0),
        ("dev_fraction", "a fifth"),
        ("dev_seed", None),
        ("selection", "best"),
        ("selection", ["dev"]),
    ],
)
def test_a_field_that_cannot_be_is_named(field: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"^protocol\.{field}: "):
        Protocol.from_dict({field: value})


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(InputError, match=r"^protocol\.clases: there is no such field; fields: cl"):
        Protocol.from_dict({"clases": ["a"]})


def test_five_sessions_make_five_folds_whose_dev_set_is_the_next_session() -> None:
    examples = dyads()
    folds = make_folds(examples, Protocol())
    assert [fold.name for fold in folds] == ["S0", "S1", "S2", "S3", "S4"]
    for index, fold in enumerate(folds):
        assert set(examples.session[fold.test]) == {f"S{index}"}
        assert set(examples.session[fold.dev]) == {f"S{(index + 1) % 5}"}
        assert len(set(examples.session[fold.train])) == 3
        assert fold.train.dtype == fold.dev.dtype == fold.test.dtype == np.int64


def test_held_out_dialogues_come_from_every_training_session_and_depend_on_the_seed() -> None:
    examples = dyads(dialogues=10)
    first = make_folds(examples, Protocol(dev="dialogues"))
    again = make_folds(examples, Protocol(dev="dialogues"))
    other = make_folds(examples, Protocol(dev="dialogues", dev_seed=1))
    for index, fold in enumerate(first):
        held = set(examples.dialog[fold.dev])
        by_session = Counter(name[:2] for name in held)
        assert sorted(by_session.values()) == [2, 2, 2, 2]  # a fifth of ten, in four sessions
        assert not held & set(examples.dialog[fold.train])
        assert np.array_equal(fold.dev, again[index].dev)
    assert any(not np.array_equal(a.dev, b.dev) for a, b in zip(first, other, strict=True))


def test_folding_by_speaker_leaves_out_whoever_spoke_with_the_test_speaker() -> None:
    examples = dyads()
    folds = make_folds(examples, Protocol(test_unit="speaker"))
    assert len(folds) == 10
    first = folds[0]
    assert first.name == "S0F"
    assert set(examples.speaker[first.test]) == {"S0F"}
    assert set(examples.speaker[first.dev]) == {"S1F"}  # S0M shares every dialogue with S0F
    assert set(examples.session[first.train]) == {"S2", "S3", "S4"}


def test_a_corpus_without_sessions_or_dialogues_folds_by_speaker() -> None:
    rows = [(f"spk{i % 6}", f"spk{i % 6}", f"u{i}", i % 4) for i in range(96)]
    for unit in ("session", "speaker"):
        folds = make_folds(examples_of(rows), Protocol.from_dict({"test_unit": unit}))
        assert [len(fold.train) for fold in folds] == [64] * 6
        assert [len(fold.dev) for fold in folds] == [16] * 6


def test_a_speaker_in_two_sessions_is_refused_by_name() -> None:
    examples = dyads()
    speaker = examples.speaker.copy()
    speaker[speaker == "S3F"] = "S0F"
    with pytest.raises(InputError, match=r"speaker S0F is in the train and in the test set"):
        make_folds(dataclasses.replace(examples, speaker=speaker), Protocol())


def test_a_dialogue_over_two_sessions_is_refused_by_name() -> None:
    examples = dyads()
    dialog = examples.dialog.copy()
    dialog[dialog == "S3_1"] = "S0_1"
    with pytest.raises(InputError, match=r"dialogue S0_1 is in the train and in the test set"):
        make_folds(dataclasses.replace(examples, dialog=dialog), Protocol())


def test_too_few_sessions_are_refused_with_a_way_out() -> None:
    with pytest.raises(InputError, match=r"needs at least 3; the corpus has 2 \(S0, S1\); try"):
        make_folds(dyads(sessions=2), Protocol())
    assert len(make_folds(dyads(sessions=2), Protocol(dev="dialogues"))) == 2


def test_speakers_who_all_speak_with_each_other_cannot_be_folded() -> None:
    rows = [("S0", f"spk{i % 4}", "d", i % 4) for i in range(32)]
    with pytest.raises(InputError, match="fold spk0: the train set is empty"):
        make_folds(examples_of(rows), Protocol(test_unit="speaker"))


def test_a_speaker_who_is_only_heard_in_another_sessions_dialogue_is_refused_by_name() -> None:
    examples = dataclasses.replace(dyads(), parties={"S3_1": frozenset({"S3F", "S3M", "S0F"})})
    with pytest.raises(InputError, match=r"speaker S0F of the test set is heard in dialogue S3_1"):
        make_folds(examples, Protocol())


def test_folding_by_speaker_leaves_out_dialogues_in_which_the_speaker_is_only_heard() -> None:
    rows = [(f"S{s}", f"S{s}M", f"S{s}_{d}", c) for s in range(4) for d in "ab" for c in range(4)]
    rows += [(f"S{s}", f"S{s}F", f"S{s}_a", c) for s in range(4) for c in range(4)]
    parties = {f"S{s}_{d}": frozenset({f"S{s}F", f"S{s}M"}) for s in range(4) for d in "ab"}
    examples = dataclasses.replace(examples_of(rows), parties=parties)
    first = make_folds(examples, Protocol(test_unit="speaker"))[0]
    assert first.name == "S0F"
    assert set(examples.speaker[first.dev]) == {"S1F"}  # not S0M, whom S0F answers in S0_b
    assert set(examples.session[first.train]) == {"S2", "S3"}


def test_a_class_that_no_training_example_has_is_named() -> None:
    examples = dyads()
    labels = examples.labels.copy()
    labels[(labels == 3) & (examples.session != "S0")] = 2
    with pytest.raises(InputError, match=r"fold S0: no training example of class sad; "):
        make_folds(dataclasses.replace(examples, labels=labels), Protocol())


@pytest.mark.parametrize(
    ("train", "dev", "test", "words"),
    [
        ([0, 40], [], [8], "the dev set is empty"),
        ([0, 40], [70], [41], "dialogue S1_1 is in the train and in the test set"),
        ([0, 40], [70], [48], "speaker S1F is in the train and in the test set"),
        ([0, 40], [70], [78], "speaker S2F is in the dev and in the test set"),
        ([0, 40, 64], [72], [100], "speaker S2F is in the train and in the dev set"),
    ],
)
def test_a_fold_made_by_hand_is_checked(
    train: list[int], dev: list[int], test: list[int], words: str
) -> None:
    fold = Fold("hand", *(np.array(rows, dtype=np.int64) for rows in (train, dev, test)))
    with pytest.raises(InputError, match=words):
        check_fold(fold, dyads(), Cast.of(dyads()), Protocol())


def test_dev_dialogues_may_share_speakers_with_training_but_not_with_the_test() -> None:
    protocol = Protocol(dev="dialogues")
    rows = np.arange(64, 72), np.arange(72, 80), np.arange(0, 8)
    check_fold(Fold("hand", *rows), dyads(), Cast.of(dyads()), protocol)
    with pytest.raises(InputError, match="speaker S2F is in the dev and in the test set"):
        check_fold(Fold("hand", rows[2], rows[1], rows[0]), dyads(), Cast.of(dyads()), protocol)


@st.composite
def corpora(draw: st.DrawFn) -> Examples:
    """Two to five speakers in each of three to six sessions, who speak with some of each other."""
    rows = []
    for s in range(draw(st.integers(3, 6))):
        speakers = draw(st.integers(2, 5))
        for d in range(draw(st.integers(2, 5))):
            present = draw(
                st.lists(st.integers(0, speakers - 1), min_size=1, max_size=3, unique=True)
            )
            rows += [
                (f"S{s}", f"S{s}-{present[t % len(present)]}", f"S{s}_{d}", t % 4)
                for t in range(draw(st.integers(4, 9)))
            ]
    return examples_of(rows)


@settings(max_examples=60, deadline=None)
@given(
    examples=corpora(),
    unit=st.sampled_from(["session", "speaker"]),
    dev=st.sampled_from(["session", "dialogues"]),
    seed=st.integers(0, 5),
)
def test_folds_partition_the_examples_and_never_share_a_test_speaker_or_a_dialogue(
    examples: Examples, unit: str, dev: str, seed: int
) -> None:
    protocol = Protocol.from_dict({"test_unit": unit, "dev": dev, "dev_seed": seed})
    folds = make_folds(examples, protocol)
    tested = np.concatenate([fold.test for fold in folds])
    assert sorted(tested.tolist()) == list(range(len(examples)))  # each is tested exactly once
    for fold in folds:
        sides = [set(rows.tolist()) for rows in (fold.train, fold.dev, fold.test)]
        assert all(sides)
        union = set().union(*sides)
        assert len(union) == sum(len(side) for side in sides)
        if unit == "session":
            assert len(union) == len(examples)
        train, held, test = (
            (set(examples.speaker[rows]), set(examples.dialog[rows]))
            for rows in (fold.train, fold.dev, fold.test)
        )
        assert not (train[0] | held[0]) & test[0]
        assert not (train[1] | held[1]) & test[1]
        assert not train[1] & held[1]
        if dev == "session":
            assert not train[0] & held[0]


@pytest.mark.parametrize(("fraction", "count"), [(0.01, 1), (0.1, 4), (0.5, 20), (0.99, 39)])
def test_the_dev_fraction_is_kept_and_leaves_at_least_one_dialogue_on_each_side(
    fraction: float, count: int
) -> None:
    examples = dyads(dialogues=10)
    protocol = Protocol(dev="dialogues", dev_fraction=fraction)
    for fold in make_folds(examples, protocol):
        assert len(set(examples.dialog[fold.dev])) == count
        assert len(set(examples.dialog[fold.train])) == 40 - count
