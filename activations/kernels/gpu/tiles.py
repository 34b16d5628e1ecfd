"""How the GPU kernels cut their work: block sizes, warps and stages, by precision and device.

- Where the three recurrent matrices and a tile's own needs fit a block's shared memory, one launch
  walks all steps with them (`BLOCK_K` absent); where not, one launch a step streams them from L2.
- Nothing here depends on how many recurrences run: a block's shape decides the order of its sums,
  and a member's bits must not depend on its companions.
- On sm_90, 64 rows and more are multiplied by instructions that want both factors of a float32
  product with the summed axis last. Sums over frames and products by transposed weights have it
  first, and would be copied number by number: those take fewer rows, or load without staging.
- Sizes were chosen by timing them on an H200 (docs/speed.md); `python -m bench.speed.ahead` prints
  what registers and shared memory they take.
"""

from functools import cache

import torch

SHARED_LIMITS = {80: 163 * 1024, 90: 227 * 1024}  # bytes that one block may use, by architecture
BYTES = {"bf16": 2, "tf32": 4, "ieee": 8}  # that a weight takes on chip; ieee: as two tf32 numbers
ROWS = 16  # rows of a time-walking tile: the least that tensor cores take, for most programs
STAGING = 24 * 1024  # bytes beside the weights that the products of 16 × 128 need
UNSTAGED = 1  # num_stages: a block's loads go through registers, which lay them out as they must be
MOST_CHUNKS = 32  # partial sums of one number
INDEX_TILES = {"BLOCK_F": 512, "num_warps": 4}  # of what is found once for every frame
TOTAL_TILES = {"BLOCK": 1024, "num_warps": 4}  # of the sum of partial sums


def shared_limit(device: torch.device) -> int:
    """Bytes of shared memory that one block may use: the device's, or sm_90's for the CPU."""
    return _shared_of(device.index) if device.type == "cuda" else SHARED_LIMITS[90]


@cache
def _shared_of(device: int) -> int:
    properties = torch.cuda.get_device_properties(device)
    limit: int = properties.shared_memory_per_block_optin  # type: ignore[attr-defined]
    return limit


def tiles(hidden: int, precision: str, shared: int) -> dict[str, int]:
    """Block sizes, num_warps and num_stages of a time-walking kernel; BLOCK_K only if it streams.

    shared: bytes that one block may use.
    """
    units = max(16, power(hidden))
    weights = 3 * units**2 * BYTES[precision]
    if weights + STAGING <= shared:
        return {
            "BLOCK_B": ROWS,
            "BLOCK_H": units,
            "num_warps": 8 if units > 32 else 4,
            "num_stages": 1,  # the backward kernel asks for its inputs one step ahead by itself
        }
    # both products of a step need fewer bytes in flight than 16 × 64 by 64 × 32, thrice
    short = precision == "ieee" or shared < 120 * 1024
    return {
        "BLOCK_B": ROWS,
        "BLOCK_H": 32,
        "BLOCK_K": 32 if short else 64,
        "num_warps": 4,
        "num_stages": 3,
    }


def product_tiles(inner: int, outer: int, precision: str) -> dict[str, int]:
    """Block sizes of packed frames [N, inner] times a weight that makes them [N, outer]."""
    split = precision == "ieee"  # every number takes two registers
    return {
        "BLOCK_F": 64 if split else 128,
        "BLOCK_J": min(64, max(16, power(outer))),
        "BLOCK_K": min(32 if split else 64, max(16, power(inner))),
        "num_warps": 8,
        "num_stages": UNSTAGED,
    }


def gradient_tiles(outputs: int, inputs: int) -> dict[str, int]:
    """Block sizes of a projection weight's gradient [outputs, inputs], a sum over frames."""
    return {
        "BLOCK_O": min(64, max(16, power(outputs))),
        "BLOCK_I": min(64, max(16, power(inputs))),
        "BLOCK_F": 32,
        "num_warps": 4,
        "num_stages": UNSTAGED,
    }


def recurrent_gradient_tiles(hidden: int) -> dict[str, int]:
    """Block sizes of a recurrent weight's gradient [3 · hidden, hidden], a sum over frames.

    Wide, because every program reads its rows and columns of all frames anew.
    """
    wide = min(256, max(16, power(hidden)))
    return {
        "BLOCK_M": 32,
        "BLOCK_H": wide,
        "BLOCK_F": 32,
        "num_warps": 8 if wide > 128 else 4,
        "num_stages": 3,
    }


def parameter_tiles(hidden: int) -> dict[str, int]:
    """Block sizes of a sum over frames for each of a layer's units."""
    return {"BLOCK_F": 32} | unit_tiles(hidden)


def unit_tiles(hidden: int) -> dict[str, int]:
    """Block sizes of a sum over a layer's units."""
    return {"BLOCK_H": min(128, max(16, power(hidden))), "num_warps": 4}


def chunks(tiles: int) -> int:
    """Into how many parts a sum over a group's frames is cut, where `tiles` programs would do it.

    Some 256 programs a group: enough for a group alone, and partial sums of few MB.
    """
    return max(1, min(MOST_CHUNKS, 256 // tiles))


def recurrent_chunks(hidden: int) -> int:
    """`chunks` of a recurrent weight's gradient, whose three matrices have hidden² numbers each."""
    blocks = recurrent_gradient_tiles(hidden)
    return chunks(3 * -(-hidden // blocks["BLOCK_M"]) * -(-hidden // blocks["BLOCK_H"]))


def power(n: int) -> int:
    """The smallest power of two that is at least n."""
    return 1 << (n - 1).bit_length()
