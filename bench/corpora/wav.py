"""What is wrong with an audio file, found by looking at its head: ten thousand files in a second.

Whoever reads a corpus wants to hear of the one wav that was cut short before an hour of features,
not in the middle of it. Reading the samples checks again.
"""

from pathlib import Path


def audio_fault(path: Path) -> str:
    """What is wrong with the file, to be read after its name; "" when nothing is.

    Wav files are walked chunk by chunk and must be as long as they say. Other formats are only
    asked whether soundfile can open them.
    """
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if not path.is_file():
        return "is not a file"
    if size == 0:
        return "is empty"
    try:
        return _wav_fault(path, size) if path.suffix.lower() == ".wav" else _other_fault(path)
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _wav_fault(path: Path, size: int) -> str:
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
            return f"is not a wav file (it begins with {head[:4]!r})"
        seen_format = False
        while len(chunk := file.read(8)) == 8:
            name, length = chunk[:4], int.from_bytes(chunk[4:], "little")
            if name == b"data":
                return _data_fault(file.tell(), length, size, seen_format)
            seen_format |= name == b"fmt "
            file.seek(length + length % 2, 1)  # chunks begin at even bytes
    return "is cut short: it ends within its header"


def _data_fault(start: int, length: int, size: int, seen_format: bool) -> str:
    if not seen_format:
        return "is not a wav file (it does not say its sample format)"
    if length == 0:
        return "holds no samples"
    if start + length > size:
        return f"is cut short: {size - start:,} of {length:,} bytes of samples are there"
    return ""


def _other_fault(path: Path) -> str:
    import soundfile  # only where a corpus is not made of wav files

    try:
        frames = soundfile.info(str(path)).frames
    except soundfile.LibsndfileError:
        return "is in no audio format that soundfile reads"
    return "" if frames else "holds no samples"
