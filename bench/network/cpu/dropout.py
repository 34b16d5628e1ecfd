"""Dropout masks of a member, compiled: the numbers of bench.data.streams, ten times as fast.

- A training step needs more random numbers than anything else; out of a hundred tensor operations
  they took an eighth of a training step at H = 32 (five members, one Zen 5 core: 0.7 ms of 5 a
  member, 0.07 ms here).
- The same bits as the tensor operations give, which are the definition and the way on a GPU or
  without a compiler.
"""

import ctypes
import sys
from functools import cache

from torch import Tensor

from activations.kernels.cpu.compiler import CompilerError, load_library
from bench.data import streams

# Philox4x32-10 on LANES blocks at once. A block's eight half words are the elements 8 b … 8 b + 7
# of a frame, the lower half of each word first.
SOURCE = r"""
#include <stdint.h>

#define LANES 16
typedef uint32_t words __attribute__((vector_size(4 * LANES)));
typedef int16_t half __attribute__((may_alias));
typedef uint64_t longs __attribute__((vector_size(8 * LANES)));

static inline void multiply(words a, uint32_t b, words *high, words *low) {
    longs product = __builtin_convertvector(a, longs) * (uint64_t)b;
    *high = __builtin_convertvector(product >> 32, words);
    *low = a * b;
}

/* frames x blocks counters from 0 on; inputs [frames, features], outputs [frames, width] */
__attribute__((optimize("O3")))
void gateswap_dropout(uint64_t key, uint32_t step, uint32_t purpose_low, uint32_t purpose_high,
                      int64_t frames, int64_t features, int64_t width, int16_t bound, float scale,
                      float *inputs, float *outputs) {
    int64_t blocks = (features + width + 7) / 8;
    uint32_t drawn[LANES * blocks][4]; /* of LANES frames, so that they fill whole vectors */
    for (int64_t frame = 0; frame < frames; frame += LANES) {
        for (int64_t first = 0; first < LANES * blocks; first += LANES) {
            words c0, c1 = {0}, c2 = {0}, c3 = {0};
            for (int lane = 0; lane < LANES; lane++)
                c0[lane] = (uint32_t)(frame * blocks + first + lane);
            c1 += step, c2 += purpose_low, c3 += purpose_high;
            uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
            for (int round = 0; round < 10; round++) {
                words high0, low0, high1, low1;
                multiply(c0, 0xD2511F53u, &high0, &low0);
                multiply(c2, 0xCD9E8D57u, &high1, &low1);
                c0 = high1 ^ c1 ^ k0, c2 = high0 ^ c3 ^ k1;
                c1 = low1, c3 = low0;
                k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
            }
            for (int lane = 0; lane < LANES; lane++) {
                uint32_t *of = drawn[first + lane];
                of[0] = c0[lane], of[1] = c1[lane], of[2] = c2[lane], of[3] = c3[lane];
            }
        }
        for (int64_t f = frame; f < frame + LANES && f < frames; f++) {
            half *of = (half *)drawn[(f - frame) * blocks]; /* little-endian: lower half first */
            float *in = inputs + f * features, *out = outputs + f * width - features;
            for (int64_t e = 0; e < features; e++)
                in[e] = of[e] >= bound ? scale : 0.0f;
            for (int64_t e = features; e < features + width; e++)
                out[e] = of[e] >= bound ? scale : 0.0f;
        }
    }
}
"""


@cache
def available() -> bool:
    """Whether it runs here: with a C compiler, on a little-endian machine."""
    if sys.byteorder != "little":
        return False
    try:
        load_library(SOURCE)
    except CompilerError:
        return False
    return True


def fill(
    key: int, step: int, purpose: str, bound: int, scale: float, inputs: Tensor, outputs: Tensor
) -> None:
    """Write one member's masks: inputs [n, I], outputs [n, W], contiguous float32 on the CPU.

    An element is `scale` where its half word, as a signed 16-bit number, is at least `bound`.
    """
    draw = load_library(SOURCE).gateswap_dropout
    draw.argtypes = (
        *(ctypes.c_uint64, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32),
        *(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_int16, ctypes.c_float),
        *(ctypes.c_void_p, ctypes.c_void_p),
    )
    draw.restype = None
    sizes = (len(inputs), inputs.shape[1], outputs.shape[1])
    words = streams.purpose_words(purpose)
    key &= 2**64 - 1
    draw(key, step, *words, *sizes, bound, scale, inputs.data_ptr(), outputs.data_ptr())
