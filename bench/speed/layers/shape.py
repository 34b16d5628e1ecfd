"""What a contestant works on, and the least that any of them has to do for it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LayerShape:
    """R GRUs (I → H) over B rows of T frames each, or of up to T where lengths are "iemocap".

    step: whether a whole training step around them is meant, see whole_step.py; operations and
    bytes are the GRUs' alone.
    """

    T: int
    B: int
    I: int  # noqa: E741 - the axis' name in every result file
    H: int
    R: int = 1
    lengths: str = "equal"
    step: bool = False

    @property
    def plain(self) -> bool:
        """Whether it is what every library offers: one GRU, rows of equal length."""
        return self.R == 1 and self.lengths == "equal"

    @property
    def flops_per_frame(self) -> int:
        """Operations of one frame of one GRU: three products (forward, by input, by weight)."""
        return 3 * 2 * 3 * self.H * (self.I + self.H)

    def compulsory_bytes(self, frames: float) -> float:
        """Memory traffic that no implementation avoids, over that many frames (of all R GRUs).

        Counted once each, in float32: the input read and the gradient by it written, the states
        written and the gradient by them read; of each GRU the weights and biases read and their
        gradients written. What an implementation keeps between forward and backward, or reads
        again because it does not fit a cache, is its own choice and not counted.
        """
        of_frames = 2 * frames * (self.I + self.H)
        of_weights = 2 * self.R * (3 * self.H * (self.I + self.H) + 2 * 3 * self.H)
        return 4 * (of_frames + of_weights)


def layer_shape(device: str, hidden: int) -> LayerShape:
    """The shape that single layers are measured at on a "cpu" or on "cuda", of H hidden units."""
    return LayerShape(T=200 if device == "cuda" else 100, B=64, I=45, H=hidden)
