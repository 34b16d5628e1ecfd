"""Speak utterances with espeak-ng: a program of its own, `python speak.py < utterances.json`.

- espeak-ng keeps state from one utterance to the next (the phase of its flutter, its noise), and no
  call resets it. The same utterances give the same bytes only when a fresh process speaks them in
  the same order, so the unit of work is a process and the caller fixes what goes into one.
- It is not thread-safe either, and as a program it needs nothing of the package: it starts in a
  third of a second, whatever the parent has loaded and however it was started.
- The synthesiser's callback gets the samples (22,050 Hz); nothing is played.
"""

import ctypes
import json
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
SPOKEN_RATE = 22_050

# espeak-ng/speak_lib.h
AUDIO_OUTPUT_SYNCHRONOUS = 2
ESPEAK_RATE, ESPEAK_PITCH, ESPEAK_RANGE, ESPEAK_WORDGAP = 1, 3, 4, 7
ESPEAK_CHARS_UTF8 = 1
POS_CHARACTER = 1
CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class Synthesiser:
    """espeak-ng of the wheel `espeakng-loader`; one per process."""

    def __init__(self) -> None:
        import espeakng_loader

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._pieces: list[bytes] = []
        self._callback = CALLBACK(self._collect)  # kept: the library does not own it
        data = espeakng_loader.get_data_path().encode()
        rate = self._library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, data, 0)
        if rate != SPOKEN_RATE:
            raise RuntimeError(f"espeak-ng speaks at {rate} Hz, not at 22,050")
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # else it is the process's number

    def speak(
        self, text: str, *, voice: str, rate: int, pitch: int, pitch_range: int, gap: int
    ) -> NDArray[np.float64]:
        """The samples [n] at 22,050 Hz, in -1 … 1.

        rate: words per minute, 80 … 450. pitch, pitch_range: 0 … 99. gap: pause between words in
        units of 10 ms. Raises RuntimeError when espeak-ng refuses one of them.
        """
        self._pieces.clear()
        self._check(self._library.espeak_SetVoiceByName(voice.encode()), f"the voice {voice}")
        settings = {
            ESPEAK_RATE: rate,
            ESPEAK_PITCH: pitch,
            ESPEAK_RANGE: pitch_range,
            ESPEAK_WORDGAP: gap,
        }
        for parameter, value in settings.items():
            status = self._library.espeak_SetParameter(parameter, value, 0)
            self._check(status, f"parameter {parameter} = {value}")
        data = text.encode()
        self._check(
            self._library.espeak_Synth(
                data, len(data) + 1, 0, POS_CHARACTER, 0, ESPEAK_CHARS_UTF8, None, None
            ),
            f"the text {text!r}",
        )
        self._check(self._library.espeak_Synchronize(), "to finish")
        return np.frombuffer(b"".join(self._pieces), "<i2") / 32768

    def _collect(self, samples: Any, count: int, _events: object) -> int:
        if samples and count > 0:
            self._pieces.append(ctypes.string_at(samples, count * 2))
        return 0

    @staticmethod
    def _check(status: int, what: str) -> None:
        if status != 0:
            raise RuntimeError(f"espeak-ng refuses {what} (status {status})")


def record(
    samples: NDArray[np.float64], *, gain: float, lead: float, tail: float, noise: float, seed: int
) -> NDArray[np.int16]:
    """What a microphone would have: samples [n] at 22,050 Hz → [m] at 16 kHz.

    gain: dB. lead, tail: seconds of room before and after. noise: level of the room, dB of full
    scale; a room is never digitally silent, and features take logarithms. seed: of that noise.
    """
    import soxr  # type: ignore[import-untyped]  # not at the top: the parent process only wants RATE

    speech = soxr.resample(samples, SPOKEN_RATE, RATE) * 10 ** (gain / 20)
    heard = np.concatenate([np.zeros(round(lead * RATE)), speech, np.zeros(round(tail * RATE))])
    room = np.random.default_rng(seed).standard_normal(len(heard)) * 10 ** (noise / 20)
    return np.clip(np.round((heard + room) * 32768), -32768, 32767).astype(np.int16)


def write_wav(path: Path, samples: NDArray[np.int16]) -> None:
    """Write samples [n] as 16-bit mono at 16 kHz."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())


def main() -> None:
    """Read a JSON list of utterances, write a wav for each and say its number of samples.

    An utterance is `{path, speech: arguments of speak, room: arguments of record}`.
    """
    synthesiser = Synthesiser()
    for utterance in json.load(sys.stdin):
        samples = record(synthesiser.speak(**utterance["speech"]), **utterance["room"])
        write_wav(Path(utterance["path"]), samples)
        print(len(samples), flush=True)


if __name__ == "__main__":
    main()
