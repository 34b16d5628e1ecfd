"""A step of Adam on the CPU: one pass for each member's norm, and one that moves it.

- As torch's operations it is twenty passes over all parameters, gradients and moments: a thirtieth
  of a training step at H = 32.
- A member is one work item, and each of its tensors starts with a whole vector: its bits depend
  neither on threads nor on where it lies. They are not those of torch's operations, which round
  products before they add them.
"""

import ctypes
from functools import cache

import torch
from torch import Tensor

from activations.kernels.cpu.c_files import vectors_and_products
from activations.kernels.cpu.compiler import load_library
from activations.kernels.cpu.threads import parallel_region
from bench.network.flat import BETA1, BETA2, EPSILON, Flat

SOURCE = r"""
struct span {
    i64 start, tensors, size, decayed; /* [tensors, M, size] in the buffers */
};

struct adam {
    i64 M, spans, raw_epsilon, threads;
    const struct span *span;
    float *values, *gradients, *mean, *square;
    const float *rate, *l2, *clip, *losses; /* [M] */
    uint8_t *alive; /* [M] */
    float *norms; /* [M] of gradients, before they are clipped */
    float beta1, beta2, rest1, rest2; /* rest: 1 - beta, which a float's beta would be short of */
    float epsilon, correction1, correction2; /* 1 - beta1^t, sqrt(1 - beta2^t) */
    parallel_region parallel;
};

/* A tensor's gradients with their decay are squared and summed, a lane each. */
static vf squares(float *gradients, const float *values, i64 size, float l2)
{
    vf sum = splat(0);
    for (i64 i = 0; i < size; i += LANES) {
        i64 n = least(size - i, LANES);
        vf g = load_first(gradients + i, n);
        if (l2 != 0) {
            g += load_first(values + i, n) * l2;
            store_first(gradients + i, g, n);
        }
        sum += g * g;
    }
    return sum;
}

static void move(const struct adam *c, i64 at, i64 size, float limit, float rate)
{
    for (i64 i = at; i < at + size; i += LANES) {
        i64 n = least(at + size - i, LANES);
        vf g = load_first(c->gradients + i, n) * limit;
        vf mean = load_first(c->mean + i, n) * c->beta1 + g * c->rest1;
        vf square = load_first(c->square + i, n) * c->beta2 + g * g * c->rest2;
        vf root = v_sqrt(square);
        root = c->raw_epsilon ? (root + c->epsilon) / c->correction2
                              : root / c->correction2 + c->epsilon;
        store_first(c->mean + i, mean, n);
        store_first(c->square + i, square, n);
        store_first(c->values + i, load_first(c->values + i, n) - mean / root * rate, n);
    }
}

static void step_member(const void *argument, i64 m, char *scratch)
{
    const struct adam *c = argument;
    (void)scratch;
    vf sum = splat(0);
    for (i64 s = 0; s < c->spans; s++)
        for (i64 e = 0; e < c->span[s].tensors; e++) {
            i64 size = c->span[s].size, at = c->span[s].start + (e * c->M + m) * size;
            float l2 = c->span[s].decayed ? c->l2[m] : 0;
            sum += squares(c->gradients + at, c->values + at, size, l2);
        }
    float total = 0;
    for (i64 i = 0; i < LANES; i++)
        total += sum[i];
    c->norms[m] = sqrtf(total);
    c->alive[m] &= isfinite(c->losses[m]) && isfinite(c->norms[m]);
    if (!c->alive[m])
        return;
    float limit = c->clip[m] / (c->norms[m] + 1e-6f); /* 1e-6: as clip_grad_norm_ */
    for (i64 s = 0; s < c->spans; s++)
        for (i64 e = 0; e < c->span[s].tensors; e++) {
            i64 size = c->span[s].size, at = c->span[s].start + (e * c->M + m) * size;
            move(c, at, size, limit < 1 ? limit : 1, c->rate[m] / c->correction1);
        }
}

void gateswap_adam(const struct adam *c)
{
    run((struct region){c, c->M, NULL, 0, step_member, c->parallel, 0, 0}, c->threads);
}
"""

_I64, _FLOAT, _POINTER = ctypes.c_int64, ctypes.c_float, ctypes.c_void_p


class _Call(ctypes.Structure):
    """`struct adam` of the C."""

    _fields_ = (
        *((name, _I64) for name in ("M", "spans", "raw_epsilon", "threads")),
        *((name, _POINTER) for name in ("span", "values", "gradients", "mean", "square")),
        *((name, _POINTER) for name in ("rate", "l2", "clip", "losses", "alive", "norms")),
        *((name, _FLOAT) for name in ("beta1", "beta2", "rest1", "rest2")),
        *((name, _FLOAT) for name in ("epsilon", "correction1", "correction2")),
        ("parallel", _POINTER),
    )


class CompiledAdam:
    """Adam by C over flat buffers; mean and square are the moments, laid out as the values."""

    def __init__(self, flat: Flat) -> None:
        self._flat, self.steps = flat, 0
        self.mean, self.square = torch.zeros_like(flat.values), torch.zeros_like(flat.values)
        numbers = [(s.start, s.tensors, s.size, int(s.decayed)) for s in flat.spans]
        self._spans = torch.tensor(numbers, dtype=torch.int64)
        self._call = _Call(
            flat.members, len(numbers), int(flat.raw_epsilon), 1, self._spans.data_ptr(),
            *(x.data_ptr() for x in (flat.values, flat.gradients, self.mean, self.square)),
            *(x.data_ptr() for x in (flat.rate, flat.l2, flat.clip)),
            beta1=BETA1, beta2=BETA2, rest1=1 - BETA1, rest2=1 - BETA2, epsilon=EPSILON,
        )  # fmt: skip

    def step(self, losses: Tensor) -> Tensor:
        """As `StackedAdam.step`, by the gradients in the buffer, which it changes."""
        self.steps += 1
        call, norms, losses = self._call, torch.empty(self._flat.members), losses.contiguous()
        call.threads, call.parallel = torch.get_num_threads(), parallel_region()
        call.losses, call.norms = losses.data_ptr(), norms.data_ptr()
        call.alive = self._flat.alive.data_ptr()
        call.correction1 = 1 - BETA1**self.steps
        call.correction2 = (1 - BETA2**self.steps) ** 0.5
        _library().gateswap_adam(ctypes.byref(call))
        return norms


@cache
def _library() -> ctypes.CDLL:
    library = load_library(vectors_and_products("ieee") + SOURCE)
    library.gateswap_adam.restype = None
    return library
