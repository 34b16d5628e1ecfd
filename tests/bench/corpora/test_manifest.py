"""Any corpus through one CSV, and where exactly it is wrong."""

import unicodedata
import wave
from pathlib import Path

import pandas as pd
import pytest

from activations.errors import InputError
from bench.corpora.manifest import read_manifest
from bench.corpora.reading import read_corpus
from bench.data.examples import build_examples
from bench.data.folds import make_folds
from bench.data.protocol import Protocol


def write(root: Path, text: str) -> Path:
    (root / "wavs").mkdir(exist_ok=True)
    for name in "abcd":
        with wave.open(str(root / "wavs" / f"{name}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes(bytes(320))
    (root / "manifest.csv").write_text(text, encoding="utf-8")
    return root


def test_four_columns_are_enough_and_the_others_claim_nothing(tmp_path: Path) -> None:
    write(tmp_path, "id,audio,speaker,label\nu2,wavs/a.wav,s1,ang\nu1,wavs/b.wav,s2,neu\n")
    corpus = read_corpus(tmp_path, "manifest")
    table = corpus.table.set_index("id")
    assert corpus.name == tmp_path.name
    assert not corpus.synthetic
    assert table["session"].to_dict() == {"u1": "s2", "u2": "s1"}
    assert table["dialog"].to_dict() == {"u1": "u1", "u2": "u2"}
    assert table["turn"].to_list() == [0, 0]
    assert table["start"].isna().all()
    assert table["text"].to_list() == table["gender"].to_list() == ["", ""]
    assert table["audio"]["u2"] == str(tmp_path / "wavs" / "a.wav")
    assert build_examples(corpus, Protocol()).own.tolist() == [-1, -1]


def test_every_column_is_taken_when_it_is_there(tmp_path: Path) -> None:
    write(
        tmp_path,
        "\ufeffid,audio,start,end,speaker,dialog,turn,session,label,text,gender,improvised,split,"
        "valence,mood\n"
        'x,wavs/a.wav,0.002,0.008,F,d1,4,one,ang,"No, never",f,yes,Validation,2.5,grim\n'
        "y,wavs/b.wav,,0.005,M,d1,3,one,neu,Oh,Male,0,,,fine\n",
    )
    table = read_manifest(tmp_path).table
    assert table["split"].to_list() == ["", "dev"]
    assert table["segment"].to_list() == [True, True]
    assert table["valence"].isna().to_list() == [True, False]
    assert table["seconds"].round(6).to_list() == [0.005, 0.006]
    assert table["id"].to_list() == ["y", "x"]
    assert table["turn"].to_list() == [3, 4]
    assert table["text"].to_list() == ["Oh", "No, never"]
    assert table["gender"].to_list() == ["male", "female"]
    assert table["improvised"].to_list() == [False, True]
    assert table["session"].to_list() == ["one", "one"]
    assert table["end"].to_list() == [0.005, 0.008]


def test_without_turns_the_rows_order_is_the_dialogues_order(tmp_path: Path) -> None:
    write(
        tmp_path,
        "id,audio,speaker,label,dialog\nz,wavs/a.wav,F,ang,d\n\ny,wavs/b.wav,M,neu,d\n"
        "x,wavs/c.wav,F,sad,e\nw,wavs/d.wav,F,sad,d\n",
    )
    table = read_manifest(tmp_path).table
    assert table["id"].to_list() == ["z", "y", "w", "x"]
    assert table["turn"].to_list() == [0, 1, 2, 0]


def test_dialogues_without_sessions_can_be_folded_by_speaker(tmp_path: Path) -> None:
    rows = "".join(
        f"u{i},wavs/a.wav,{'ABCDEF'[2 * (i // 8 % 3) + i % 2]},{label},d{i // 8}\n"
        for i, label in enumerate(["ang", "ang", "hap", "hap", "neu", "neu", "sad", "sad"] * 6)
    )
    corpus = read_manifest(write(tmp_path, "id,audio,speaker,label,dialog\n" + rows))
    protocol = Protocol(test_unit="speaker")
    folds = make_folds(build_examples(corpus, protocol), protocol)
    assert [fold.name for fold in folds] == list("ABCDEF")
    with pytest.raises(InputError, match=r"dialogue d0 is in .* protocol.test_unit: speaker"):
        make_folds(build_examples(corpus, Protocol()), Protocol())


@pytest.mark.parametrize(
    "text",
    [
        "id;audio;speaker;label;start\r\nu;wavs/a.wav;s;ang;0,005\r\n",  # Excel in Berlin
        "sep=;\nid;audio;speaker;label;start\nu;wavs/a.wav;s;ang;0.005\n",
        "id\taudio\tspeaker\tlabel\tstart\nu\twavs/a.wav\ts\tang\t0.005\n",
        ",id,audio,speaker,label,start\n0,u,wavs/a.wav,s,ang,0.005\n",  # pandas' index
        "id,audio,speaker,label,start,,,\nu,wavs/a.wav,s,ang,0.005,,,\n",  # emptied columns
        "id,audio,speaker,label,start\nu,wavs/a.wav,s,ang,0.005,,\n\n,,,,\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_spreadsheets_write_is_read(tmp_path: Path, text: str, encoding: str) -> None:
    write(tmp_path, "")
    (tmp_path / "manifest.csv").write_bytes(text.encode(encoding))
    table = read_manifest(tmp_path).table
    assert table["id"].to_list() == ["u"]
    assert table["start"].to_list() == [0.005]


def test_a_table_in_parquet_is_the_same_corpus_as_in_csv(tmp_path: Path) -> None:
    text = "id,audio,speaker,label,turn,start\n1,wavs/a.wav,7,yes,0,\n2,wavs/b.wav,8,no,1,0.005\n"
    write(tmp_path, text)
    from_csv = read_manifest(tmp_path)
    table = pd.DataFrame(
        {"id": [1, 2], "audio": ["wavs/a.wav", "wavs/b.wav"], "speaker": [7.0, 8.0],
         "label": ["yes", "no"], "turn": [0, 1], "start": [None, 0.005]}
    )  # fmt: skip
    table.to_parquet(tmp_path / "manifest.parquet")
    with pytest.raises(InputError, match="name the one that is meant"):
        read_manifest(tmp_path)
    from_parquet = read_manifest(tmp_path / "manifest.parquet")
    assert from_parquet.fingerprint == from_csv.fingerprint
    (tmp_path / "manifest.parquet").write_bytes(b"PAR1 but not really PAR1")
    with pytest.raises(InputError, match=r"manifest.parquet cannot be read as Parquet \("):
        read_manifest(tmp_path / "manifest.parquet")


def test_a_spreadsheet_and_a_manifest_one_folder_below_are_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.xlsx").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"manifest.xlsx is a spreadsheet; save it as manifest.c"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.xlsx").unlink()
    (tmp_path / "below").mkdir()
    write(tmp_path / "below", "")
    with pytest.raises(InputError, match=r"but .*/below does; give that folder"):
        read_manifest(tmp_path)


def test_names_are_composed_and_files_found_in_either_form(tmp_path: Path) -> None:
    write(tmp_path, "")
    split = unicodedata.normalize("NFD", "Zoë")
    (tmp_path / "wavs" / "a.wav").rename(tmp_path / "wavs" / f"{split}.wav")
    lines = [f"ü,wavs/{split}.wav,{split},ang", "v,wavs/Zoë.wav,Zoë,ang"]
    (tmp_path / "manifest.csv").write_text("\n".join(["id,audio,speaker,label", *lines]))
    corpus = read_manifest(tmp_path)
    assert set(corpus.table["speaker"]) == {"Zoë"}
    assert corpus.faults == ()


def test_the_fingerprint_does_not_depend_on_paths_or_the_order_of_the_rows(tmp_path: Path) -> None:
    write(tmp_path, "id,audio,speaker,label\nu,wavs/a.wav,s,ang\nv,wavs/b.wav,t,neu\n")
    first = read_manifest(tmp_path).fingerprint
    (tmp_path / "wavs").rename(tmp_path / "audio")
    (tmp_path / "manifest.csv").write_text(
        "label,id,audio,speaker\nneu,v,audio/b.wav,t\nang,u,audio/a.wav,s\n"
    )
    assert read_manifest(tmp_path).fingerprint == first
    link = tmp_path.parent / f"{tmp_path.name}-link"
    link.symlink_to(tmp_path)
    assert read_manifest(link).fingerprint == first


HEADER = "id,audio,start,speaker,dialog,turn,label,gender,improvised\n"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "row 1: column id is missing"),
        ("id,audio,speaker\n", "row 1: column label is missing"),
        ("id,audio,speaker,label,dialogue\n", "row 1: no column is called 'dialogue'. Did you"),
        ("id,audio,speaker,label,Session\n", "row 1: no column is called 'Session'. Did you"),
        ("id,audio,speaker,label,id\n", "row 1: column id is there twice"),
        (HEADER, "has a header and no row"),
        (HEADER + "u,wavs/a.wav,0,s,d,0,ang,f\n", "row 2: 8 cells where the header has 9"),
        (HEADER + ",wavs/a.wav,0,s,d,0,ang,f,1\n", "row 2, column id: '' is not filled in"),
        (HEADER + "u,,0,s,d,0,ang,f,1\n", "row 2, column audio: '' is not filled in"),
        (HEADER + "u,wavs/a.wav,0,,d,0,ang,f,1\n", "row 2, column speaker: '' is not filled in"),
        (HEADER + "u,wavs/a.wav,0,s,d,0,,f,1\n", "row 2, column label: '' is not filled in"),
        (HEADER + "u,wavs/a.wav,soon,s,d,0,ang,f,1\n", "row 2, column start: 'soon' is not a ti"),
        (HEADER + "u,wavs/a.wav,-1,s,d,0,ang,f,1\n", "row 2, column start: '-1' is not a time"),
        (HEADER + "u,wavs/a.wav,nan,s,d,0,ang,f,1\n", "row 2, column start: 'nan' is not a time"),
        (HEADER + "u,wavs/a.wav,0,s,d,1.5,ang,f,1\n", "row 2, column turn: '1.5' is not a whole"),
        (HEADER + "u,wavs/a.wav,0,s,d,0,ang,x,1\n", "row 2, column gender: 'x' is not one of f"),
        (HEADER + "u,wavs/a.wav,0,s,d,0,ang,f,so\n", "row 2, column improvised: 'so' is not one"),
        (
            HEADER + "u,wavs/a.wav,0,s,d,0,ang,f,1\nu,wavs/b.wav,0,s,d,1,ang,f,1\n",
            "row 3, column id: 'u' is not a new id (row 2 has it too)",
        ),
        (
            HEADER + "u,wavs/a.wav,0,s,d,0,ang,f,1\nv,wavs/b.wav,0,s,d,0,ang,f,1\n",
            "row 3, column turn: '0' is not a new turn of dialogue d (row 2 has it)",
        ),
        ('id,audio,speaker,label\n"u,wavs/a.wav,s,ang\n', "cannot be read as UTF-8 CSV"),
        ("id,audio,speaker,label\nu,wavs/a.wav,s,ang,neu\n", "row 2: 5 cells where the header has"),
        (
            "id,audio,speaker,label,start,end\nu,wavs/a.wav,s,ang,0.5,0.4\n",
            "row 2, column end: '0.4' is not later than the start (0.5 s)",
        ),
        ("id,audio,speaker,label,split\nu,wavs/a.wav,s,ang,x\n", "column split: 'x' is not one of"),
        ("id,audio,speaker,label,valence\nu,wavs/a.wav,s,ang,x\n", "valence: 'x' is not a number"),
        ("id,audio,speaker,label\nu,wavs/a.wav," + "s" * 501 + ",ang\n", "at most 500 characters"),
        ("id,audio,speaker,label\nu,a\0.wav,s,ang\n", "is no path: it holds a NUL character"),
    ],
)
def test_what_is_wrong_is_named_by_file_row_and_column(
    tmp_path: Path, text: str, place: str
) -> None:
    write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_manifest(tmp_path)
    assert str(tmp_path / "manifest.csv") in str(caught.value)
    assert place in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_manifest_in_another_encoding_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "")
    data = "id,audio,speaker,label\nu,wavs/a.wav,Müller,ang\n".encode("latin-1")
    (tmp_path / "manifest.csv").write_bytes(data)
    with pytest.raises(InputError, match="cannot be read as UTF-8 CSV"):
        read_manifest(tmp_path)


def test_a_folder_that_is_missing_or_has_no_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere does not exist"):
        read_manifest(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"holds no manifest.csv; write one with the columns id,"):
        read_manifest(tmp_path)


def test_audio_that_is_missing_or_broken_is_named_or_listed(tmp_path: Path) -> None:
    write(tmp_path, "id,audio,speaker,label\nu,wavs/a.wav,s,ang\nv,wavs/z.wav,s,ang\n")
    with pytest.raises(InputError, match=r"wavs/z.wav is missing; put the audio there"):
        read_manifest(tmp_path)
    corpus = read_manifest(tmp_path, strict=False)
    assert len(corpus) == 2
    assert corpus.faults[0].endswith("wavs/z.wav is missing")
