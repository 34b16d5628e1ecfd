"""IEMOCAP's layout, written by hand line by line as the release has it."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from activations.errors import InputError
from bench.corpora.iemocap import RELEASE_COUNTS, read_iemocap
from bench.corpora.reading import read_corpus
from bench.data.describe import describe
from bench.data.protocol import Protocol

HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
EVALUATORS = (
    "C-E2:\tNeutral;\t()\nC-E4:\tNeutral; Anger;\t(curious)\nC-F1:\tOther;\t(well,\nnot sure)\n"
    "A-E3:\tval 3; act 2; dom  2;\t()\nA-M1:\tval ; act ; dom ;\t()\n\n"
)
SILENCE = (
    b"RIFF\x2c\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x80\x3e\x00\x00\x00\x7d\x00\x00"
    b"\x02\x00\x10\x00data\x08\x00\x00\x00" + bytes(8)
)


def summary(name: str, label: str, start: float, end: float) -> str:
    return f"[{start:.4f} - {end:.4f}]\t{name}\t{label}\t[2.5000, 2.5000, 2.5000]\n"


def write_dialogue(
    root: Path,
    dialogue: str,
    turns: list[tuple[str, str, float]],
    transcription: str | None = None,
    newline: str = "\n",
) -> Path:
    """turns: (F000, label, start) in the order of the transcription; the evaluation is by name."""
    session = root / f"Session{dialogue[4]}"
    evaluation = HEADER
    for turn, label, start in sorted(turns):
        name = f"{dialogue}_{turn}"
        evaluation += summary(name, label, start, start + 2) + EVALUATORS
        audio = session / "sentences" / "wav" / dialogue / f"{name}.wav"
        audio.parent.mkdir(parents=True, exist_ok=True)
        audio.write_bytes(SILENCE)
    if transcription is None:
        transcription = "".join(
            f"{dialogue}_{turn} [{start:08.4f}-{start + 2:08.4f}]: Words of {turn}.\n"
            for turn, _, start in turns
        )
    for kind, text in (("EmoEvaluation", evaluation), ("transcriptions", transcription)):
        path = session / "dialog" / kind / f"{dialogue}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.replace("\n", newline).encode())
    return session / "dialog" / "EmoEvaluation" / f"{dialogue}.txt"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "IEMOCAP_full_release"
    write_dialogue(
        root,
        "Ses01M_impro01",
        [("F000", "neu", 1.0), ("M000", "exc", 3.5), ("F001", "xxx", 2.9), ("M001", "ang", 9.0)],
    )
    return root


def test_a_session_that_is_missing_is_noted_also_of_a_synthetic_corpus(tmp_path: Path) -> None:
    for number in (1, 2, 4, 5):
        write_dialogue(tmp_path, f"Ses0{number}F_impro01", [("F000", "ang", 1.0)])
    (tmp_path / "SYNTHETIC.json").write_text('{"name": "demo"}')
    assert read_iemocap(tmp_path).notes[0] == (
        "Ses03 is missing: 4 of 5 sessions, so there are as many fewer folds by session"
    )
    write_dialogue(tmp_path, "Ses03F_impro01", [("F000", "ang", 1.0)])
    assert not any("missing" in note for note in read_iemocap(tmp_path).notes)


def test_the_speaker_is_who_the_last_field_names_not_who_wears_the_markers(root: Path) -> None:
    table = read_iemocap(root).table.set_index("id")
    assert table["speaker"].to_dict() == {
        "Ses01M_impro01_F000": "Ses01F",
        "Ses01M_impro01_M000": "Ses01M",
        "Ses01M_impro01_F001": "Ses01F",
        "Ses01M_impro01_M001": "Ses01M",
    }
    assert table["gender"].to_list() == ["female", "male", "female", "male"]


def test_a_turn_has_the_summary_lines_label_and_times_and_the_transcriptions_words(
    root: Path,
) -> None:
    row = read_iemocap(root).table.iloc[1]
    assert (row["id"], row["label"], row["start"], row["end"]) == (
        "Ses01M_impro01_M000", "exc", 3.5, 5.5
    )  # fmt: skip
    assert (row["dialog"], row["session"], row["turn"]) == ("Ses01M_impro01", "Ses01", 1)
    assert row["text"] == "Words of M000."
    assert row["improvised"]
    wavs = root.absolute() / "Session1" / "sentences" / "wav"
    assert row["audio"] == str(wavs / "Ses01M_impro01" / "Ses01M_impro01_M000.wav")


def test_turns_are_in_the_order_of_the_transcription_not_of_time_or_of_the_evaluation(
    root: Path,
) -> None:
    order = [name[-4:] for name in read_iemocap(root).table["id"]]
    assert order == ["F000", "M000", "F001", "M001"]  # F001 starts before M000


def test_turns_of_session_two_are_in_the_order_of_their_starts(tmp_path: Path) -> None:
    turns = [("F000", "neu", 1.0), ("M000", "exc", 3.5), ("F001", "xxx", 2.9), ("M001", "ang", 3.5)]
    write_dialogue(tmp_path, "Ses02F_script01_1", turns)
    table = read_iemocap(tmp_path).table
    assert [name[-4:] for name in table["id"]] == ["F000", "F001", "M000", "M001"]
    assert not table["improvised"].any()


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_lines_without_an_id_and_xx_ids_are_no_turns(tmp_path: Path, newline: str) -> None:
    name = "Ses03F_script01_1b"
    transcription = (
        f"{name}_M000 [001.0000-003.0000]: First: with a colon.\n"
        "M: Yeah.\nF:  Mmhmm. \n\n"
        f"{name}_MXX0 [003.0000-003.5000]: [LAUGHTER]\n"
        f"{name}_FXX1 [003.5000-003.6000]: Oh.\n"
        f"{name}_F000 [004.0000-006.0000]: Second.\n"
    )
    turns = [("M000", "sad", 1.0), ("F000", "fru", 4.0)]
    write_dialogue(tmp_path, name, turns, transcription, newline)
    table = read_iemocap(tmp_path).table
    assert table["text"].to_list() == ["First: with a colon.", "Second."]
    assert table["dialog"].unique().tolist() == [name]


@pytest.mark.parametrize("where", [".", "..", "Session1"])
def test_the_release_is_found_one_level_up_or_down(root: Path, where: str) -> None:
    assert len(read_iemocap(root / where)) == 4


def test_an_incomplete_release_is_told_with_its_counts_by_session(root: Path) -> None:
    corpus = read_iemocap(root)
    assert not corpus.synthetic
    assert corpus.problems[0].startswith("3 of 5,531 four-class utterances found (Ses01 3 of 1,085")
    assert sum(RELEASE_COUNTS.values()) == 5531


def test_a_corpus_marked_as_synthetic_says_so_and_is_not_counted(root: Path) -> None:
    (root / "SYNTHETIC.json").write_text('{"name": "demo"}')
    corpus = read_iemocap(root)
    assert (corpus.name, corpus.synthetic, corpus.problems) == ("demo", True, ())


def test_describing_gives_the_promised_keys(root: Path) -> None:
    described = describe(read_corpus(root), Protocol())
    assert described["turns"] == 4
    assert described["labels"] == {"ang": 1, "exc": 1, "neu": 1, "xxx": 1}
    assert described["examples"]["total"] == 3
    assert described["examples"]["labels"] == {"ang": 1, "hap": 1, "neu": 1, "sad": 0}
    assert described["examples"]["speakers"] == {"Ses01F": 1, "Ses01M": 2}
    assert described["examples"]["own_missing"] == 2
    assert described["examples"]["other_missing"] == 1


def test_a_dialogue_without_a_transcription_is_ordered_by_time_and_reported(root: Path) -> None:
    (root / "Session1" / "dialog" / "transcriptions" / "Ses01M_impro01.txt").unlink()
    corpus = read_iemocap(root)
    assert [name[-4:] for name in corpus.table["id"]] == ["F000", "F001", "M000", "M001"]
    assert any("transcriptions/Ses01M_impro01.txt is missing" in text for text in corpus.problems)


def test_a_turn_that_the_transcription_lacks_is_reported(root: Path) -> None:
    path = root / "Session1" / "dialog" / "transcriptions" / "Ses01M_impro01.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))
    problems = read_iemocap(root).problems
    assert any("lacks Ses01M_impro01_M001" in text for text in problems)


def test_a_dialogue_without_an_evaluation_is_reported(root: Path) -> None:
    write_dialogue(root, "Ses01F_impro02", [("F000", "neu", 1.0)]).unlink()
    problems = read_iemocap(root).problems
    assert "Session1/dialog/EmoEvaluation/Ses01F_impro02.txt is missing" in problems


def test_files_that_a_mac_leaves_beside_the_annotations_are_not_read(root: Path) -> None:
    folder = root / "Session1" / "dialog" / "EmoEvaluation"
    (folder / "._Ses01M_impro01.txt").write_bytes(b"\x00\x05\x16\x07garbage")
    (folder / "Categorical").mkdir()
    assert len(read_iemocap(root)) == 4


def test_a_missing_folder_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere does not exist; .* gateswap corpus demo"):
        read_iemocap(tmp_path / "nowhere")


def test_an_empty_folder_a_foreign_one_and_a_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is empty; .*Session1"):
        read_iemocap(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="holds no folder Session1"):
        read_iemocap(tmp_path)
    with pytest.raises(InputError, match=r"notes.txt is a file"):
        read_iemocap(tmp_path / "notes.txt")


def test_a_session_without_annotations_is_named(root: Path) -> None:
    (root / "Session2").mkdir()
    with pytest.raises(InputError, match=r"Session2/dialog/EmoEvaluation is missing"):
        read_iemocap(root)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[1.0 - 2.0]\tSes01M_impro01_M009\tneu", "is not a line"),
        ("[1.0 - ]\tSes01M_impro01_M009\tneu\t[2.5000, 2.5000, 2.5000]", "is not a line"),
        ("[1.0 - 2.0]\tSes01M_impro01_M009\tneu\t[2.5000, 2.5000]", "is not a line"),
        ("1.0 - 2.0]\tSes01M_impro01_M009\tneu\t[2.5000, 2.5000, 2.5000]", "is not a line"),
        ("garbage", "is not a line"),
        ("[1.0 - 2.0]\tSes01M_impro01_X009\tneu\t[2.5, 2.5, 2.5]", "is not a turn like"),
        ("[1.0 - 2.0]\tM009\tneu\t[2.5000, 2.5000, 2.5000]", "is not a turn like"),
        ("[1.0 - 2.0]\tSes01M_impro01_M009\tnue\t[2.5, 2.5, 2.5]", "'nue' is not an emotion"),
        ("[1.0 - 2.0]\tSes01M_impro01_M000\tneu\t[2.5, 2.5, 2.5]", "is evaluated twice"),
    ],
)
def test_an_annotation_line_that_does_not_parse_is_named_by_file_and_line(
    root: Path, line: str, words: str
) -> None:
    path = root / "Session1" / "dialog" / "EmoEvaluation" / "Ses01M_impro01.txt"
    path.write_text(path.read_text() + line + "\n")
    number = len(path.read_text().splitlines())
    with pytest.raises(InputError) as caught:
        read_iemocap(root)
    assert f"{path}:{number}: " in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_transcription_line_that_does_not_parse_is_named_by_file_and_line(root: Path) -> None:
    path = root / "Session1" / "dialog" / "transcriptions" / "Ses01M_impro01.txt"
    path.write_text(path.read_text() + "Ses01M_impro01_M009 001.0-002.0: no brackets\n")
    with pytest.raises(InputError, match=r"transcriptions/Ses01M_impro01.txt:5: "):
        read_iemocap(root)


def test_a_turn_evaluated_in_two_dialogues_is_named(root: Path) -> None:
    path = write_dialogue(root, "Ses01F_impro02", [("F000", "neu", 1.0)])
    path.write_text(HEADER + summary("Ses01M_impro01_F000", "neu", 1.0, 2.0))
    with pytest.raises(InputError, match="Ses01M_impro01_F000 is evaluated twice"):
        read_iemocap(root)


def test_an_utterance_without_audio_is_named_with_what_was_found(root: Path) -> None:
    wav = root / "Session1" / "sentences" / "wav" / "Ses01M_impro01" / "Ses01M_impro01_M001.wav"
    wav.unlink()
    with pytest.raises(InputError) as caught:
        read_iemocap(root)
    message = str(caught.value)
    assert "2 of 5,531 four-class utterances found" in message
    assert "Session1/sentences/wav/Ses01M_impro01/Ses01M_impro01_M001.wav is missing" in message
    assert "copy it again from the release" in message


def test_a_missing_folder_of_audio_is_named_once(root: Path) -> None:
    wavs = root / "Session1" / "sentences" / "wav" / "Ses01M_impro01"
    for path in wavs.iterdir():
        path.unlink()
    wavs.rmdir()
    with pytest.raises(InputError, match=r"wav/Ses01M_impro01 is missing; "):
        read_iemocap(root)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (SILENCE[:-3], "is cut short"),
        (b"fLaC" + SILENCE, "is in no audio"),
    ],
)
def test_a_wav_that_is_no_whole_wav_is_named(root: Path, data: bytes, words: str) -> None:
    wav = root / "Session1" / "sentences" / "wav" / "Ses01M_impro01" / "Ses01M_impro01_F000.wav"
    wav.write_bytes(data)
    with pytest.raises(InputError, match=rf"Ses01M_impro01_F000.wav {words}"):
        read_iemocap(root)


def test_without_strictness_broken_audio_is_listed_and_the_table_is_whole(root: Path) -> None:
    wav = root / "Session1" / "sentences" / "wav" / "Ses01M_impro01" / "Ses01M_impro01_F000.wav"
    wav.write_bytes(b"")
    corpus = read_iemocap(root, strict=False)
    assert len(corpus) == 4
    name = "Ses01M_impro01/Ses01M_impro01_F000.wav"
    assert corpus.faults == (f"Session1/sentences/wav/{name} is empty",)
    assert corpus.faults[0] in describe(corpus, Protocol())["problems"]


def test_a_full_release_says_that_it_is_complete_and_one_turn_less_that_it_is_not(
    tmp_path: Path,
) -> None:
    """The release's counts by session, in one long dialogue each; the words do not matter."""
    others = dict(zip(RELEASE_COUNTS, (901, 901, 901, 901, 904), strict=True))
    for session, count in RELEASE_COUNTS.items():
        labels = np.resize(["ang", "hap", "exc", "neu", "sad"], count).tolist()
        labels += ["xxx", "fru"] * (others[session] // 2) + ["oth"] * (others[session] % 2)
        lines = [
            summary(f"{session}F_impro01_{'FM'[i % 2]}{i:04d}", label, i / 1000, (i + 1) / 1000)
            for i, label in enumerate(labels)
        ]
        cut_from_stereo(tmp_path, f"{session}F_impro01", "".join(lines), seconds=3.0)
    corpus = read_iemocap(tmp_path)
    assert corpus.problems == ()
    assert corpus.notes[0] == "complete: all 10,039 turns of the release, 5,531 of its four classes"
    assert corpus.notes[1] == "10,039 utterances are cut out of dialog/wav, both channels mixed"
    path = tmp_path / "Session5" / "dialog" / "EmoEvaluation" / "Ses05F_impro01.txt"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    assert "(10,038 of 10,039 turns of any label)" in read_iemocap(tmp_path).problems[0]
    path.write_text("".join(lines[1:]))
    assert (
        "5,530 of 5,531 four-class utterances found (Ses05 1,240 of 1,241)"
        in (read_iemocap(tmp_path).problems[0])
    )


def cut_from_stereo(root: Path, dialogue: str, evaluation: str, seconds: float) -> Path:
    """A dialogue of which there is only the stereo recording, as noise."""
    session = root / f"Session{dialogue[4]}" / "dialog"
    for kind, text in (("EmoEvaluation", evaluation), ("transcriptions", "")):
        (session / kind).mkdir(parents=True, exist_ok=True)
        (session / kind / f"{dialogue}.txt").write_text(text)
    for line in evaluation.splitlines():
        name = line.split("\t")[1]
        with (session / "transcriptions" / f"{dialogue}.txt").open("a") as file:
            file.write(f"{name} [0-1]: Words.\n")
    (session / "wav").mkdir(exist_ok=True)
    noise = np.random.default_rng(int(dialogue[4])).uniform(-0.5, 0.5, (round(16e3 * seconds), 2))
    soundfile.write(str(session / "wav" / f"{dialogue}.wav"), noise, 16_000)
    return session / "wav" / f"{dialogue}.wav"


def test_turns_without_their_own_recording_are_cut_out_of_the_dialogues(tmp_path: Path) -> None:
    lines = summary("Ses01F_impro01_F000", "neu", 0.5, 1.5)
    lines += summary("Ses01F_impro01_M000", "ang", 2.5, 4.5)
    whole = cut_from_stereo(tmp_path, "Ses01F_impro01", lines, seconds=4.0)
    with pytest.raises(InputError, match=r"impro01.wav has 4.00 s, and no stretch from 2.5 to 4.5"):
        read_iemocap(tmp_path)
    row = read_iemocap(tmp_path, strict=False).table.iloc[0]
    assert (row["audio"], row["segment"], row["seconds"]) == (str(whole), True, 1.0)


def test_dimensions_are_kept(root: Path) -> None:
    path = root / "Session1" / "dialog" / "EmoEvaluation" / "Ses01M_impro01.txt"
    path.write_text(path.read_text().replace("[2.5000, 2.5000, 2.5000]", "[1.5, 2.0, 4.5]", 1))
    row = read_iemocap(root).table.set_index("id").loc["Ses01M_impro01_F000"]
    assert (row["valence"], row["activation"], row["dominance"]) == (1.5, 2.0, 4.5)


def test_a_byte_order_mark_does_not_hide_the_first_line(root: Path) -> None:
    path = root / "Session1" / "dialog" / "EmoEvaluation" / "Ses01M_impro01.txt"
    text = path.read_text().removeprefix(HEADER)
    path.write_text(text, encoding="utf-8-sig")
    assert len(read_iemocap(root)) == 4


def test_a_copy_of_an_annotation_file_is_named_and_not_read(root: Path) -> None:
    folder = root / "Session1" / "dialog" / "EmoEvaluation"
    (folder / "Ses01M_impro01 (1).txt").write_bytes((folder / "Ses01M_impro01.txt").read_bytes())
    corpus = read_iemocap(root)
    assert len(corpus) == 4
    name = "Session1/dialog/EmoEvaluation/Ses01M_impro01 (1).txt"
    assert corpus.problems[1] == f"{name} is not named as a dialogue and is not read"


def test_an_empty_annotation_file_is_reported(root: Path) -> None:
    write_dialogue(root, "Ses01F_impro02", [("F000", "neu", 1.0)]).write_text("")
    problems = read_iemocap(root).problems
    assert "Session1/dialog/EmoEvaluation/Ses01F_impro02.txt has no turn" in problems


def test_many_missing_transcriptions_are_one_sentence(root: Path) -> None:
    for number in range(2, 9):
        write_dialogue(root, f"Ses01F_impro0{number}", [("F000", "neu", 1.0)])
    for path in (root / "Session1" / "dialog" / "transcriptions").iterdir():
        path.unlink()
    problems = read_iemocap(root).problems
    assert problems[1:] == (
        "Session1/dialog/transcriptions/Ses01F_impro02.txt (and 7 more) is missing: turns are "
        "ordered by start time",
    )


def test_a_turn_that_ends_before_it_starts_is_named(root: Path) -> None:
    path = root / "Session1" / "dialog" / "EmoEvaluation" / "Ses01M_impro01.txt"
    path.write_text(path.read_text() + summary("Ses01M_impro01_M009", "neu", 5.0, 4.0))
    with pytest.raises(InputError, match="is not a turn that ends after its start"):
        read_iemocap(root)


def test_sessions_that_are_missing_are_told_by_name(root: Path) -> None:
    assert "Ses04 is missing, Ses05 is missing" in read_iemocap(root).problems[0]


def test_two_releases_in_one_folder_and_a_manifest_are_named(root: Path, tmp_path: Path) -> None:
    write_dialogue(tmp_path / "second", "Ses01F_impro02", [("F000", "neu", 1.0)])
    with pytest.raises(InputError, match=r"several releases: .*IEMOCAP_full_release, .*second"):
        read_iemocap(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    (other / "manifest.csv").write_text("id,audio,speaker,label\n")
    with pytest.raises(InputError, match=r"but manifest.csv; read it with --format manifest"):
        read_iemocap(other)


def test_the_release_is_found_two_levels_down(root: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    root.rename(tmp_path / "data" / "IEMOCAP_full_release")
    assert len(read_iemocap(tmp_path)) == 4


@pytest.mark.parametrize("content", ["[]", "null", '{"name": 3}', "{" * 100_000, '{"name": "x'])
def test_whatever_marks_a_corpus_as_synthetic_does_so(root: Path, content: str) -> None:
    (root / "SYNTHETIC.json").write_text(content)
    assert read_iemocap(root).name == "synthetic corpus"


def test_a_folder_in_the_place_of_the_synthetic_mark_marks_nothing(root: Path) -> None:
    (root / "SYNTHETIC.json").mkdir()
    assert not read_iemocap(root).synthetic


def test_the_fingerprint_is_the_same_by_every_path_to_the_folder(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read_iemocap(root).fingerprint
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(root)
    for path in (Path(root.name), Path("link"), root / "Session1"):
        assert read_iemocap(path).fingerprint == expected
