/* Vectors of floats and the elementary functions that activations are made of.

   - Written with the vector extensions of gcc and clang: one vector is as wide as the target's registers, and a function
     inlines into the loop that uses it. The C library has no vector forms that both compilers reach from C.
   - Branch-free, a few units in the last place over all finite floats, right limits at infinities, NaN in NaN out. Where a
     function must clamp it does so with at_least/at_most, which keep a NaN; a plain minimum or maximum would lose it.
   - Polynomials are minimax fits (Lawson iteration) of the function named beside them; the error given is relative
     and before rounding. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX2__)
#define LANES 8
#else
#define LANES 4
#endif
#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

typedef float vf __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));
typedef float vf_unaligned __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline, unused))

INLINE vf splat(float value) { return value - (vf){0}; }
INLINE vf load(const float *from) { return *(const vf_unaligned *)from; }
INLINE void store(float *to, vf value) { *(vf_unaligned *)to = value; }

/* The first n lanes (1 <= n <= LANES); what lies behind them is neither read nor written, and reads as 0. */
INLINE vf load_first(const float *from, int64_t n)
{
    if (n == LANES)
        return load(from);
#if defined(__AVX512F__)
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), from);
#else
    vf value = {0};
    memcpy(&value, from, (size_t)n * 4);
    return value;
#endif
}

INLINE void store_first(float *to, vf value, int64_t n)
{
    if (n == LANES) {
        store(to, value);
        return;
    }
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(to, (__mmask16)((1u << n) - 1), value);
#else
    memcpy(to, &value, (size_t)n * 4);
#endif
}

/* Comparisons give a mask; choose(mask, a, b) takes a where it is set. lesser(a, b) and greater(a, b) return b where either
   is NaN. */
#if defined(__AVX512F__)
typedef __mmask16 vm;
INLINE vm lt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
INLINE vm le(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
INLINE vm is_nan(vf a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
INLINE vf choose(vm mask, vf a, vf b) { return _mm512_mask_blend_ps(mask, b, a); }
INLINE int any(vm mask) { return mask != 0; }
INLINE vf lesser(vf a, vf b) { return _mm512_min_ps(a, b); }
INLINE vf greater(vf a, vf b) { return _mm512_max_ps(a, b); }
INLINE vf v_sqrt(vf x) { return _mm512_sqrt_ps(x); }
#else
typedef vi vm;
INLINE vm lt(vf a, vf b) { return a < b; }
INLINE vm le(vf a, vf b) { return a <= b; }
INLINE vm is_nan(vf a) { return a != a; }
#if defined(__AVX2__)
INLINE vf choose(vm mask, vf a, vf b) { return _mm256_blendv_ps(b, a, (vf)mask); }
INLINE int any(vm mask) { return _mm256_movemask_ps((vf)mask) != 0; }
INLINE vf lesser(vf a, vf b) { return _mm256_min_ps(a, b); }
INLINE vf greater(vf a, vf b) { return _mm256_max_ps(a, b); }
INLINE vf v_sqrt(vf x) { return _mm256_sqrt_ps(x); }
#else
INLINE vf choose(vm mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }
INLINE int any(vm mask)
{
    int32_t found = 0;
    for (int i = 0; i < LANES; i++)
        found |= mask[i];
    return found != 0;
}
INLINE vf lesser(vf a, vf b) { return choose(a < b, a, b); }
INLINE vf greater(vf a, vf b) { return choose(a > b, a, b); }
INLINE vf v_sqrt(vf x)
{
    for (int i = 0; i < LANES; i++)
        x[i] = sqrtf(x[i]);
    return x;
}
#endif
#endif

INLINE vm gt(vf a, vf b) { return lt(b, a); }
INLINE vm ge(vf a, vf b) { return le(b, a); }
INLINE vf at_most(vf x, float bound) { return lesser(splat(bound), x); }
INLINE vf at_least(vf x, float bound) { return greater(splat(bound), x); }
INLINE vf v_min(vf a, vf b) { return choose(is_nan(a), a, lesser(a, b)); }
INLINE vf v_max(vf a, vf b) { return choose(is_nan(a), a, greater(a, b)); }
INLINE vf v_abs(vf x) { return (vf)((vi)x & 0x7fffffff); }
INLINE vf with_sign_of(vf magnitude, vf x)
{
    return (vf)(((vi)magnitude & 0x7fffffff) | ((vi)x & (int32_t)0x80000000));
}
INLINE vf v_sign(vf x) { return choose(lt(splat(0), v_abs(x)), with_sign_of(splat(1), x), splat(0)); }

/* x = whole * ln 2 + rest with |rest| <= ln 2 / 2; whole as float and as int. */
typedef struct {
    vf rest;
    vi whole;
} reduced;

INLINE reduced by_ln2(vf x)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it leaves the rounded integer in the low bits */
    vf shifted = x * 1.44269504f + magic;
    vf whole = shifted - magic;
    /* ln 2 in two parts, the first short enough for exact products */
    return (reduced){x - whole * 0.693145752f - whole * 1.42860677e-6f, (vi)shifted - (vi)splat(magic)};
}

INLINE vf two_to_the(vi n) { return (vf)((n + 127) << 23); } /* -126 <= n <= 127 */

/* e^r - 1 for |r| <= ln 2 / 2; 3e-9 */
INLINE vf small_expm1(vf r)
{
    vf q = 1.395060030e-03f * r + 8.368953709e-03f;
    q = q * r + 4.166620417e-02f;
    q = q * r + 1.666651830e-01f;
    q = q * r + 5.000000096e-01f;
    return q * (r * r) + r;
}

INLINE vf v_exp(vf x)
{
    reduced r = by_ln2(at_least(at_most(x, 89.0f), -104.0f)); /* beyond lie inf and 0 */
    vf p = small_expm1(r.rest) + 1.0f;
#if defined(__AVX512F__)
    return _mm512_scalef_ps(p, __builtin_convertvector(r.whole, vf));
#else
    vi half = r.whole >> 1; /* in two steps, for 2^whole itself may be out of range */
    return p * two_to_the(half) * two_to_the(r.whole - half);
#endif
}

INLINE vf v_expm1(vf x)
{
    reduced r = by_ln2(at_least(at_most(x, 89.0f), -30.0f)); /* beyond lie inf and -1 */
    vf half = two_to_the(r.whole - 1); /* half the scale: the whole one overflows before the result does */
    return 2.0f * (small_expm1(r.rest) * half + (half - 0.5f));
}

INLINE vf v_sigmoid(vf x) { return 1.0f / (1.0f + v_exp(-x)); }

/* Between -10 and 10, beyond which tanh rounds to -1 and 1. */
INLINE vf v_tanh(vf x)
{
    reduced r = by_ln2(2.0f * at_least(at_most(x, 10.0f), -10.0f));
    vf scale = two_to_the(r.whole);
    vf e = small_expm1(r.rest) * scale + (scale - 1.0f); /* e^2x - 1 */
    return e / (e + 2.0f);
}

/* log(m 2^k) for normal numbers, as k and log(1 + f) - c with 1 + f = m in [sqrt 1/2, sqrt 2]; s = f / (2 + f), and
   log(1 + f) = 2 atanh(s) = f - s (f - 2 s^2 R(s^2)); R: 8e-10. */
INLINE vf log_of_normal(vf x, vf exponent_shift, vf correction)
{
    vi bits = (vi)x - 0x3f3504f3; /* sqrt 1/2 */
    vf k = __builtin_convertvector(bits >> 23, vf) + exponent_shift;
    vf f = (vf)((bits & 0x7fffff) + 0x3f3504f3) - 1.0f;
    vf s = f / (2.0f + f);
    vf z = s * s;
    vf R = 1.494259529e-01f * z + 1.998853962e-01f;
    R = R * z + 3.333338988e-01f;
    vf low = s * (2.0f * z * R - f) + (k * 1.42860677e-6f + correction);
    return k * 0.693145752f + (f + low);
}

/* What log_of_normal does not do right: 0, negative numbers, infinity and NaN. */
INLINE vf log_at_edges(vf x, vf log)
{
    log = choose(lt(x, splat(INFINITY)), log, x); /* inf and NaN are their own logarithms */
    log = choose(lt(x, splat(0)), splat(NAN), log);
    return choose(le(v_abs(x), splat(0)), splat(-INFINITY), log);
}

INLINE vf v_log(vf x)
{
    vm tiny = lt(x, splat(1.17549435e-38f)); /* subnormal */
    vf log = log_of_normal(choose(tiny, x * 0x1p25f, x), choose(tiny, splat(-25), splat(0)), splat(0));
    return log_at_edges(x, log);
}

INLINE vf v_log1p(vf x)
{
    vf u = 1.0f + x;
    vf lost = choose(lt(x, splat(1)), x - (u - 1.0f), 1.0f - (u - x)); /* what the sum rounded away */
    return log_at_edges(u, log_of_normal(u, splat(0), choose(lt(v_abs(x), splat(1e9f)), lost / u, splat(0))));
}

/* log(1 + u) for 0 <= u <= 1 as 2 atanh(u / (2 + u)); 5e-9 */
INLINE vf log1p_of_fraction(vf u)
{
    vf s = u / (2.0f + u);
    vf z = s * s;
    vf R = 1.401223283e-01f * z + 1.399956970e-01f;
    R = R * z + 2.001084959e-01f;
    R = R * z + 3.333320656e-01f;
    return 2.0f * (R * (z * s) + s);
}

INLINE vf v_softplus(vf x) { return greater(splat(0), x) + log1p_of_fraction(v_exp(-v_abs(x))); }

/* x + x P(x^2) up to 1 (1e-9), beyond it 1 - e^Q(|x|), Q = log(1 - erf) (2e-11 of erf). */
INLINE vf v_erf(vf x)
{
    vf t = at_most(v_abs(x), 4.0f); /* erf(4) rounds to 1 */
    vf z = t * t;
    vf p = 7.889119525e-05f * z - 8.020841278e-04f;
    p = p * z + 5.189535339e-03f;
    p = p * z - 2.685444459e-02f;
    p = p * z + 1.128360018e-01f;
    p = p * z - 3.761262714e-01f;
    p = p * z + 1.283791659e-01f;
    vf q = -2.169767872e-05f * t + 4.414734272e-04f;
    q = q * t - 4.205288655e-03f;
    q = q * t + 2.521035042e-02f;
    q = q * t - 1.084221167e-01f;
    q = q * t - 6.332163806e-01f;
    q = q * t - 1.129580320e+00f;
    q = q * t + 1.884696481e-04f;
    return with_sign_of(choose(lt(t, splat(1)), p * t + t, 1.0f - v_exp(q)), x);
}

/* u + u^3 P(u^2) for u <= 1 (2e-9), pi/2 less that of 1/x beyond. */
INLINE vf v_atan(vf x)
{
    vf t = v_abs(x);
    vm large = gt(t, splat(1));
    vf u = choose(large, 1.0f / t, t);
    vf z = u * u;
    vf p = -1.827184650e-03f * z + 1.106431503e-02f;
    p = p * z - 3.145546911e-02f;
    p = p * z + 5.823432008e-02f;
    p = p * z - 8.419445966e-02f;
    p = p * z + 1.095757185e-01f;
    p = p * z - 1.426524460e-01f;
    p = p * z + 1.999863855e-01f;
    p = p * z - 3.333330186e-01f;
    vf angle = p * (z * u) + u;
    return with_sign_of(choose(large, 1.57079633f - angle, angle), x);
}

/* Beyond this the reduction below loses bits: without fused multiply-add as soon as it subtracts anything. No healthy GRU
   comes to the first limit, so there the C library's slow way will do. */
#if defined(__FMA__) || defined(__aarch64__)
#define LARGEST_ANGLE 30000.0f
#else
#define LARGEST_ANGLE 0.78f
#endif

__attribute__((noinline, unused)) static vf lane_by_lane(float (*function)(float), vf x)
{
    for (int i = 0; i < LANES; i++)
        x[i] = function(x[i]);
    return x;
}

/* sin(x + quarter_turns pi/2): x = whole pi/2 + r, |r| <= pi/4; sin: 4e-9, cos: 1e-10 */
INLINE vf sine(vf x, int32_t quarter_turns)
{
    const float magic = 12582912.0f;
    vf shifted = x * 0.636619772f + magic;
    vf whole = shifted - magic;
    vi quadrant = (vi)shifted - (vi)splat(magic) + quarter_turns;
    vf r = x - whole * 1.57079601f - whole * 3.13916473e-7f - whole * 5.39030253e-15f;
    vf z = r * r;
    vf s = -1.951083813e-04f * z + 8.332131488e-03f;
    s = s * z - 1.666665423e-01f;
    s = s * (z * r) + r;
    vf c = 2.443120278e-05f * z - 1.388730602e-03f;
    c = c * z + 4.166664565e-02f;
    c = c * (z * z) + (1.0f - 0.5f * z);
    vf odd = __builtin_convertvector(quadrant & 1, vf);
    vf value = choose(lt(splat(0), odd), c, s);
    return (vf)((vi)value ^ ((quadrant & 2) << 30));
}

INLINE vf v_sin(vf x)
{
    return any(gt(v_abs(x), splat(LARGEST_ANGLE))) ? lane_by_lane(sinf, x) : sine(x, 0);
}

INLINE vf v_cos(vf x)
{
    return any(gt(v_abs(x), splat(LARGEST_ANGLE))) ? lane_by_lane(cosf, x) : sine(x, 1);
}
