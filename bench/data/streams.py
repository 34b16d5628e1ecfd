"""Random numbers that belong to a member, not to the process that happens to train it.

- A member must get the same numbers alone, inside any stack, after a resume, on CPU and on CUDA: so
  there is no state at all. A number is a pure function of (member key, purpose, step, place in the
  array).
- The function is Philox4x32-10 (Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as
  1, 2, 3", SC 2011), which needs only integer arithmetic; torch's int64 carries its unsigned 32-bit
  words. torch's own generators are not used because CPU and CUDA draw different numbers from one
  seed.
- Dropout draws a mask each training step, so a mask takes 16 bits per element instead of 32, and
  the rounds reuse their buffers: on two Zen 5 cores 3–9 ns a number where a call draws more than
  60,000, and never less than 0.35 ms a call (100 tensor operations; medians of 21), so what one
  step needs is best drawn in one call.

A block of four words has the counter (block number, step, purpose, purpose) and the member's key;
the words of an array of n blocks are laid out word by word, `[4, n]`, then cut to the size asked
for.
"""

import hashlib
import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

MASK = 0xFFFFFFFF
ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)  # Salmon et al. 2011, table 2 (PHILOX_M4x32_0, _1)
WEYL = (0x9E3779B9, 0xBB67AE85)  # golden ratio and sqrt(3) − 1: the key's increments per round


def philox4x32(
    counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Ten rounds of Philox4x32 on int64 tensors that hold unsigned 32-bit words.

    The six arguments may have any shapes that broadcast together; so may the four results (they
    have the full shape unless the arguments' own shapes make that unnecessary). Nothing that is
    passed in is written to.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    shape = np.broadcast_shapes(*(tuple(word.shape) for word in (*counter, *key)))
    own = False  # whether c0 and c2 are this function's own buffers of the full shape
    free: list[Tensor] = []  # own buffers of the full shape that hold nothing any more
    for step in range(ROUNDS):
        if step:
            k0, k1 = (k0 + WEYL[0]) & MASK, (k1 + WEYL[1]) & MASK
        # the products wrap modulo 2^64, which keeps both halves right; c1 and c3 keep their high
        # halves and are only masked together with the xor they enter
        p0 = torch.mul(c0, MULTIPLIERS[0], out=free.pop() if free else None)
        p1 = torch.mul(c2, MULTIPLIERS[1], out=free.pop() if free else None)
        if own:
            torch.bitwise_right_shift(p1, 32, out=c0).bitwise_xor_(c1).bitwise_xor_(k0)
            torch.bitwise_right_shift(p0, 32, out=c2).bitwise_xor_(c3).bitwise_xor_(k1)
            c0.bitwise_and_(MASK)
            c2.bitwise_and_(MASK)
            free = [word for word in (c1, c3) if word.shape == shape]
        else:
            c0, c2 = ((p1 >> 32) ^ c1 ^ k0) & MASK, ((p0 >> 32) ^ c3 ^ k1) & MASK
            own = c0.shape == c2.shape == shape
        c1, c3 = p1, p0
    return c0, c1 & MASK, c2, c3 & MASK


@lru_cache(maxsize=256)
def purpose_words(purpose: str) -> tuple[int, int]:
    """The two counter words of a purpose: the first 8 bytes of sha256 of its name."""
    digest = hashlib.sha256(purpose.encode()).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")


def words(keys: Tensor, purpose: str, step: int, blocks: int) -> tuple[Tensor, ...]:
    """Four int64 tensors [M, blocks] of unsigned 32-bit words for the members `keys` [M] int64.

    Raises ValueError for keys that are not a vector of int64, and for a step or block number
    outside 32 bits.
    """
    if keys.dtype != torch.int64 or keys.ndim != 1:
        raise ValueError(f"keys must be int64 [M], not {keys.dtype} {list(keys.shape)}")
    if not 0 <= step <= MASK or not 0 <= blocks <= MASK:
        raise ValueError(f"step {step} and {blocks} blocks must be in 0 … 2^32 − 1")
    block = torch.arange(blocks, dtype=torch.int64, device=keys.device)[None]
    step_word, *named = (
        torch.full((1, 1), value, dtype=torch.int64, device=keys.device)
        for value in (step, *purpose_words(purpose))
    )
    key = keys[:, None] & MASK, (keys[:, None] >> 32) & MASK
    drawn = philox4x32((block, step_word, named[0], named[1]), key)
    return tuple(word.expand(len(keys), blocks) for word in drawn)


def uniform(keys: Tensor, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
    """Uniform float32 [M, *shape] in [0, 1), multiples of 2^−24, on the keys' device.

    keys: [M] int64 (`Member.stream`). purpose: what the numbers are for; another name is another
    stream. Raises ValueError as `words` does.
    """
    size = math.prod(shape)
    blocks = -(-size // 4)
    result = torch.empty((len(keys), 4, blocks), dtype=torch.float32, device=keys.device)
    for place, word in enumerate(words(keys, purpose, step, blocks)):
        result[:, place] = word >> 8  # 24 bits: what a float32's significand holds exactly
    return result.mul_(2.0**-24).flatten(1)[:, :size].reshape(len(keys), *shape)


def normal(keys: Tensor, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
    """Standard normal float32 [M, *shape], on the keys' device; meant for initial weights.

    Box & Muller's transform in float64, on the CPU whatever the device: the logarithm and cosine of
    another device, or of another place in a vector, may differ in the last bit, and a member's
    weights may not. Raises ValueError as `words` does.
    """
    size = math.prod(shape)
    blocks = -(-size // 4)
    rows = []
    on_cpu = keys.cpu()
    for member in range(len(keys)):
        key = on_cpu[member : member + 1]
        a, b, c, d = (word[0].to(torch.float64) for word in words(key, purpose, step, blocks))
        pairs = []
        for first, second in ((a, b), (c, d)):
            radius = torch.sqrt(-2.0 * torch.log((first + 1.0) * 2.0**-32))  # (0, 1]: never log 0
            angle = second * (2.0**-32 * 2.0 * math.pi)
            pairs += [radius * torch.cos(angle), radius * torch.sin(angle)]
        rows.append(torch.cat(pairs)[:size].to(torch.float32).reshape(tuple(shape)))
    stacked = torch.stack(rows) if rows else torch.empty((0, *shape))
    return stacked.to(keys.device)


def dropout_mask(
    keys: Tensor, purpose: str, step: int, shape: Sequence[int], drop: float | Tensor
) -> Tensor:
    """Inverted-dropout mask float32 [M, *shape]: 0 with probability `drop`, else 1 / (1 − drop).

    drop: one probability in [0, 1), or one per member as float tensor [M]; it is rounded to a
    multiple of 2^−16 and the mask is scaled by what it was rounded to, so that its expectation is 1
    exactly. Raises ValueError for a probability outside [0, 1), and as `words` does.
    """
    members = len(keys)
    # kept on the CPU until checked: asking a CUDA tensor for its values would stall every training
    # step
    probability = torch.as_tensor(drop, dtype=torch.float64)
    if not probability.is_cuda and not bool(((probability >= 0) & (probability < 1)).all()):
        raise ValueError(f"a dropout probability must be in [0, 1), not {drop}")
    probability = probability.to(keys.device).expand(members)
    # 0 … 65535 as a signed 16-bit number, so that half words are compared without widening them
    dropped = (probability * 65536).round().clamp(0, 65535)[:, None]
    size = math.prod(shape)
    blocks = -(-size // 8)
    drawn = torch.empty((members, 4, blocks), dtype=torch.int32, device=keys.device)
    for place, word in enumerate(words(keys, purpose, step, blocks)):
        drawn[:, place] = word  # keeps the lower 32 bits
    halves = drawn.flatten(1).view(torch.int16)[:, :size]
    kept = halves >= (dropped - 32768).to(torch.int16)
    scale = (65536.0 / (65536 - dropped)).to(torch.float32)
    return kept.to(torch.float32).mul_(scale).reshape(members, *shape)


def permutation(key: int, purpose: str, epoch: int, n: int) -> Tensor:
    """A permutation of 0 … n − 1 as int64 [n] on the CPU: the order of n random 64-bit words.

    Two equal words (probability n² / 2^65) keep their places' order, so the result is always a
    permutation and always the same. Raises ValueError as `words` does.
    """
    a, b, c, d = words(torch.tensor([key]), purpose, epoch, -(-n // 2))
    drawn = torch.cat([(a << 32) | b, (c << 32) | d], dim=1)[0, :n]
    return torch.argsort(drawn, stable=True)
