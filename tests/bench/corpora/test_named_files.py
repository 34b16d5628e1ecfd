"""Corpora that are known by the names of their files."""

import csv
import os
import shutil
import wave
from pathlib import Path
from typing import Any

import pytest

from activations.errors import InputError
from bench.corpora.layouts import Layout, layouts
from bench.corpora.named_files import read_named_files
from bench.corpora.reading import read_corpus


def speech(*names: str) -> Path:
    """A folder of the real recordings; the test is skipped where they are not."""
    folder = os.environ.get("GATESWAP_SPEECH", "")
    if not folder or not Path(folder, *names).is_dir():
        pytest.skip(f"needs GATESWAP_SPEECH, a folder with {'/'.join(names)} of real recordings")
    return Path(folder, *names)


def record(root: Path, *names: str) -> Path:
    """Recordings of those names, each of other samples."""
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes(bytes([number + 1] * 320))
    return root


# a file name of each release, and what it says: speaker, label, gender, session
KNOWN = [
    ("emodb", "wav/03a01Wa.wav", "03", "ang", "male", "03"),
    ("emodb", "16b10Lb.wav", "16", "bor", "female", "16"),
    ("emodb", "Happy/08a02Fe.wav", "08", "hap", "female", "08"),
    ("ravdess", "Actor_24/03-01-06-02-02-01-24.wav", "24", "fea", "female", "24"),
    ("ravdess", "03-01-02-01-01-02-01.flac", "01", "cal", "male", "01"),
    ("crema-d", "AudioWAV/1001_DFA_ANG_XX.wav", "1001", "ang", "", "1001"),
    ("crema-d", "AudioWAV/1040_ITH_SAD_X.wav", "1040", "sad", "", "1040"),
    ("crema-d", "1091_IEO_HAP_MD.wav", "1091", "hap", "", "1091"),
    ("savee", "AudioData/DC/sa07.wav", "DC", "sad", "male", "DC"),
    ("savee", "ALL/KL_su15.wav", "KL", "sur", "male", "KL"),
    ("savee", "ALL/JE_a01.wav", "JE", "ang", "male", "JE"),
    ("tess", "OAF_angry/OAF_back_angry.wav", "OAF", "ang", "female", "OAF"),
    ("tess", "YAF_pleasant_surprised/YAF_dog_ps.wav", "YAF", "sur", "female", "YAF"),
    ("tess", "OAF_neutral/OA_bite_neutral.wav", "OAF", "neu", "female", "OAF"),
]


@pytest.mark.parametrize("name", list(layouts()))
def test_every_pattern_says_where_its_rule_is_written_down(name: str) -> None:
    assert layouts()[name].source


@pytest.mark.parametrize(("layout", "name", "speaker", "label", "gender", "session"), KNOWN)
def test_a_file_name_of_the_release_says_who_speaks_and_how(
    tmp_path: Path, layout: str, name: str, speaker: str, label: str, gender: str, session: str
) -> None:
    corpus = read_corpus(record(tmp_path, name.replace(".flac", ".wav")), layout)
    row = corpus.table.iloc[0]
    assert (row["speaker"], row["label"], row["gender"]) == (speaker, label, gender)
    assert row["session"] == session
    assert corpus.problems == ()


def test_the_shared_words_are_known(tmp_path: Path) -> None:
    corpus = read_corpus(record(tmp_path, "03a01Wa.wav", "03b02Wa.wav"), "emodb")
    assert corpus.table["text"][0] == "Der Lappen liegt auf dem Eisschrank."
    assert corpus.table["dialog"].tolist() == ["03a01Wa", "03b02Wa"]


def test_emodb_as_it_is_published_is_read_by_speaker_and_emotion() -> None:
    corpus = read_corpus(speech("emodb"), "emodb")
    assert len(corpus) == 339
    assert corpus.labels == {"ang": 127, "neu": 79, "hap": 71, "sad": 62}  # as the folders say
    folders = {"Angry": "ang", "Happy": "hap", "Neutral": "neu", "Sad": "sad"}
    assert [folders[Path(p).parent.name] for p in corpus.table["audio"]] == list(
        corpus.table["label"]
    )
    assert sorted(set(corpus.table["speaker"])) == [
        "03",
        "08",
        "09",
        "10",
        "11",
        "12",
        "13",
        "14",
        "15",
        "16",
    ]
    assert corpus.notes == (
        "339 of the release's 535 recordings",
        "15.9 minutes of speech in 339 utterances",
    )


def test_ravdess_as_it_is_published_is_read_by_actor_and_emotion() -> None:
    corpus = read_corpus(speech("ravdess"), "ravdess")
    assert corpus.labels == {"ang": 192, "cal": 192, "hap": 192, "sad": 192, "neu": 96}
    assert set(corpus.table.groupby("speaker").size()) == {36}
    odd = {f"{n:02}" for n in range(1, 25, 2)}
    assert set(corpus.table["speaker"][corpus.table["gender"] == "male"]) == odd


def test_a_release_that_is_complete_says_so(tmp_path: Path) -> None:
    labels = ["a", "d", "f", "h", "n", "sa", "su"]
    names = [
        f"{speaker}/{label}{number:02}.wav"
        for speaker in ("DC", "JE", "JK", "KL")
        for label in labels
        for number in range(1, 31 if label == "n" else 16)
    ]
    record(tmp_path, *names[:1])
    assert read_corpus(tmp_path, "savee").notes[0] == "1 of the release's 480 recordings"
    for name in names[1:]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(tmp_path / names[0], tmp_path / name)
    assert (
        read_corpus(tmp_path, "savee").notes[0] == "complete: 480 of the release's 480 recordings"
    )


def test_the_same_recording_in_two_folders_counts_once(tmp_path: Path) -> None:
    record(tmp_path, "Actor_01/03-01-01-01-01-01-01.wav")
    shutil.copytree(tmp_path / "Actor_01", tmp_path / "audio_speech_actors_01-24" / "Actor_01")
    corpus = read_corpus(tmp_path, "ravdess")
    assert len(corpus) == 1
    assert "1 recording is there twice, byte for byte" in corpus.notes[0]
    record(tmp_path / "other", "a.wav", "03-01-01-01-01-01-01.wav")
    with pytest.raises(InputError, match="both 03-01-01-01-01-01-01 and differ; remove one"):
        read_corpus(tmp_path, "ravdess")


def test_what_is_named_otherwise_is_told_and_not_read(tmp_path: Path) -> None:
    record(tmp_path, "03a01Wa.wav", "notes.wav", "03a01Xa.wav")
    (tmp_path / "._03a02Wa.wav").write_bytes(b"of a Mac")
    corpus = read_corpus(tmp_path, "emodb")
    assert len(corpus) == 1
    assert corpus.problems[0].startswith("2 recordings are not named as EMO-DB")
    assert "the first is 03a01Xa.wav" in corpus.problems[0]
    with pytest.raises(InputError, match=r"none of 3 recordings is named as RAVDESS"):
        read_corpus(tmp_path, "ravdess")


def test_a_folder_without_recordings_or_none_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no recording; give the folder"):
        read_corpus(tmp_path, "emodb")
    with pytest.raises(InputError, match="nowhere does not exist"):
        read_corpus(tmp_path / "nowhere", "emodb")


def test_a_folder_may_be_named_as_it_is_seen_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path / "emodb", "03a01Wa.wav", "other.wav")
    monkeypatch.chdir(tmp_path)
    corpus = read_corpus(Path("emodb"), "emodb")
    assert corpus.table["id"].tolist() == ["03a01Wa"]
    assert "the first is other.wav" in corpus.problems[0]


def test_a_name_that_is_not_utf_8_is_refused_in_one_line(tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xfcbung"))  # Übung, as Latin-1 writes it
    try:
        record(odd, "03a01Wa.wav")
    except OSError:
        pytest.skip("this file system takes names in UTF-8 alone")
    for folder in (tmp_path, odd):
        with pytest.raises(InputError, match=r"bung.*: this name is not UTF-8; rename it"):
            read_corpus(folder, "emodb")


def test_links_are_followed_and_a_link_in_a_circle_is_walked_once(tmp_path: Path) -> None:
    record(tmp_path / "elsewhere", "03a01Wa.wav")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "wav").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "again").symlink_to(tmp_path / "elsewhere")
    assert len(read_corpus(tmp_path / "corpus", "emodb")) == 1


def meld(root: Path) -> Path:
    fields = ["Sr No.", "Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID"]
    rows = {
        "train": [(1, "You’re mad, aren't you", "Ross", "anger", 0, 0),
                  (2, "No", "Joey", "neutral", 0, 1)],
        "dev": [(1, "Oh my God", "Phoebe", "surprise", 0, 0)],
        "test": [(1, "Why?", "Ross", "sadness", 0, 0), (2, "So", "Joey", "joy", 0, 1)],
    }  # fmt: skip
    for split, lines in rows.items():
        with (root / f"{split}_sent_emo.csv").open("w", newline="", encoding="cp1252") as file:
            csv.writer(file).writerows([fields, *lines])
    folders = {"train_splits": 2, "dev_splits_complete": 1, "output_repeated_splits_test": 2}
    names = [f"{f}/dia0_utt{n}.wav" for f, count in folders.items() for n in range(count)]
    return record(root, *names)


def test_meld_is_read_from_its_tables_with_its_official_split(tmp_path: Path) -> None:
    corpus = read_corpus(meld(tmp_path), "meld")
    table = corpus.table.set_index("id")
    assert table["split"].to_dict() == {
        "dev_dia0_utt0": "dev",
        "test_dia0_utt0": "test",
        "test_dia0_utt1": "test",
        "train_dia0_utt0": "train",
        "train_dia0_utt1": "train",
    }
    assert table["label"]["test_dia0_utt1"] == "hap"
    assert table["speaker"]["train_dia0_utt1"] == "Joey"
    assert table["text"]["train_dia0_utt0"] == "You’re mad, aren't you"
    assert table["dialog"]["train_dia0_utt1"] == "train_dia0"
    assert table["turn"]["train_dia0_utt1"] == 1
    assert corpus.problems == ()


def test_annotations_without_a_recording_and_recordings_without_annotation_are_reported(
    tmp_path: Path,
) -> None:
    meld(tmp_path)
    (tmp_path / "train_splits" / "dia0_utt1.wav").rename(tmp_path / "train_splits/dia0_utt7.wav")
    problems = read_corpus(tmp_path, "meld").problems
    assert "1 recording has no line in the annotations, the first is train_spl" in problems[0]
    assert "1 annotated recording is missing, the first is train/0/1" in problems[1]


def test_msp_improv_takes_the_listeners_label_and_not_the_intended_one(tmp_path: Path) -> None:
    name = "MSP-IMPROV-S01A-F01-P-FM01"
    record(tmp_path, f"session1/S01A/P/{name}.wav")
    (tmp_path / "Evalution.txt").write_text(
        "UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:2.8; V:3.0; D:3.0 ; N:4.2;\n"
        "WORKER1; Neutral; Calm; A:3.0; V:3.0; D:3.0; N:4.0;\n"
    )
    corpus = read_corpus(tmp_path, "msp-improv")
    row = corpus.table.iloc[0]
    assert (row["label"], row["speaker"], row["session"]) == ("neu", "F01", "01")
    assert row["gender"] == "female"


def test_msp_podcast_is_read_from_its_consensus_labels(tmp_path: Path) -> None:
    record(tmp_path, "Audios/MSP-PODCAST_0001_0008.wav", "Audios/MSP-PODCAST_0002_0039.wav")
    (tmp_path / "Labels").mkdir()
    (tmp_path / "Labels" / "labels_consensus.csv").write_text(
        "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n"
        "MSP-PODCAST_0001_0008.wav,N,2.2,4,4,127,Female,Test1\n"
        "MSP-PODCAST_0002_0039.wav,A,4.2,4,4,Unknown,Male,Development\n"
    )
    table = read_corpus(tmp_path, "msp-podcast").table
    assert table["split"].tolist() == ["test", "dev"]
    assert table["label"].tolist() == ["neu", "ang"]
    assert table["gender"].tolist() == ["female", "male"]


def test_a_pattern_of_ones_own_reads_ones_own_recordings(tmp_path: Path) -> None:
    layout = Layout.from_dict(
        {
            "title": "Ours",
            "file": r"(?P<session>day\d)/(?P<speaker>\w+?)-(?P<label>\w+)-(?P<take>\d+)",
            "labels": {"wut": "ang", "froh": "hap"},
            "id": "{session}-{speaker}-{label}-{take}",
            "female": ["anna"],
        }
    )
    record(tmp_path, "day1/anna-wut-1.wav", "day2/bert-froh-1.wav", "day2/bert-öd-1.wav")
    corpus = read_named_files(tmp_path, layout)
    assert corpus.name == "Ours"
    assert corpus.table["id"].tolist() == [
        "day1-anna-wut-1", "day2-bert-froh-1", "day2-bert-öd-1"]  # fmt: skip
    assert corpus.table["label"].tolist() == ["ang", "hap", "öd"]
    assert corpus.table["gender"].tolist() == ["female", "", ""]
    assert corpus.problems == ("1 recording has a label that is not known: 'öd'",)


GOOD: dict[str, Any] = {"file": r"(?P<speaker>\d+)(?P<label>\w)"}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "has no fields"),
        ({}, r"pattern.file: None is not text"),
        ({"file": "("}, "is not a regular expression"),
        ({"file": "(?P<speaker>x)"}, r"nothing says the label; name a group \(\?P<label>"),
        ({"file": "x" * 2000}, "longer than 1000 characters"),
        (GOOD | {"labels": {1: "ang"}}, "quote what YAML takes for a number or a truth value"),
        (GOOD | {"labels": {True: "ang"}}, "quote what YAML takes for a number or a truth value"),
        (GOOD | {"female": "anna"}, "is not a list of names"),
        (GOOD | {"lables": {}}, r"pattern.lables: there is no such field; fields: .*labels"),
        (GOOD | {"id": "{speaker}-{take}"}, r"pattern.id: \{take\} is no group of `file`"),
        (GOOD | {"utterances": "many"}, "is not a whole number"),
        (GOOD | {"annotations": {"name": "x", "key": "", "match": ""}}, "needs either columns"),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_refused_by_its_field(data: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Layout.from_dict(data)


def test_every_layout_of_the_table_knows_its_title_and_labels() -> None:
    for name, layout in layouts().items():
        assert layout.title != name
        assert layout.labels
        assert {"ang", "hap", "neu", "sad"} <= set(layout.labels.values())
