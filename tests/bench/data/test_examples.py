"""The context rule, on dialogues small enough to check by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from activations.errors import InputError
from bench.corpora.corpus import COLUMNS, Corpus
from bench.data.examples import Examples, build_examples
from bench.data.protocol import Protocol


def corpus_of(*dialogues: str) -> Corpus:
    """A dialogue is written as its turns, each a speaker's letter and a label: "Fneu Mxxx Fang"."""
    rows = []
    for number, dialogue in enumerate(dialogues):
        for turn, word in enumerate(dialogue.split()):
            row = dict.fromkeys(COLUMNS, "")
            row |= {"id": f"d{number}_{turn}", "dialog": f"d{number}", "turn": turn}
            row |= {"speaker": f"S{word[0]}", "label": word[1:], "session": "S"}
            rows.append(row | {"improvised": number == 0})
    return Corpus(name="by hand", root=Path(), table=pd.DataFrame(rows))


def contexts(examples: Examples) -> list[tuple[int, int, int]]:
    return list(
        zip(examples.current.tolist(), examples.own.tolist(), examples.other.tolist(), strict=True)
    )


def test_the_latest_turns_of_both_speakers_are_the_contexts() -> None:
    examples = build_examples(corpus_of("Fneu Mang Fsad Fhap Mneu"), Protocol())
    assert contexts(examples) == [(0, -1, -1), (1, -1, 0), (2, 0, 1), (3, 2, 1), (4, 1, 3)]


def test_a_turn_without_a_usable_label_is_context_and_no_example() -> None:
    examples = build_examples(corpus_of("Fxxx Mfru Fneu Mang"), Protocol())
    assert contexts(examples) == [(2, 0, 1), (3, 1, 2)]


def test_a_dialogues_first_turns_have_no_context_from_the_dialogue_before() -> None:
    examples = build_examples(corpus_of("Fneu Mang", "Fsad Msad"), Protocol())
    assert contexts(examples) == [(0, -1, -1), (1, -1, 0), (2, -1, -1), (3, -1, 2)]


def test_only_the_eight_turns_before_count_whoever_spoke_them() -> None:
    # row 0 is M's only turn; for row 8 it is the 8th turn back, for row 9 the 9th
    examples = build_examples(corpus_of("Mang " + "Fneu " * 9), Protocol())
    assert contexts(examples)[8:] == [(8, 7, 0), (9, 8, -1)]


def test_turns_with_an_unusable_label_use_up_the_window() -> None:
    examples = build_examples(corpus_of("Mang " + "Fxxx " * 8 + "Mneu"), Protocol())
    assert contexts(examples) == [(0, -1, -1), (9, -1, 8)]


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_the_window_is_the_protocols(turns: int) -> None:
    examples = build_examples(corpus_of("Fneu Mang Mang Fsad"), Protocol(context_turns=turns))
    expected = {0: (3, -1, -1), 1: (3, -1, 2), 2: (3, -1, 2), 3: (3, 0, 2)}
    assert contexts(examples)[-1] == expected[turns]


def test_among_three_speakers_the_other_is_whoever_else_spoke_last() -> None:
    examples = build_examples(corpus_of("Aneu Bang Chap Aang"), Protocol())
    assert contexts(examples)[-1] == (3, 0, 2)


def test_labels_are_merged_and_numbered_in_the_protocols_order() -> None:
    examples = build_examples(corpus_of("Fneu Mexc Fsur Mhap Fsad Mang"), Protocol())
    assert examples.classes == ("ang", "hap", "neu", "sad")
    assert examples.labels.tolist() == [2, 1, 1, 3, 0]
    assert examples.labels.dtype == examples.own.dtype == np.int64
    assert examples.ids.tolist() == ["d0_0", "d0_1", "d0_3", "d0_4", "d0_5"]
    assert len(examples) == 5


def test_an_example_knows_its_speaker_dialogue_and_whether_it_was_improvised() -> None:
    examples = build_examples(corpus_of("Fneu", "Mang"), Protocol())
    assert examples.speaker.tolist() == ["SF", "SM"]
    assert examples.dialog.tolist() == ["d0", "d1"]
    assert examples.session.tolist() == ["S", "S"]
    assert examples.improvised.tolist() == [True, False]


def test_examples_know_who_speaks_in_a_dialogue_also_without_a_usable_label() -> None:
    examples = build_examples(corpus_of("Fneu Mxxx", "Fang"), Protocol())
    assert examples.parties == {"d0": frozenset({"SF", "SM"}), "d1": frozenset({"SF"})}


def test_a_corpus_without_the_protocols_labels_is_refused_with_its_own() -> None:
    with pytest.raises(InputError, match=r"labels: wut, leer: name them in protocol.classes"):
        build_examples(corpus_of("Fwut Mwut Fleer"), Protocol())


def test_labels_that_yaml_would_not_read_as_text_are_asked_for_in_quotes() -> None:
    with pytest.raises(InputError, match=r'labels: 1, 2: name .*, in quotes, as in classes: \["1"'):
        build_examples(corpus_of("F1 M2"), Protocol())
    with pytest.raises(InputError, match=r"in quotes"):
        build_examples(corpus_of("Fno Myes"), Protocol())
    with pytest.raises(
        InputError, match=r"labels: a0, a1, .*, a19 and 8 more: name them"
    ) as caught:
        build_examples(corpus_of(" ".join(f"Fa{n}" for n in range(20))), Protocol())
    assert "a5" not in str(caught.value)
