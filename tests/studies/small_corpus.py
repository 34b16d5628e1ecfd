"""A corpus of three made-up speakers and a study of it that takes seconds; nothing is spoken."""

import wave
from pathlib import Path

# six members, each a stack of its own: two activations on three folds
SMALL = (
    "name=small",
    "protocol.test_unit=speaker",
    "seeds=1",
    "variants.activation=[tanh, relu]",
    "variants.direction=gru",
    "features={kind: logmel, normalise: none}",
    "model.kind=gru",
    "model.hidden_size=4",
    "training.steps=100",
    "stack.max_members=1",
)


def write_corpus(folder: Path) -> None:
    """Twelve recordings of some milliseconds, four of each speaker, and their manifest."""
    rows = ["id,audio,speaker,label"]
    for speaker in "ABC":
        for number, label in enumerate(["ang", "hap", "neu", "sad"]):
            name = f"{speaker}{number}"
            rows.append(f"{name},{name}.wav,{speaker},{label}")
            with wave.open(str(folder / f"{name}.wav"), "wb") as file:
                file.setparams((1, 2, 16_000, 0, "NONE", ""))
                file.writeframes(bytes(range(ord(speaker))) * (40 * (number + 1)))
    (folder / "manifest.csv").write_text("\n".join(rows))
