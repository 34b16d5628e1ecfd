"""How the GPU kernels cut their work: block sizes, warps and stages, by precision and device.

- Where the three recurrent matrices and a tile's own needs fit a block's shared memory, one launch
  walks all steps with them (`BLOCK_K` absent); where not, one launch a step streams them from L2.
- Nothing here depends on how many recurrences run: a block's shape decides the order of its sums,
  and a member's bits must not depend on its companions.
- Register and shared memory figures are ptxas's, for Triton 3.7 and sm_90;
  `python -m bench.speed.ahead` prints them anew.
"""

from functools import cache

import torch

SHARED_LIMITS = {80: 163 * 1024, 90: 227 * 1024}  # bytes that one block may use, by architecture
ROWS = 16  # rows of an on-chip tile: more rows spill registers
STAGING = 24 * 1024  # bytes beside the weights that the products of 16 × 128 need
MOST_CHUNKS = 32  # partial sums of one number
TOTAL_TILES = {"BLOCK": 1024, "num_warps": 4}  # of the sum of partial sums


def shared_limit(device: torch.device) -> int:
    """Bytes of shared memory that one block may use: the device's, or sm_90's for the CPU."""
    return _shared_of(device.index) if device.type == "cuda" else SHARED_LIMITS[90]


@cache
def _shared_of(device: int) -> int:
    properties = torch.cuda.get_device_properties(device)
    limit: int = properties.shared_memory_per_block_optin  # type: ignore[attr-defined]
    return limit


def tiles(hidden: int, rows: int, precision: str, shared: int) -> dict[str, int]:
    """Block sizes, num_warps and num_stages of a time-walking kernel; BLOCK_K only if it streams.

    shared: bytes that one block may use.
    """
    units = max(16, power(hidden))
    weights = 3 * units**2 * (2 if precision == "bf16" else 4)
    # without tensor cores the compiler keeps a loop's matrices in registers, and 128 units spill
    fits = weights + STAGING <= shared and not (precision == "ieee" and units > 64)
    if fits:
        many = units > 64 or (units > 32 and precision == "ieee")
        return {
            "BLOCK_B": ROWS,
            "BLOCK_H": units,
            "num_warps": 8 if many else 4,
            "num_stages": 1,  # the kernel asks for its inputs one step ahead by itself
        }
    if precision == "ieee" or shared < 160 * 1024:
        most, block_k, stages = (32 if precision == "ieee" else 64), 32, 2
    else:
        most, block_k, stages = 64, 64, (3 if shared >= 227 * 1024 else 2)
    block_b = min(most, max(16, power(rows)))
    return {
        "BLOCK_B": block_b,
        "BLOCK_H": 32,
        "BLOCK_K": block_k,
        "num_warps": 8 if block_b == 64 else 4,  # 64 rows by four warps spill the longest formulas
        "num_stages": stages,
    }


def product_tiles(inner: int, outer: int, precision: str) -> dict[str, int]:
    """Block sizes of packed frames [N, inner] times a weight that makes them [N, outer]."""
    return {
        "BLOCK_F": 64,
        "BLOCK_J": min(64, max(16, power(outer))),
        "BLOCK_K": min(32, max(16, power(inner))),
        "num_warps": 8 if precision == "ieee" else 4,
    }


def gradient_tiles(outputs: int, inputs: int) -> dict[str, int]:
    """Block sizes of a projection weight's gradient [outputs, inputs], a sum over frames."""
    return {
        "BLOCK_O": min(64, max(16, power(outputs))),
        "BLOCK_I": min(64, max(16, power(inputs))),
        "BLOCK_F": 32,
        "num_warps": 4,
    }


def recurrent_gradient_tiles(hidden: int) -> dict[str, int]:
    """Block sizes of a recurrent weight's gradient [3 · hidden, hidden], a sum over frames."""
    block = 64 if hidden > 32 else 32
    return {"BLOCK_M": block, "BLOCK_H": block, "BLOCK_F": 32, "num_warps": 4}


def parameter_tiles(hidden: int) -> dict[str, int]:
    """Block sizes of a sum over frames for each of a layer's units."""
    return {"BLOCK_F": 32} | unit_tiles(hidden)


def unit_tiles(hidden: int) -> dict[str, int]:
    """Block sizes of a sum over a layer's units."""
    return {"BLOCK_H": min(128, max(16, power(hidden))), "num_warps": 4}


def chunks(tiles: int) -> int:
    """Into how many parts a sum over a group's frames is cut, where `tiles` programs would do it.

    Some 128 programs a group: enough for a group alone, and partial sums of 2 MB at most.
    """
    return max(1, min(MOST_CHUNKS, 128 // tiles))


def recurrent_chunks(hidden: int) -> int:
    """`chunks` of a recurrent weight's gradient, whose three matrices have hidden² numbers each."""
    return chunks(3 * (-(-hidden // recurrent_gradient_tiles(hidden)["BLOCK_H"])) ** 2)


def power(n: int) -> int:
    """The smallest power of two that is at least n."""
    return 1 << (n - 1).bit_length()
