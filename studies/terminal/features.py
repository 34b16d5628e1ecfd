"""Features of two programs side by side, printed for people."""

from activations.wording import counted
from bench.corpora.corpus import Corpus
from bench.features.comparison import compare
from studies.terminal.display import TerminalDisplay, print_table


def print_comparison(corpus: Corpus, most: int) -> None:
    """Correlate librosa's columns with openSMILE's on at most so many recordings, evenly picked."""
    files = [str(path) for path in corpus.table["audio"]]
    picked = files[:: max(1, -(-len(files) // most))]
    with TerminalDisplay().counting("recordings") as count:
        found = compare(picked, count)
    recordings, frames = counted(found.utterances, "recording"), counted(found.frames, "frame")
    later = counted(found.shift, "frame")
    print(
        f"{corpus.name}: {recordings}, {frames}; Pearson's r of each recording's frames, "
        f"librosa's grid {later} later"
    )
    print_table(
        ["column", "median r", "lowest tenth"],
        [
            [name, f"{r:.3f}", f"{low:.3f}"]
            for name, r, low in zip(found.names, found.correlation, found.lowest, strict=True)
        ],
    )
