"""Who speaks where: speakers and dialogues as numbers, and questions about sets of them.

- A fold of a large corpus is checked against every other example, and there may be hundreds of
  folds: sets are boolean arrays, and a question is one pass over the pairs of dialogue and speaker.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.arrays import IntArray, Mask
from bench.data.examples import Examples


@dataclass(frozen=True, eq=False)
class Cast:
    """E examples, S speakers, D dialogues, P pairs of a dialogue and a speaker who is heard in it.

    speaker_names [S], dialog_names [D]: sorted. speaker, dialog: [E] numbers of each example's.
    heard_dialog, heard_speaker: [P], also of turns that are no examples.
    """

    speaker_names: NDArray[np.str_]
    dialog_names: NDArray[np.str_]
    speaker: IntArray
    dialog: IntArray
    heard_dialog: IntArray
    heard_speaker: IntArray

    @classmethod
    def of(cls, examples: Examples) -> "Cast":
        """The cast of some examples."""
        dialog_names, dialog = np.unique(examples.dialog, return_inverse=True)
        number = {str(name): n for n, name in enumerate(dialog_names)}
        pairs = [
            (number[name], speaker)
            for name, speakers in examples.parties.items()
            if name in number
            for speaker in sorted(speakers)
        ]
        heard = np.array([speaker for _, speaker in pairs], dtype=np.str_)
        both = np.concatenate([examples.speaker, heard])
        speaker_names, numbers = np.unique(both, return_inverse=True)
        speaker = numbers[: len(examples)].astype(np.int64)
        return cls(
            speaker_names=speaker_names,
            dialog_names=dialog_names,
            speaker=speaker,
            dialog=dialog.astype(np.int64),
            heard_dialog=np.concatenate(
                [dialog, np.array([number for number, _ in pairs], dtype=np.int64)]
            ).astype(np.int64),
            heard_speaker=np.concatenate([speaker, numbers[len(examples) :]]).astype(np.int64),
        )

    def speakers_of(self, rows: Mask | IntArray) -> Mask:
        """Which speakers [S] say the examples `rows`."""
        found = np.zeros(len(self.speaker_names), dtype=np.bool_)
        found[self.speaker[rows]] = True
        return found

    def dialogs_of(self, rows: Mask | IntArray) -> Mask:
        """Which dialogues [D] the examples `rows` are of."""
        found = np.zeros(len(self.dialog_names), dtype=np.bool_)
        found[self.dialog[rows]] = True
        return found

    def heard_in(self, dialogs: Mask) -> Mask:
        """Which speakers [S] are heard in any of the dialogues [D]."""
        found = np.zeros(len(self.speaker_names), dtype=np.bool_)
        found[self.heard_speaker[dialogs[self.heard_dialog]]] = True
        return found

    def with_any(self, speakers: Mask) -> Mask:
        """Which examples [E] are of a dialogue in which any of the speakers [S] is heard."""
        dialogs = np.zeros(len(self.dialog_names), dtype=np.bool_)
        dialogs[self.heard_dialog[speakers[self.heard_speaker]]] = True
        return np.asarray(dialogs[self.dialog])

    def circles(self, rows: Mask) -> IntArray:
        """For each speaker [S] the number of their circle: who speaks with whom in examples `rows`.

        -1 for a speaker who is heard in none of their dialogues. Circles share no dialogue.
        """
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        dialogs = self.dialogs_of(rows)
        kept = dialogs[self.heard_dialog]
        people, talks = len(self.speaker_names), len(self.dialog_names)
        edges = (self.heard_speaker[kept], people + self.heard_dialog[kept])
        graph = coo_array((np.ones(kept.sum()), edges), shape=(people + talks,) * 2)
        _, component = connected_components(graph, directed=False)
        present = self.heard_in(dialogs)
        circles = np.full(people, -1, dtype=np.int64)
        # numbered by their first speaker, so that the numbers follow from the names
        _, first, number = np.unique(component[:people][present], return_index=True,
                                     return_inverse=True)  # fmt: skip
        rank = np.argsort(np.argsort(first, kind="stable"), kind="stable")
        circles[present] = rank[number]
        return circles
