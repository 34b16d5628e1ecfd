"""A corpus of any size, described within bounds."""

import io
import resource
import time
from contextlib import redirect_stdout
from pathlib import Path

import pandas as pd

from bench.corpora.corpus import Corpus
from bench.data.describe import describe
from bench.data.protocol import Protocol
from studies.terminal.corpora import print_corpus


def test_twenty_thousand_speakers_take_seconds_and_fill_no_terminal() -> None:
    names = [f"s{number:05}" for number in range(20_000)]
    table = pd.DataFrame({"id": names, "audio": names, "start": 0.0, "end": 1.0, "speaker": names})
    table = table.assign(dialog=names, turn=0, session=names, text="", gender="", improvised=False)
    table["label"] = ["ang", "hap", "neu", "sad"] * 5_000
    corpus = Corpus("everybody", Path("/nowhere"), table)
    before, most = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with redirect_stdout(io.StringIO()) as out:
        print_corpus(found := describe(corpus, Protocol()))
    grew = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most) << 10
    assert time.process_time() - before < 5.0
    assert grew < 500 << 20
    assert len(found["examples"]["speakers"]) == 20_000  # which --json has in full
    assert len(out.getvalue()) < 20_000
    assert "and 19,900 more; all: --json" in out.getvalue()
    assert "20,000 folds, more than 1,000" in found["problems"][0]
