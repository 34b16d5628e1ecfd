/* What products are made of: floats as they are, or, where BF16 is defined, pairs of them rounded to bfloat16. Compiled after
   vmath.h.

   - A factor is what one multiplication takes of a row or a column: 32 bits, one float or two bfloat16, the first in the low half.
     Memory layout, packing and the order of sums are the same for both; K numbers are folded(K) factors.
   - Numbers are rounded to nearest, ties to even, in integer arithmetic on every target. NaN stays NaN. Sums are float32.
   - vdpbf16ps, the one instruction that makes this fast, stands in multiply_add. Where the target lacks it, C says the same: of a
     pair the second first, each product exact and each sum rounded once. What differs is that the instruction takes subnormal
     numbers for zero. */

typedef int64_t i64;
INLINE i64 least(i64 a, i64 b) { return a < b ? a : b; }
INLINE i64 padded(i64 K) { return (K + LANES - 1) / LANES * LANES; }

#if defined(BF16)

#define DEPTH 2 /* numbers in a factor */
typedef int32_t factor;
typedef vi factors;
typedef uint32_t vu __attribute__((vector_size(4 * LANES)));
typedef uint64_t vl __attribute__((vector_size(4 * LANES)));
typedef uint32_t half_vu __attribute__((vector_size(2 * LANES)));

/* x as bfloat16 in the upper halves; what is in the lower ones has no meaning. */
INLINE vu rounded(vf x)
{
    vu bits = (vu)x, even = bits >> 16 & 1;
    return (vu)choose(is_nan(x), (vf)(bits | 0x400000), (vf)(bits + 0x7fff + even));
}

INLINE factors fold(vf first, vf second) { return (factors)(rounded(first) >> 16 | (rounded(second) & 0xffff0000)); }
INLINE factors spread(factor one) { return one - (vi){0}; }

INLINE vf multiply_add(factors a, factors b, vf sum)
{
#if defined(__AVX512BF16__)
    return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#else
    const int32_t upper = (int32_t)0xffff0000;
    sum += (vf)(a & upper) * (vf)(b & upper);
    return sum + (vf)(a << 16) * (vf)(b << 16);
#endif
}

/* Neighbours in a row made factors: room[i] of row[2i] and row[2i + 1], beyond K of zeros. room: room_for(K) factors. */
INLINE i64 room_for(i64 K) { return padded(K) / 2; }
static const factor *along(const float *row, i64 K, factor *room)
{
    for (i64 k = 0; k < K; k += LANES) {
        vl pairs = (vl)rounded(load_first(row + k, least(K - k, LANES)));
        half_vu folded = __builtin_convertvector((pairs >> 16 & 0xffff) | (pairs >> 32 & 0xffff0000), half_vu);
        memcpy(room + k / 2, &folded, sizeof folded);
    }
    return room;
}

/* Two rows made factors: room[i] of first[i] and second[i] (zeros where it is NULL). room: padded(n) factors. */
static const factor *across(const float *first, const float *second, i64 n, factor *room)
{
    for (i64 i = 0; i < n; i += LANES) {
        i64 lanes = least(n - i, LANES);
        factors both = fold(load_first(first + i, lanes), second ? load_first(second + i, lanes) : splat(0));
        memcpy(room + i, &both, sizeof both);
    }
    return room;
}

#else

#define DEPTH 1
typedef float factor;
typedef vf factors;

INLINE factors fold(vf first, vf second) { return (void)second, first; }
INLINE factors spread(factor one) { return splat(one); }
INLINE vf multiply_add(factors a, factors b, vf sum) { return sum + a * b; }
INLINE i64 room_for(i64 K) { return (void)K, 0; }
INLINE const factor *along(const float *row, i64 K, factor *room) { return (void)K, (void)room, row; }
INLINE const factor *across(const float *first, const float *second, i64 n, factor *room)
{
    return (void)second, (void)n, (void)room, first;
}

#endif

INLINE i64 folded(i64 K) { return (K + DEPTH - 1) / DEPTH; }
