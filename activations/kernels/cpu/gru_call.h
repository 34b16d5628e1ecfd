/* GRU recurrences on packed frames: what is computed, and one of them. Same gate names as reference.py.

   This file is compiled after vmath.h, factors.h, product.h and the C of one activation triple (see printer.py), which gives for each site (update,
   reset, candidate) SITE_PARAMETERS, SITE_value(x, p) and SITE_gradient(x, p, &dx, dp). After it come gru_sums.h and gru.c.

   - A recurrence is one group and one direction. Its rows, longest first, are cut into strips of ROWS; every ntiles-th strip
     makes a tile; a work item is one tile through all its time steps. No thread waits for another inside a step, a strip
     stops at its own longest row, and taking turns over the strips gives tiles equal shares of long rows.
   - The product with W_hh is register-blocked here: BLAS cannot be called for a step of a few rows without losing more than
     it gives. Gates are computed on the accumulators of the block of units just multiplied.
   - Every sum is taken in an order that depends on its own group alone: over k inside a product, over time inside a strip,
     over strips at the end. Results are the same bits for any number of threads, tiles and companions.
   - Sequences are walked s = 0, 1, ... in the direction's own order; "before" and "after" mean that order. */

#define PARAMETERS (UPDATE_PARAMETERS + RESET_PARAMETERS + CANDIDATE_PARAMETERS)
#define BIASES 4 /* gradients by b_hh, and by the candidate's b_ih; the other gates' are those by b_hh */
#define SUMS (BIASES + PARAMETERS) /* what is summed over frames for each unit: by biases, then by the parameters */

struct call {
    i64 G, D, B, T, H, N, I;
    i64 threads;
    i64 per_unit[3]; /* whether update's, reset's, candidate's parameters are [P, H] (else [P, 1]) */
    const i64 *group_order; /* [G] most frames first */
    const i64 *order, *batch_sizes, *starts; /* [G, B], [G, T], [G, T + 1]; see packing.py */
    const float *gates_x; /* [N, D, 3H]; or NULL, and forward makes them of the frames: */
    const float *frames, *w_ih, *b_ih; /* [N, I], [G, D, 3H, I], [G, D, 3H] or NULL */
    const float *w_hh, *b_hh; /* [G, D, 3H, H], [G, D, 3H] */
    const float *h0; /* [G, D, B, H] or NULL */
    const float *parameters[3]; /* update, reset, candidate, each [G, D, P, K] */
    float *h; /* [N, D, H] */
    float *saved; /* N * D * 4 * Hp floats, see saved_at; NULL without a backward pass */
    const float *d_h; /* [N, D, H] */
    float *d_gates_x; /* [N, D, 3H]; NULL where gradient_rows is 0 */
    float *d_hn; /* [N, D, H]; as d_gates_x */
    float *d_w_ih, *d_b_ih; /* as w_ih, b_ih; NULL where they are somebody else's to make */
    float *d_w_hh, *d_b_hh, *d_h0; /* as w_hh, b_hh, h0; d_h0 may be NULL */
    float *d_parameters[3];
    float *sums; /* [G * D, strips, SUMS, Hp] */
    char *scratch; /* threads * gru_scratch_bytes(call) */
    parallel_region parallel;
    i64 ntiles, nchunks; /* tiles of a recurrence; pieces of a weight gradient: set by share_out */
};

INLINE i64 strips_of(const struct call *c) { return (c->B + ROWS - 1) / ROWS; }

/* ------------------------------------------------------------------------------------------------------------------ */
/* One recurrence */

/* to[k][gate][lane] = w[gate][unit + lane][k], block after block of LANES units, of w [3, H, numbers]. room: for LANES rows. */
static void pack_forward(const float *w, i64 H, i64 numbers, factor *to, factor *room)
{
    i64 K = folded(numbers);
    memset(to + (padded(H) - LANES) * BLOCK * K, 0, (size_t)(LANES * BLOCK * K) * 4);
    for (i64 unit = 0; unit < H; unit += LANES)
        for (i64 gate = 0; gate < 3; gate++) {
            const factor *from[LANES];
            factor *block = to + unit * BLOCK * K + gate * LANES;
            i64 lanes = least(H - unit, LANES);
            for (i64 lane = 0; lane < lanes; lane++)
                from[lane] = along(w + (gate * H + unit + lane) * numbers, numbers, room + lane * room_for(numbers));
            for (i64 k0 = 0; k0 < K; k0 += LANES) /* square by square, for both sides to stay in cache */
                for (i64 lane = 0; lane < lanes; lane++)
                    for (i64 k = k0; k < least(k0 + LANES, K); k++)
                        block[k * BLOCK * LANES + lane] = from[lane][k];
        }
}

struct recurrence {
    const struct call *c;
    i64 g, d, T;
    const i64 *order, *batch_sizes, *starts;
    const float *w_hh;
    float *bias; /* [3, Hp] */
    float *parameters; /* [PARAMETERS, Hp], update's first */
    factor *panel, *panel_x; /* w_hh; w_ih, where the gates' inputs are made here */
    float *bias_x; /* [3, Hp] */
};

/* Three gates' biases [3, H] with every gate filled up to whole vectors. */
static void pad_bias(const float *from, i64 H, float *to)
{
    memset(to, 0, (size_t)(3 * padded(H)) * 4);
    for (i64 gate = 0; from && gate < 3; gate++)
        memcpy(to + gate * padded(H), from + gate * H, (size_t)H * 4);
}

static void start_recurrence(struct recurrence *r, const struct call *c, i64 recurrence_number, char **scratch)
{
    i64 g = c->group_order[recurrence_number / c->D], H = c->H, Hp = padded(H);
    r->c = c;
    r->g = g;
    r->d = recurrence_number % c->D;
    r->order = c->order + g * c->B;
    r->batch_sizes = c->batch_sizes + g * c->T;
    r->starts = c->starts + g * (c->T + 1);
    for (r->T = c->T; r->T > 0 && r->batch_sizes[r->T - 1] == 0;)
        r->T--;
    i64 gd = g * c->D + r->d;
    r->w_hh = c->w_hh + gd * 3 * H * H;
    r->bias = take(scratch, 3 * Hp);
    r->parameters = take(scratch, PARAMETERS * Hp);
    r->panel = (factor *)take(scratch, 3 * Hp * H);
    memset(r->parameters, 0, (size_t)(PARAMETERS * Hp) * 4);
    pad_bias(c->b_hh + gd * 3 * H, H, r->bias);
    const i64 counts[3] = {UPDATE_PARAMETERS, RESET_PARAMETERS, CANDIDATE_PARAMETERS};
    float *to = r->parameters;
    for (int site = 0; site < 3; site++)
        for (i64 p = 0; p < counts[site]; p++, to += Hp) {
            i64 K = c->per_unit[site] ? H : 1;
            const float *from = c->parameters[site] + (gd * counts[site] + p) * K;
            for (i64 j = 0; j < H; j++)
                to[j] = from[K == 1 ? 0 : j];
        }
}

/* Time step number s in the direction's order, rows running in it, and rows that already ran in the one before. */
INLINE i64 time_of(const struct recurrence *r, i64 s) { return r->d ? r->T - 1 - s : s; }
INLINE i64 running(const struct recurrence *r, i64 s)
{
    return s < 0 || s >= r->T ? 0 : r->batch_sizes[time_of(r, s)];
}

/* Number of the frame of row `rank` in step s, direction included: multiply by H for h, by 3H for gates_x. */
INLINE i64 frame(const struct recurrence *r, i64 s, i64 rank)
{
    return (r->starts[time_of(r, s)] + rank) * r->c->D + r->d;
}

/* What forward leaves for backward, in the order in which both walk it, so that memory is read and written in sequence:
   for each step, strip and block of LANES units [rows, 4, LANES] of a_r, a_z, a_n and hn = W_hn h + b_hn. */
INLINE float *saved_at(const struct recurrence *r, i64 s, i64 strip, i64 unit, i64 rows)
{
    i64 first = r->starts[time_of(r, s)] + strip * ROWS;
    return r->c->saved + (r->d * r->c->N + first) * 4 * padded(r->c->H) + unit * rows * 4;
}

/* Strips that go through a block of units together: a tile's, so that the block's weights are read once a step; or one, where the
   weights stay in first-level cache anyway, so that memory is read and written in sequence. Counted in strips of all tiles. */
INLINE i64 strips_together(const struct call *c)
{
    return 3 * padded(c->H) * folded(c->H) * 4 <= 16384 ? c->ntiles : strips_of(c);
}

/* How far ahead, in frames as `frame` counts them, the same row's frame of step s + by lies; 0 where there is no such step. */
INLINE i64 ahead(const struct recurrence *r, i64 s, i64 by)
{
    return s + by < 0 || s + by >= r->T ? 0 : frame(r, s + by, 0) - frame(r, s, 0);
}

/* Factors that the rows of all strips take with K numbers each, and LANES rows of weights. */
INLINE i64 room_for_rows(const struct call *c, i64 K)
{
    i64 rows = strips_of(c) * ROWS;
    return (rows > LANES ? rows : LANES) * room_for(K);
}

/* Initial state of row `rank`; NULL for zeros. */
INLINE const float *initial(const struct recurrence *r, i64 rank)
{
    const struct call *c = r->c;
    return c->h0 ? c->h0 + ((r->g * c->D + r->d) * c->B + r->order[rank]) * c->H : NULL;
}

/* Rows of a strip among the first `rows`. */
INLINE i64 in_strip(i64 rows, i64 strip)
{
    i64 n = rows - strip * ROWS;
    return n < 0 ? 0 : least(n, ROWS);
}
