/* GRU recurrences on packed frames, forward and backward. Same gate names as reference.py.

   This file is compiled after vmath.h, factors.h, product.h and the C of one activation triple (see printer.py), which gives for each site (update,
   reset, candidate) SITE_PARAMETERS, SITE_value(x, p) and SITE_gradient(x, p, &dx, dp).

   - A recurrence is one group and one direction. Its rows, longest first, are cut into strips of ROWS; every ntiles-th strip
     makes a tile; a work item is one tile through all its time steps. No thread waits for another inside a step, a strip
     stops at its own longest row, and taking turns over the strips gives tiles equal shares of long rows.
   - The product with W_hh is register-blocked here: BLAS cannot be called for a step of a few rows without losing more than
     it gives. Gates are computed on the accumulators of the block of units just multiplied.
   - Every sum is taken in an order that depends on its own group alone: over k inside a product, over time inside a strip,
     over strips at the end. Results are the same bits for any number of threads, tiles and companions.
   - Sequences are walked s = 0, 1, ... in the direction's own order; "before" and "after" mean that order. */

#define PARAMETERS (UPDATE_PARAMETERS + RESET_PARAMETERS + CANDIDATE_PARAMETERS)
#define SUMS (3 + PARAMETERS) /* what is summed over frames for each unit: gradients of b_hh, then of the parameters */

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
    float *d_gates_x; /* [N, D, 3H] */
    float *d_hn; /* [N, D, H] */
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

/* ------------------------------------------------------------------------------------------------------------------ */
/* Forward */

/* States before step s of the strip's rows; returns how many of them are not zero. */
static i64 states_before(const struct recurrence *r, i64 s, i64 strip, const float **states)
{
    i64 rows = in_strip(running(r, s), strip), old = least(in_strip(running(r, s - 1), strip), rows);
    for (i64 i = 0; i < rows; i++) {
        i64 rank = strip * ROWS + i;
        states[i] = i < old ? r->c->h + frame(r, s - 1, rank) * r->c->H : initial(r, rank);
    }
    return r->c->h0 ? rows : old;
}

/* The same for all strips' `states`, of which those that are not zero are made factors, too. */
static i64 state_rows(const struct recurrence *r, i64 s, i64 strip, const float **states, const factor **rows_of, factor *room)
{
    i64 H = r->c->H, products = states_before(r, s, strip, states + strip * ROWS);
    for (i64 i = strip * ROWS; i < strip * ROWS + products; i++)
        rows_of[i] = along(states[i], H, room + i * room_for(H));
    return products;
}

/* The strip's frames in step s, made factors. */
static void frame_rows(const struct recurrence *r, i64 s, i64 strip, const factor **rows_of, factor *room)
{
    i64 I = r->c->I, rows = in_strip(running(r, s), strip), next = ahead(r, s, 1) / r->c->D * I;
    const float *x = r->c->frames + (r->starts[time_of(r, s)] + strip * ROWS) * I;
    for (i64 i = 0; i < rows; i++, x += I) {
        will_read_row(x + next, I);
        rows_of[i] = along(x, I, room + i * room_for(I));
    }
}

/* The gates' inputs of a strip's LANES units from `unit` on, [rows, 3]: of its frames, as projection.c makes them, or read. */
static void gate_inputs(const struct recurrence *r, i64 s, i64 strip, i64 unit, const factor *const *frames, vf *inputs)
{
    const struct call *c = r->c;
    i64 H = c->H, Hp = padded(H), n = least(H - unit, LANES), rows = in_strip(running(r, s), strip);
    if (frames) {
        i64 K = folded(c->I);
        multiply_table[rows - 1][BLOCK - 1](frames, r->panel_x + unit * BLOCK * K, K, inputs, 0);
        for (i64 i = 0; i < rows; i++)
            for (i64 gate = 0; gate < 3; gate++)
                inputs[i * BLOCK + gate] += load(r->bias_x + gate * Hp + unit);
        return;
    }
    i64 at = frame(r, s, strip * ROWS), next = ahead(r, s, 1);
    for (i64 i = 0; i < rows; i++, at += c->D)
        for (i64 gate = 0; gate < 3; gate++) {
            const float *x = c->gates_x + (at * 3 + gate) * H + unit;
            will_read(x + next * 3 * H);
            inputs[i * BLOCK + gate] = load_first(x, n);
        }
}

/* Gates and new states of one strip's LANES units from `unit` on. inputs, product [rows, 3]: of x and of W_hr h, W_hz h, W_hn h. */
static void forward_gates(const struct recurrence *r, i64 s, i64 strip, i64 unit, const float *const *states, i64 products,
                          const vf *inputs, const vf *product)
{
    const struct call *c = r->c;
    i64 H = c->H, Hp = padded(H), n = least(H - unit, LANES), rows = in_strip(running(r, s), strip);
    vf b_r = load(r->bias + unit), b_z = load(r->bias + Hp + unit), b_n = load(r->bias + 2 * Hp + unit);
    vf p[PARAMETERS + 1];
    for (int i = 0; i < PARAMETERS; i++)
        p[i] = load(r->parameters + i * Hp + unit);
    const vf *p_update = p, *p_reset = p + UPDATE_PARAMETERS, *p_candidate = p + UPDATE_PARAMETERS + RESET_PARAMETERS;
    i64 at = frame(r, s, strip * ROWS);
    float *saved = c->saved ? saved_at(r, s, strip, unit, rows) : NULL;
    for (i64 i = 0; i < rows; i++, inputs += BLOCK, product += BLOCK, at += c->D) {
        vf a_r = inputs[0] + b_r, a_z = inputs[1] + b_z, a_n = inputs[2], hn = b_n;
        vf h = splat(0);
        if (i < products) {
            a_r += product[0];
            a_z += product[1];
            hn += product[2];
            h = load_first(states[i] + unit, n);
        }
        vf z = update_value(a_z, p_update);
        a_n += reset_value(a_r, p_reset) * hn;
        store_first(c->h + at * H + unit, (1.0f - z) * candidate_value(a_n, p_candidate) + z * h, n);
        if (saved) {
            store(saved, a_r);
            store(saved + LANES, a_z);
            store(saved + 2 * LANES, a_n);
            store(saved + 3 * LANES, hn);
            saved += 4 * LANES;
        }
    }
}

/* Where the gates' inputs are made here: their weights, and room for the frames of a step, to which `frames` will point. */
static factor *start_projection(struct recurrence *r, const factor ***frames, char **scratch)
{
    const struct call *c = r->c;
    i64 H = c->H, I = c->I, gd = r->g * c->D + r->d;
    if (!c->frames)
        return NULL;
    r->panel_x = (factor *)take(scratch, 3 * padded(H) * I);
    r->bias_x = take(scratch, 3 * padded(H));
    *frames = (const factor **)take(scratch, strips_of(c) * ROWS * 2);
    factor *room = (factor *)take(scratch, room_for_rows(c, I));
    pack_forward(c->w_ih + gd * 3 * H * I, H, I, r->panel_x, room);
    pad_bias(c->b_ih ? c->b_ih + gd * 3 * H : NULL, H, r->bias_x);
    return room;
}

static void forward_item(const void *argument, i64 item, char *scratch)
{
    const struct call *c = argument;
    struct recurrence r;
    start_recurrence(&r, c, item / c->ntiles, &scratch);
    i64 H = c->H, K = folded(H), together = strips_together(c);
    factor *room = (factor *)take(&scratch, room_for_rows(c, H));
    pack_forward(r.w_hh, H, H, r.panel, room);
    const float **states = (const float **)take(&scratch, strips_of(c) * ROWS * 2);
    const factor **rows_of = (const factor **)take(&scratch, strips_of(c) * ROWS * 2);
    i64 *products = (i64 *)take(&scratch, strips_of(c) * 2);
    const factor **frames = NULL;
    factor *room_x = start_projection(&r, &frames, &scratch);
    vf inputs[ROWS * BLOCK], product[ROWS * BLOCK];
    for (i64 s = 0; s < r.T; s++) {
        i64 strips = (running(&r, s) + ROWS - 1) / ROWS;
        for (i64 strip = item % c->ntiles; strip < strips; strip += c->ntiles) {
            products[strip] = state_rows(&r, s, strip, states, rows_of, room);
            if (frames)
                frame_rows(&r, s, strip, frames + strip * ROWS, room_x + strip * ROWS * room_for(c->I));
        }
        for (i64 first = item % c->ntiles; first < strips; first += together)
            for (i64 unit = 0; unit < H; unit += LANES)
                for (i64 strip = first; strip < least(first + together, strips); strip += c->ntiles) {
                    i64 rows = products[strip];
                    gate_inputs(&r, s, strip, unit, frames ? frames + strip * ROWS : NULL, inputs);
                    if (rows)
                        multiply_table[rows - 1][BLOCK - 1](rows_of + strip * ROWS, r.panel + unit * BLOCK * K, K, product, 0);
                    forward_gates(&r, s, strip, unit, states + strip * ROWS, rows, inputs, product);
                }
    }
}

/* ------------------------------------------------------------------------------------------------------------------ */
/* Backward in time: gradients by the gates' inputs */

/* Gradients of one strip's LANES units from `unit` on, in step s.
   product [rows, stride]: gradient by the state that reached it through W_hh in the steps after, for the first `products` rows.
   carry [ROWS, Hp]: the same through z ⊙ h; replaced by this step's. */
static void backward_gates(const struct recurrence *r, i64 s, i64 strip, i64 unit, i64 products, const vf *product, i64 stride,
                           float *carry, float *sums)
{
    const struct call *c = r->c;
    i64 H = c->H, Hp = padded(H), n = least(H - unit, LANES);
    i64 rows = in_strip(running(r, s), strip), old = in_strip(running(r, s - 1), strip);
    vf p[PARAMETERS + 1], sum[SUMS], d_p[PARAMETERS + 1];
    for (int i = 0; i < PARAMETERS; i++)
        p[i] = load(r->parameters + i * Hp + unit);
    for (int i = 0; i < SUMS; i++)
        sum[i] = load(sums + i * Hp + unit);
    const int reset = UPDATE_PARAMETERS, candidate = UPDATE_PARAMETERS + RESET_PARAMETERS;
    i64 at = frame(r, s, strip * ROWS), before = ahead(r, s, -1), before_that = ahead(r, s, -2);
    const float *saved = saved_at(r, s, strip, unit, rows), *next_saved = saved;
    if (s > 0)
        next_saved = saved_at(r, s - 1, strip, unit, in_strip(running(r, s - 1), strip));
    for (i64 i = 0; i < rows; i++, product += stride, at += c->D, saved += 4 * LANES, next_saved += 4 * LANES) {
        const float *state = i < old ? c->h + (at + before) * H : initial(r, strip * ROWS + i);
        for (int j = 0; j < 4; j++)
            will_read(next_saved + j * LANES);
        will_read(c->d_h + (at + before) * H + unit);
        will_read(c->h + (at + before_that) * H + unit);
        for (int gate = 0; gate < 3; gate++)
            will_write(c->d_gates_x + ((at + before) * 3 + gate) * H + unit);
        will_write(c->d_hn + (at + before) * H + unit);
        vf h = state ? load_first(state + unit, n) : splat(0);
        vf d_state = load_first(c->d_h + at * H + unit, n);
        if (i < products)
            d_state += product[0] + load(carry + i * Hp + unit);
        vf slope_z, slope_r, slope_n, hn = load(saved + 3 * LANES);
        vf z = update_gradient(load(saved + LANES), p, &slope_z, d_p);
        vf reset_gate = reset_gradient(load(saved), p + reset, &slope_r, d_p + reset);
        vf new = candidate_gradient(load(saved + 2 * LANES), p + candidate, &slope_n, d_p + candidate);
        vf d_z = d_state * (h - new), d_n = d_state * (1.0f - z);
        vf d_an = d_n * slope_n, d_az = d_z * slope_z;
        vf d_r = d_an * hn, d_hn = d_an * reset_gate;
        vf d_ar = d_r * slope_r;
        store(carry + i * Hp + unit, d_state * z);
        float *d_x = c->d_gates_x + at * 3 * H + unit;
        store_first(d_x, d_ar, n);
        store_first(d_x + H, d_az, n);
        store_first(d_x + 2 * H, d_an, n);
        store_first(c->d_hn + at * H + unit, d_hn, n);
        sum[0] += d_ar;
        sum[1] += d_az;
        sum[2] += d_hn;
        for (int j = 0; j < reset; j++)
            sum[3 + j] += d_z * d_p[j];
        for (int j = reset; j < candidate; j++)
            sum[3 + j] += d_r * d_p[j];
        for (int j = candidate; j < PARAMETERS; j++)
            sum[3 + j] += d_n * d_p[j];
    }
    for (int i = 0; i < SUMS; i++)
        store(sums + i * Hp + unit, sum[i]);
}

/* A strip's gradients by the gates at these frames as factors: d_ar and d_az, and behind them d_hn. room: for the strip's rows. */
static void gradient_rows(const struct recurrence *r, const i64 *frames, i64 rows, const factor **gates, factor *room)
{
    const struct call *c = r->c;
    i64 H = c->H;
    for (i64 i = 0; i < rows; i++, room += room_for(2 * H) + room_for(H)) {
        gates[i] = along(c->d_gates_x + frames[i] * 3 * H, 2 * H, room);
        gates[ROWS + i] = along(c->d_hn + frames[i] * H, H, room + room_for(2 * H));
    }
}

/* product [rows, width] = gradient by the state before a step, through W_hh: d_ar, d_az, d_hn of that step times W_hh. */
static void multiply_gradients(const struct recurrence *r, const factor *const *gates, i64 rows, i64 width, const factor *panel,
                               vf *product)
{
    i64 H = r->c->H;
    multiply_table[rows - 1][width - 1](gates, panel, folded(2 * H), product, 0);
    multiply_table[rows - 1][width - 1](gates + ROWS, panel + folded(2 * H) * width * LANES, folded(H), product, 1);
}

/* Rows of a strip whose states in step s went into the step after. */
INLINE i64 backward_products(const struct recurrence *r, i64 s, i64 strip)
{
    return least(in_strip(running(r, s + 1), strip), in_strip(running(r, s), strip));
}

static void backward_item(const void *argument, i64 item, char *scratch)
{
    const struct call *c = argument;
    struct recurrence r;
    start_recurrence(&r, c, item / c->ntiles, &scratch);
    i64 H = c->H, Hp = padded(H), vectors = Hp / LANES, strips = strips_of(c), together = strips_together(c);
    const float **rows_of_w = (const float **)take(&scratch, 3 * H * 2);
    for (i64 k = 0; k < 3 * H; k++)
        rows_of_w[k] = r.w_hh + k * H;
    pack_columns(rows_of_w, 3 * H, H, r.panel);
    float *carry = take(&scratch, strips * ROWS * Hp);
    const factor **gates = (const factor **)take(&scratch, strips * 2 * ROWS * 2);
    i64 room_of_strip = ROWS * (room_for(2 * H) + room_for(H));
    factor *room = (factor *)take(&scratch, strips * room_of_strip);
    float *sums = c->sums + (r.g * c->D + r.d) * strips * SUMS * Hp;
    for (i64 strip = item % c->ntiles; strip < strips; strip += c->ntiles)
        memset(sums + strip * SUMS * Hp, 0, (size_t)(SUMS * Hp) * 4);
    vf product[ROWS * BLOCK];
    i64 frames[ROWS];
    for (i64 s = r.T - 1; s >= 0; s--) {
        i64 now = (running(&r, s) + ROWS - 1) / ROWS;
        for (i64 strip = item % c->ntiles; strip < now; strip += c->ntiles) {
            i64 rows = backward_products(&r, s, strip);
            for (i64 i = 0; i < rows; i++)
                frames[i] = frame(&r, s + 1, strip * ROWS + i);
            gradient_rows(&r, frames, rows, gates + strip * 2 * ROWS, room + strip * room_of_strip);
        }
        for (i64 some = item % c->ntiles; some < now; some += together)
            for (i64 first = 0, width; first < vectors; first += width) {
                width = block_width(vectors - first);
                const factor *panel = r.panel + first * LANES * folded(3 * H);
                for (i64 strip = some; strip < least(some + together, now); strip += c->ntiles) {
                    i64 rows = backward_products(&r, s, strip);
                    if (rows)
                        multiply_gradients(&r, gates + strip * 2 * ROWS, rows, width, panel, product);
                    for (i64 j = 0; j < width; j++)
                        backward_gates(&r, s, strip, (first + j) * LANES, rows, product + j, width, carry + strip * ROWS * Hp,
                                       sums + strip * SUMS * Hp);
                }
            }
    }
    if (!c->d_h0)
        return;
    for (i64 first = 0, width; first < vectors; first += width) {
        width = block_width(vectors - first);
        for (i64 strip = item % c->ntiles; strip < strips; strip += c->ntiles) {
            i64 rows = in_strip(r.T ? r.batch_sizes[0] : 0, strip);
            for (i64 i = 0; i < rows; i++) {
                i64 s = 0; /* the row's own first step: backward in time it joins late */
                while (running(&r, s) <= strip * ROWS + i)
                    s++;
                frames[i] = frame(&r, s, strip * ROWS + i);
            }
            gradient_rows(&r, frames, rows, gates, room);
            if (rows)
                multiply_gradients(&r, gates, rows, width, r.panel + first * LANES * folded(3 * H), product);
            for (i64 i = 0; i < in_strip(c->B, strip); i++) {
                i64 rank = strip * ROWS + i;
                float *to = c->d_h0 + ((r.g * c->D + r.d) * c->B + r.order[rank]) * H;
                for (i64 j = 0; j < width; j++) {
                    i64 unit = (first + j) * LANES;
                    vf d_state = splat(0);
                    if (i < rows)
                        d_state = product[i * width + j] + load(carry + rank * Hp + unit);
                    store_first(to + unit, d_state, least(H - unit, LANES));
                }
            }
        }
    }
}

/* ------------------------------------------------------------------------------------------------------------------ */
/* Sums over frames: gradients by weights, biases and parameters */

/* A weight gradient's rows are gate inputs; a block is ROWS of them, within one gate. */
INLINE i64 blocks_of_gate(i64 H) { return (H + ROWS - 1) / ROWS; }

#define FRAMES_AHEAD 12 /* so early the rows of a weight gradient are asked for: longer than memory takes, and few enough to stay */

/* Gradients by a gate's inputs at a frame, [H]. */
INLINE const float *gate_gradients(const struct call *c, i64 frame, i64 gate)
{
    return gate == 2 ? c->d_hn + frame * c->H : c->d_gates_x + (frame * 3 + gate) * c->H;
}

/* Blocks first..last of d_w += gradients^T states, for K frames. room: for a gate's row. */
static void add_outer_products(const struct recurrence *r, const i64 *frames, const float *const *states, i64 K, i64 first,
                               i64 last, factor *left, factor *right, factor *room, float *d_w)
{
    const struct call *c = r->c;
    i64 H = c->H, vectors = padded(H) / LANES, blocks = blocks_of_gate(H), depth = folded(K);
    for (i64 k = 0; k < depth; k++) { /* left: block after block [depth, ROWS], LEFT_BLOCK apart */
        factor *to = left + k * ROWS;
        i64 later = least(DEPTH * k + FRAMES_AHEAD, K - 1);
        will_read_row(states[later], H);
        for (i64 gate = first / blocks; gate * blocks < last; gate++) {
            will_read_row(gate_gradients(c, frames[later], gate), H);
            const float *next = DEPTH * k + 1 < K ? gate_gradients(c, frames[DEPTH * k + 1], gate) : NULL;
            const factor *from = across(gate_gradients(c, frames[DEPTH * k], gate), next, H, room);
            i64 unit = gate * blocks < first ? (first - gate * blocks) * ROWS : 0;
            for (i64 end = least(last - gate * blocks, blocks) * ROWS; unit < end; unit += ROWS, to += LEFT_BLOCK)
                if (unit + ROWS <= H)
                    memcpy(to, from + unit, ROWS * 4);
                else
                    for (i64 i = 0; i < ROWS; i++)
                        to[i] = unit + i < H ? from[unit + i] : 0;
        }
    }
    pack_columns(states, K, H, right);
    vf product[ROWS * BLOCK];
    for (i64 column = 0, width; column < vectors; column += width) {
        width = block_width(vectors - column);
        for (i64 block = first; block < last; block++) {
            multiply_packed_table[width - 1](left + (block - first) * LEFT_BLOCK, right + column * LANES * depth, depth, product);
            i64 gate = block / blocks, row = block % blocks * ROWS;
            for (i64 i = 0; i < least(ROWS, H - row); i++)
                for (i64 j = 0; j < width; j++) {
                    i64 unit = (column + j) * LANES, n = least(H - unit, LANES);
                    float *at = d_w + (gate * H + row + i) * H + unit;
                    store_first(at, load_first(at, n) + product[i * width + j], n);
                }
        }
    }
}

/* Add up the strips' sums into the gradients of b_hh and the parameters. */
static void reduce_sums(const struct recurrence *r, float *totals)
{
    const struct call *c = r->c;
    i64 H = c->H, Hp = padded(H), gd = r->g * c->D + r->d;
    const float *sums = c->sums + gd * strips_of(c) * SUMS * Hp;
    memset(totals, 0, (size_t)(SUMS * Hp) * 4);
    for (i64 strip = 0; strip < strips_of(c); strip++)
        for (i64 j = 0; j < SUMS * Hp; j++)
            totals[j] += sums[strip * SUMS * Hp + j];
    for (i64 gate = 0; gate < 3; gate++)
        memcpy(c->d_b_hh + (gd * 3 + gate) * H, totals + gate * Hp, (size_t)H * 4);
    const i64 counts[3] = {UPDATE_PARAMETERS, RESET_PARAMETERS, CANDIDATE_PARAMETERS};
    const float *from = totals + 3 * Hp;
    for (int site = 0; site < 3; site++)
        for (i64 p = 0; p < counts[site]; p++, from += Hp) {
            if (c->per_unit[site]) {
                memcpy(c->d_parameters[site] + (gd * counts[site] + p) * H, from, (size_t)H * 4);
                continue;
            }
            double sum = 0;
            for (i64 j = 0; j < H; j++)
                sum += from[j];
            c->d_parameters[site][gd * counts[site] + p] = (float)sum;
        }
}

/* One piece of the rows of one recurrence's d_w_hh, over all its frames. */
static void weights_item(const void *argument, i64 item, char *scratch)
{
    const struct call *c = argument;
    struct recurrence r;
    start_recurrence(&r, c, item / c->nchunks, &scratch);
    i64 H = c->H, chunk = item % c->nchunks;
    i64 blocks = 3 * blocks_of_gate(H), first = blocks * chunk / c->nchunks, last = blocks * (chunk + 1) / c->nchunks;
    factor *left = (factor *)take(&scratch, (last - first) * LEFT_BLOCK);
    factor *right = (factor *)take(&scratch, padded(H) * FRAMES_AT_ONCE);
    factor *room = (factor *)take(&scratch, padded(H));
    float *totals = take(&scratch, SUMS * padded(H));
    float *d_w = c->d_w_hh + (r.g * c->D + r.d) * 3 * H * H;
    for (i64 block = first; block < last; block++) {
        i64 gate = block / (blocks / 3), row = block % (blocks / 3) * ROWS;
        memset(d_w + (gate * H + row) * H, 0, (size_t)(least(ROWS, H - row) * H) * 4);
    }
    if (chunk == 0)
        reduce_sums(&r, totals);
    i64 frames[FRAMES_AT_ONCE], K = 0;
    const float *states[FRAMES_AT_ONCE];
    for (i64 s = 0; s < r.T; s++) {
        i64 old = running(&r, s - 1);
        for (i64 rank = 0; rank < running(&r, s); rank++) {
            const float *state = rank < old ? c->h + frame(&r, s - 1, rank) * H : initial(&r, rank);
            if (!state)
                continue;
            frames[K] = frame(&r, s, rank);
            states[K++] = state;
            if (K == FRAMES_AT_ONCE) {
                add_outer_products(&r, frames, states, K, first, last, left, right, room, d_w);
                K = 0;
            }
        }
    }
    if (K)
        add_outer_products(&r, frames, states, K, first, last, left, right, room, d_w);
}

/* ------------------------------------------------------------------------------------------------------------------ */
/* Work items over threads */

static void share_out(struct call *c)
{
    i64 H = c->H, blocks = 3 * blocks_of_gate(H);
    c->ntiles = pieces(c->G * c->D, c->threads, 1, strips_of(c));
    c->nchunks = pieces(c->G * c->D, c->threads, least((3 * H + 639) / 640, blocks), blocks); /* 640: half of 1 MiB of cache */
}

/* Floats of `sums` for this call. */
i64 gru_sums(const struct call *c) { return c->G * c->D * strips_of(c) * SUMS * padded(c->H); }

/* Bytes of scratch a thread needs for this call. */
i64 gru_scratch_bytes(const struct call *c)
{
    i64 H = c->H, Hp = padded(H), strips = strips_of(c);
    i64 floats = 3 * Hp + PARAMETERS * Hp + 3 * Hp * H; /* start_recurrence */
    i64 forward = strips * (3 * ROWS + 1) * 2 + room_for_rows(c, H) + 3 * Hp * (c->I + 1) + room_for_rows(c, c->I);
    i64 backward = 6 * H + strips * ROWS * (Hp + 4 + room_for(2 * H) + room_for(H));
    i64 weights = 3 * blocks_of_gate(H) * LEFT_BLOCK + Hp * FRAMES_AT_ONCE + (1 + SUMS) * Hp;
    i64 most = forward > backward ? forward : backward;
    return ((floats + (most > weights ? most : weights)) * 4 + 64 * 11 + 4095) / 4096 * 4096; /* take rounds up, 11 times at most */
}

static void share(struct call *c, i64 items, work_item work)
{
    run((struct region){c, items, c->scratch, gru_scratch_bytes(c), work, c->parallel, 0, 0}, c->threads);
}

void gru_forward(struct call *c)
{
    share_out(c);
    share(c, c->G * c->D * c->ntiles, forward_item);
}

void gru_backward(struct call *c)
{
    share_out(c);
    share(c, c->G * c->D * c->ntiles, backward_item);
    share(c, c->G * c->D * c->nchunks, weights_item);
}
