"""What the demo corpus says, in which voice and mood: all but the audio, drawn from one seed.

- An emotion is a shift of five knobs (speaking rate, pitch, pitch range, loudness, pauses) in units
  of the spread between utterances of the same emotion, so that emotions overlap and no knob
  decides. Each speaker has a place on the knobs and an expressiveness of their own: means differ
  more between speakers than between emotions, which is what normalising per speaker undoes.
- Emotions follow a chain: a speaker mostly stays in their emotion, often takes over the other's,
  and sometimes enters a new one, often the dialogue's theme. So both contexts of the network say
  something about the current turn.
- Some turns are labelled `xxx` whatever their emotion, as annotators disagree.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.corpora.demo.texts import REMARKS, SENTENCES

SESSIONS = 5
KNOBS = ("rate", "pitch", "range", "gain", "gap")

# mean of each knob by emotion, in standard deviations between utterances of one emotion
EMOTIONS: dict[str, tuple[float, float, float, float, float]] = {
    "ang": (0.75, 0.3, 0.2, 1.9, -0.5),
    "hap": (0.45, 1.5, 1.4, 0.4, -0.2),
    "exc": (0.85, 1.9, 1.7, 0.9, -0.5),
    "neu": (0.0, -0.3, -0.4, -0.2, 0.0),
    "sad": (-1.2, -0.8, -0.9, -1.5, 1.0),
    "fru": (0.1, 0.1, -0.1, 0.9, 0.2),
    "sur": (0.3, 1.5, 1.2, 0.5, 0.0),
}
# how often an emotion is entered anew; about the release's four-class balance
ENTERED = {
    "ang": 0.17,
    "hap": 0.13,
    "exc": 0.11,
    "neu": 0.25,
    "sad": 0.18,
    "fru": 0.11,
    "sur": 0.05,
}
# each dialogue has an emotion that it comes back to; ten dialogues have the release's mix
THEMES = ("sad", "ang", "ang", "exc", "neu", "sad", "hap", "neu", "neu", "hap")
THEMED = 0.4  # how often an emotion entered anew is the theme
# the chain: keep one's own emotion, take over the other's, else enter one anew
STAY, FOLLOW = 0.44, 0.36
DISAGREED = 0.10  # turns labelled xxx

# one standard deviation of each knob: of log rate, pitch and range in espeak's units, dB, 10 ms
STEP = {"rate": 0.11, "pitch": 6.0, "range": 11.0, "gain": 2.6, "gap": 0.8}
SPEAKER_SPREAD = 1.5  # a speaker's place is at most so far from the voice's own, in the same units

# (voice, words per minute, pitch, pitch range) by session; two voices each, no two alike
VOICES = {
    "Ses01F": ("en-US+f1", 185, 55, 45),
    "Ses01M": ("gmw/en+m3", 175, 42, 45),
    "Ses02F": ("gmw/en+f2", 180, 48, 50),
    "Ses02M": ("en-US+m1", 180, 50, 50),
    "Ses03F": ("en-gb-scotland+f3", 190, 40, 40),
    "Ses03M": ("en-us-nyc+m7", 180, 40, 45),
    "Ses04F": ("en-029+f4", 180, 52, 50),
    "Ses04M": ("en-gb-x-gbclan+m5", 175, 45, 50),
    "Ses05F": ("en-gb-x-rp+f5", 185, 45, 45),
    "Ses05M": ("en-gb-scotland+m8", 180, 55, 50),
}


@dataclass(frozen=True)
class Line:
    """A line of a transcription without an utterance: a remark (`M: …`) or an `XX` id."""

    speaker: str  # F or M
    text: str
    has_id: bool


@dataclass(frozen=True)
class PlannedTurn:
    """One utterance before it is spoken: who says what, how, and what annotators will call it."""

    speaker: str  # F or M
    text: str
    emotion: str
    label: str
    speech: dict[str, str | int]  # arguments of speak.Synthesiser.speak
    room: dict[str, float | int]  # arguments of speak.record
    pause: float  # seconds since the end of the turn before; negative: they overlap
    after: Line | None  # what the transcription has after it


@dataclass(frozen=True)
class Dialogue:
    """One conversation of a session, recorded with the markers on F or on M."""

    name: str
    session: int
    turns: tuple[PlannedTurn, ...]


def plan_corpus(seed: int, dialogues_per_session: int) -> tuple[Dialogue, ...]:
    """All dialogues in the order of sessions; the same arguments give the same plan."""
    scripts: dict[str, list[tuple[str, str]]] = {}
    return tuple(
        # shifted by session, so that a small demo has all themes too
        _dialogue(name, session, THEMES[(index + 3 * session) % len(THEMES)], seed, scripts)
        for session in range(1, SESSIONS + 1)
        for index, name in enumerate(_names(session, dialogues_per_session))
    )


def _names(session: int, count: int) -> Iterator[str]:
    """As in the release: both markers, about three improvised dialogues for two scripted ones."""
    for index in range(count):
        marker, place = "FM"[index % 2], index // 2
        rounds, step = divmod(place, 5)
        scene = (
            f"impro{rounds * 3 + (0, 1, 1, 2, 2)[step] + 1:02d}"
            if step in (0, 1, 3)
            else f"script{rounds + 1:02d}_{1 if step == 2 else 2}"
        )
        yield f"Ses{session:02d}{marker}_{scene}"


def _dialogue(
    name: str, session: int, theme: str, seed: int, scripts: dict[str, list[tuple[str, str]]]
) -> Dialogue:
    generator = _generator(seed, name)
    scene = name.split("_", 1)[1]
    if scene.startswith("script"):
        if scene not in scripts:
            scripts[scene] = _lines(_generator(seed, scene))
        lines = scripts[scene]
    else:
        lines = _lines(generator)
    turns = []
    last: dict[str, str] = {}
    for place, (speaker, text) in enumerate(lines):
        listener = "M" if speaker == "F" else "F"
        emotion = _next_emotion(generator, last.get(speaker), last.get(listener), theme)
        last[speaker] = emotion
        turns.append(_turn(generator, seed, f"Ses{session:02d}{speaker}", text, emotion, place))
    return Dialogue(name, session, tuple(turns))


def _lines(generator: np.random.Generator) -> list[tuple[str, str]]:
    """(speaker, text) of a conversation of 18 … 30 turns; one in five opens with a monologue."""
    count = int(generator.integers(18, 31))
    speaker = str(generator.choice(["F", "M"]))
    monologue = int(generator.integers(4, 11)) if generator.random() < 0.2 else 0
    texts = generator.choice(SENTENCES, size=count, replace=False)
    lines = []
    for place in range(count):
        if place and place >= monologue and generator.random() < 0.85:
            speaker = "M" if speaker == "F" else "F"
        lines.append((speaker, str(texts[place])))
    return lines


def _next_emotion(
    generator: np.random.Generator, own: str | None, other: str | None, theme: str
) -> str:
    """One step of the chain; an emotion that is not there yet passes its share to a new one."""
    draw = generator.random()
    if own is not None and draw < STAY:
        return own
    if other is not None and STAY <= draw < STAY + FOLLOW:
        return other
    if generator.random() < THEMED:
        return theme
    names = list(ENTERED)
    return str(generator.choice(names, p=np.array([ENTERED[name] for name in names])))


def _turn(
    generator: np.random.Generator, seed: int, speaker: str, text: str, emotion: str, place: int
) -> PlannedTurn:
    voice, rate, pitch, pitch_range = VOICES[speaker]
    own = _generator(seed, speaker)  # the same draws for every turn of a speaker
    home = dict(zip(KNOBS, own.uniform(-SPEAKER_SPREAD, SPEAKER_SPREAD, len(KNOBS)), strict=True))
    expressiveness = float(np.exp(own.normal(0, 0.15)))
    level, noise = float(own.normal(-14, 2)), float(own.uniform(-66, -58))
    drawn = generator.standard_normal(len(KNOBS))
    knob = {
        name: STEP[name] * (home[name] + expressiveness * mean + value)
        for name, mean, value in zip(KNOBS, EMOTIONS[emotion], drawn, strict=True)
    }
    remark = generator.random()
    label = "xxx" if generator.random() < DISAGREED else emotion
    return PlannedTurn(
        speaker=speaker[-1],
        text=text,
        emotion=emotion,
        label=label,
        speech={
            "text": text,
            "voice": voice,
            "rate": int(np.clip(rate * np.exp(knob["rate"]), 90, 400)),
            "pitch": int(np.clip(pitch + knob["pitch"], 0, 99)),
            "pitch_range": int(np.clip(pitch_range + knob["range"], 0, 99)),
            "gap": int(np.clip(np.round(1.0 + knob["gap"]), 0, 5)),
        },
        room={
            "gain": min(level + knob["gain"], 1.0),  # louder would clip
            "lead": float(generator.uniform(0.05, 0.25)),
            "tail": float(generator.uniform(0.05, 0.30)),
            "noise": noise,
            "seed": int(generator.integers(2**31)),
        },
        pause=float(generator.uniform(-0.5, 0.9)) if place else float(generator.uniform(2, 7)),
        after=_remark(generator, speaker[-1], remark),
    )


def _remark(generator: np.random.Generator, speaker: str, draw: float) -> Line | None:
    """Now and then the listener says a word that nobody cut out: a line without an id, or an XX."""
    listener = "M" if speaker == "F" else "F"
    if draw < 0.03:
        return Line(listener, str(generator.choice(REMARKS)), has_id=False)
    if draw < 0.045:
        return Line(listener, "[LAUGHTER]", has_id=True)
    return None


def _generator(seed: int, name: str) -> np.random.Generator:
    """A stream of its own for everything that has a name, so that one does not shift another."""
    return np.random.default_rng([seed, *name.encode()])
