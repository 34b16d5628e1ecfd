/* GRU recurrences whose reset gate acts before the product (Cho et al., 2014; TF1's GRUCell): n = φ(W x + b + U (r ⊙ h) + c).

   This file is compiled after gru.c, whose walk over tiles, strips and steps it repeats; only what differs stands here.

   - A step has two products that cannot be one: U meets r ⊙ h, which needs every unit's reset gate. So a tile goes through its units
     twice in each step, and twice in each step back: h' needs all of r ⊙ h, the gradient by r all of the candidate's.
   - d_hn, which gru.c's weight gradient reads for the candidate, is the candidate's own gradient here, and its right-hand side is
     r ⊙ h, which forward keeps where gru.c keeps W_hn h + b_hn. */

/* What forward leaves for backward, in a strip's part of `saved` (see saved_at): block after block of LANES units [rows, 3, LANES] of
   a_r, a_z, a_n, and behind them r ⊙ h [rows, Hp]. */
INLINE float *arguments_at(const struct recurrence *r, i64 s, i64 strip, i64 unit, i64 rows)
{
    return saved_at(r, s, strip, 0, rows) + unit * rows * 3;
}
INLINE float *reset_states_at(const struct recurrence *r, i64 s, i64 strip, i64 rows)
{
    return saved_at(r, s, strip, 0, rows) + padded(r->c->H) * rows * 3;
}

/* to[k][lane] = from[lane][k] for the LANES rows of a gate's W_hh from `unit` on; to's rows are `stride` factors apart. */
static void pack_units(const float *w, i64 H, i64 unit, i64 stride, factor *to, factor *room)
{
    const factor *from[LANES];
    for (i64 lane = 0; lane < least(LANES, H - unit); lane++)
        from[lane] = along(w + (unit + lane) * H, H, room + lane * room_for(H));
    for (i64 k = 0; k < folded(H); k++)
        for (i64 lane = 0; lane < LANES; lane++)
            to[k * stride + lane] = unit + lane < H ? from[lane][k] : 0;
}

/* Blocks [H, 2, LANES] of the reset and update gates' units, then blocks of the candidate's as block_width cuts them. */
static void pack_before(const float *w_hh, i64 H, factor *to, factor *room)
{
    i64 K = folded(H);
    for (i64 unit = 0; unit < H; unit += LANES, to += 2 * LANES * K)
        for (i64 gate = 0; gate < 2; gate++)
            pack_units(w_hh + gate * H * H, H, unit, 2 * LANES, to + gate * LANES, room);
    i64 vectors = padded(H) / LANES;
    for (i64 first = 0, width; first < vectors; first += width, to += width * LANES * K) {
        width = block_width(vectors - first);
        for (i64 j = 0; j < width; j++)
            pack_units(w_hh + 2 * H * H, H, (first + j) * LANES, width * LANES, to + j * LANES, room);
    }
}

/* ------------------------------------------------------------------------------------------------------------------ */
/* Forward */

/* Reset and update gates of one strip's LANES units from `unit` on. product [rows, 2]: W_hr h, W_hz h of the first `products` rows.
   Writes z to updates and r ⊙ h to reset_states, both [rows, Hp]. */
static void forward_resets(const struct recurrence *r, i64 s, i64 strip, i64 unit, const float *const *states, i64 products,
                           const vf *product, float *updates, float *reset_states)
{
    const struct call *c = r->c;
    i64 H = c->H, Hp = padded(H), n = least(H - unit, LANES), rows = in_strip(running(r, s), strip);
    vf b_r = load(r->bias + unit), b_z = load(r->bias + Hp + unit);
    vf p[PARAMETERS + 1];
    for (int i = 0; i < UPDATE_PARAMETERS + RESET_PARAMETERS; i++)
        p[i] = load(r->parameters + i * Hp + unit);
    i64 at = frame(r, s, strip * ROWS), next = ahead(r, s, 1);
    float *saved = c->saved ? arguments_at(r, s, strip, unit, rows) : NULL;
    for (i64 i = 0; i < rows; i++, product += 2, at += c->D) {
        const float *x = c->gates_x + at * 3 * H + unit, *next_x = x + next * 3 * H;
        will_read(next_x);
        will_read(next_x + H);
        vf a_r = load_first(x, n) + b_r, a_z = load_first(x + H, n) + b_z, h = splat(0);
        if (i < products) {
            a_r += product[0];
            a_z += product[1];
            h = load_first(states[i] + unit, n);
        }
        store(updates + i * Hp + unit, update_value(a_z, p));
        store(reset_states + i * Hp + unit, reset_value(a_r, p + UPDATE_PARAMETERS) * h);
        if (saved) {
            store(saved, a_r);
            store(saved + LANES, a_z);
            saved += 3 * LANES;
        }
    }
}

/* New states of one strip's LANES units from `unit` on. product [rows, stride]: W_hn (r ⊙ h). */
static void forward_candidates(const struct recurrence *r, i64 s, i64 strip, i64 unit, const float *const *states, i64 products,
                               const vf *product, i64 stride, const float *updates)
{
    const struct call *c = r->c;
    i64 H = c->H, Hp = padded(H), n = least(H - unit, LANES), rows = in_strip(running(r, s), strip);
    const int candidate = UPDATE_PARAMETERS + RESET_PARAMETERS;
    vf b_n = load(r->bias + 2 * Hp + unit);
    vf p[PARAMETERS + 1];
    for (int i = candidate; i < PARAMETERS; i++)
        p[i] = load(r->parameters + i * Hp + unit);
    i64 at = frame(r, s, strip * ROWS), next = ahead(r, s, 1);
    float *saved = c->saved ? arguments_at(r, s, strip, unit, rows) : NULL;
    for (i64 i = 0; i < rows; i++, product += stride, at += c->D) {
        const float *x = c->gates_x + (at * 3 + 2) * H + unit;
        will_read(x + next * 3 * H);
        vf a_n = load_first(x, n) + (b_n + product[0]), z = load(updates + i * Hp + unit);
        vf h = i < products ? load_first(states[i] + unit, n) : splat(0);
        store_first(c->h + at * H + unit, (1.0f - z) * candidate_value(a_n, p + candidate) + z * h, n);
        if (saved) {
            store(saved + 2 * LANES, a_n);
            saved += 3 * LANES;
        }
    }
}

static void before_forward_item(const void *argument, i64 item, char *scratch)
{
    const struct call *c = argument;
    struct recurrence r;
    start_recurrence(&r, c, item / c->ntiles, &scratch);
    i64 H = c->H, Hp = padded(H), K = folded(H), vectors = Hp / LANES;
    factor *room = (factor *)take(&scratch, room_for_rows(c, H));
    pack_before(r.w_hh, H, r.panel, room);
    const factor **rows_of = (const factor **)take(&scratch, strips_of(c) * ROWS * 2);
    const float **states = (const float **)take(&scratch, strips_of(c) * ROWS * 2);
    i64 *products = (i64 *)take(&scratch, strips_of(c) * 2);
    float *updates = take(&scratch, strips_of(c) * ROWS * Hp), *unsaved = take(&scratch, strips_of(c) * ROWS * Hp);
    vf product[ROWS * BLOCK];
    for (i64 s = 0; s < r.T; s++) {
        i64 strips = (running(&r, s) + ROWS - 1) / ROWS;
        for (i64 strip = item % c->ntiles; strip < strips; strip += c->ntiles)
            products[strip] = state_rows(&r, s, strip, states, rows_of, room);
        for (i64 unit = 0; unit < H; unit += LANES)
            for (i64 strip = item % c->ntiles; strip < strips; strip += c->ntiles) {
                i64 rows = products[strip];
                if (rows)
                    multiply_table[rows - 1][1](rows_of + strip * ROWS, r.panel + unit * 2 * K, K, product, 0);
                float *reset_states = unsaved + strip * ROWS * Hp;
                if (c->saved)
                    reset_states = reset_states_at(&r, s, strip, in_strip(running(&r, s), strip));
                forward_resets(&r, s, strip, unit, states + strip * ROWS, rows, product, updates + strip * ROWS * Hp, reset_states);
            }
        for (i64 strip = item % c->ntiles; strip < strips; strip += c->ntiles) {
            i64 rows = in_strip(running(&r, s), strip); /* all: r ⊙ 0 may be NaN, which must not be lost */
            const float *from = c->saved ? reset_states_at(&r, s, strip, rows) : unsaved + strip * ROWS * Hp;
            for (i64 i = 0; i < rows; i++)
                rows_of[strip * ROWS + i] = along(from + i * Hp, H, room + (strip * ROWS + i) * room_for(H));
        }
        for (i64 first = 0, width; first < vectors; first += width) {
            width = block_width(vectors - first);
            for (i64 strip = item % c->ntiles; strip < strips; strip += c->ntiles) {
                multiply_table[in_strip(running(&r, s), strip) - 1][width - 1](
                    rows_of + strip * ROWS, r.panel + (2 * Hp + first * LANES) * K, K, product, 0);
                for (i64 j = 0; j < width; j++)
                    forward_candidates(&r, s, strip, (first + j) * LANES, states + strip * ROWS, products[strip], product + j,
                                       width, updates + strip * ROWS * Hp);
            }
        }
    }
}

/* ------------------------------------------------------------------------------------------------------------------ */
/* Backward in time: gradients by the gates' inputs */

/* Gradients by the update gate and the candidate of one strip's LANES units from `unit` on, in step s; arguments as
   backward_gates's, but what reached the state through W_hn (r ⊙ h) in the step after is in carry. */
static void backward_candidates(const struct recurrence *r, i64 s, i64 strip, i64 unit, i64 products, const vf *product,
                                i64 stride, float *carry, float *sums)
{
    const struct call *c = r->c;
    i64 H = c->H, Hp = padded(H), n = least(H - unit, LANES);
    i64 rows = in_strip(running(r, s), strip), old = in_strip(running(r, s - 1), strip);
    vf p[PARAMETERS + 1], sum[SUMS], d_p[PARAMETERS + 1];
    for (int i = 0; i < PARAMETERS; i++)
        p[i] = load(r->parameters + i * Hp + unit);
    for (int i = 0; i < SUMS; i++)
        sum[i] = load(sums + i * Hp + unit);
    const int candidate = UPDATE_PARAMETERS + RESET_PARAMETERS;
    i64 at = frame(r, s, strip * ROWS), before = ahead(r, s, -1), before_that = ahead(r, s, -2);
    const float *saved = arguments_at(r, s, strip, unit, rows);
    for (i64 i = 0; i < rows; i++, product += stride, at += c->D, saved += 3 * LANES) {
        const float *state = i < old ? c->h + (at + before) * H : initial(r, strip * ROWS + i);
        will_read(c->d_h + (at + before) * H + unit);
        will_read(c->h + (at + before_that) * H + unit);
        for (int gate = 0; gate < 3; gate++)
            will_write(c->d_gates_x + ((at + before) * 3 + gate) * H + unit);
        will_write(c->d_hn + (at + before) * H + unit);
        vf h = state ? load_first(state + unit, n) : splat(0);
        vf d_state = load_first(c->d_h + at * H + unit, n);
        if (i < products)
            d_state += product[0] + load(carry + i * Hp + unit);
        vf slope_z, slope_n;
        vf z = update_gradient(load(saved + LANES), p, &slope_z, d_p);
        vf new = candidate_gradient(load(saved + 2 * LANES), p + candidate, &slope_n, d_p + candidate);
        vf d_z = d_state * (h - new), d_n = d_state * (1.0f - z);
        vf d_az = d_z * slope_z, d_an = d_n * slope_n;
        store(carry + i * Hp + unit, d_state * z);
        store_first(c->d_gates_x + (at * 3 + 1) * H + unit, d_az, n);
        store_first(c->d_gates_x + (at * 3 + 2) * H + unit, d_an, n);
        store_first(c->d_hn + at * H + unit, d_an, n);
        sum[1] += d_az;
        sum[2] += d_an;
        for (int j = 0; j < UPDATE_PARAMETERS; j++)
            sum[BIASES + j] += d_z * d_p[j];
        for (int j = candidate; j < PARAMETERS; j++)
            sum[BIASES + j] += d_n * d_p[j];
    }
    for (int i = 0; i < SUMS; i++)
        store(sums + i * Hp + unit, sum[i]);
}

/* Gradients by the reset gate. product [rows, stride]: gradient by r ⊙ h, of which carry gets the state's share. */
static void backward_resets(const struct recurrence *r, i64 s, i64 strip, i64 unit, const vf *product, i64 stride, float *carry,
                            float *sums)
{
    const struct call *c = r->c;
    i64 H = c->H, Hp = padded(H), n = least(H - unit, LANES);
    i64 rows = in_strip(running(r, s), strip), old = in_strip(running(r, s - 1), strip);
    const int first = UPDATE_PARAMETERS;
    vf p[RESET_PARAMETERS + 1], d_p[RESET_PARAMETERS + 1], sum[RESET_PARAMETERS + 1];
    for (int i = 0; i < RESET_PARAMETERS; i++) {
        p[i] = load(r->parameters + (first + i) * Hp + unit);
        sum[i] = load(sums + (BIASES + first + i) * Hp + unit);
    }
    vf sum_ar = load(sums + unit);
    i64 at = frame(r, s, strip * ROWS), before = ahead(r, s, -1);
    const float *saved = arguments_at(r, s, strip, unit, rows);
    for (i64 i = 0; i < rows; i++, product += stride, at += c->D, saved += 3 * LANES) {
        const float *state = i < old ? c->h + (at + before) * H : initial(r, strip * ROWS + i);
        vf h = state ? load_first(state + unit, n) : splat(0), slope_r;
        vf reset_gate = reset_gradient(load(saved), p, &slope_r, d_p);
        vf d_r = product[0] * h, d_ar = d_r * slope_r;
        store(carry + i * Hp + unit, load(carry + i * Hp + unit) + product[0] * reset_gate);
        store_first(c->d_gates_x + at * 3 * H + unit, d_ar, n);
        sum_ar += d_ar;
        for (int j = 0; j < RESET_PARAMETERS; j++)
            sum[j] += d_r * d_p[j];
    }
    store(sums + unit, sum_ar);
    for (int i = 0; i < RESET_PARAMETERS; i++)
        store(sums + (BIASES + first + i) * Hp + unit, sum[i]);
}

/* A strip's gradients at these frames as factors, [2H] of reset and update or [H] of the candidate. */
static void gradient_rows_before(const struct recurrence *r, const i64 *frames, i64 rows, int candidate, const factor **gates,
                                 factor *room)
{
    i64 H = r->c->H, K = candidate ? H : 2 * H;
    for (i64 i = 0; i < rows; i++)
        gates[i] = along(r->c->d_gates_x + frames[i] * 3 * H + (candidate ? 2 * H : 0), K, room + i * room_for(K));
}

/* product [rows, width] = those gradients times their W_hh. */
static void multiply_before(const struct recurrence *r, const factor *const *gates, i64 rows, int candidate, i64 width,
                            const factor *panel, vf *product)
{
    i64 H = r->c->H;
    if (rows && candidate)
        multiply_table[rows - 1][width - 1](gates, panel + folded(2 * H) * width * LANES, folded(H), product, 0);
    else if (rows)
        multiply_table[rows - 1][width - 1](gates, panel, folded(2 * H), product, 0);
}

/* d_h0 of one tile's rows, from each row's own first step: backward in time it joins late. */
static void before_initial(const struct recurrence *r, i64 tile, const float *carry, const factor **gates, factor *room)
{
    const struct call *c = r->c;
    i64 H = c->H, vectors = padded(H) / LANES;
    vf product[ROWS * BLOCK];
    i64 frames[ROWS];
    for (i64 first = 0, width; first < vectors; first += width) {
        width = block_width(vectors - first);
        for (i64 strip = tile; strip < strips_of(c); strip += c->ntiles) {
            i64 rows = in_strip(r->T ? r->batch_sizes[0] : 0, strip);
            for (i64 i = 0; i < rows; i++) {
                i64 s = 0;
                while (running(r, s) <= strip * ROWS + i)
                    s++;
                frames[i] = frame(r, s, strip * ROWS + i);
            }
            gradient_rows_before(r, frames, rows, 0, gates, room);
            multiply_before(r, gates, rows, 0, width, r->panel + first * LANES * folded(3 * H), product);
            store_initial(r, strip, rows, first, width, product, carry);
        }
    }
}

static void before_backward_item(const void *argument, i64 item, char *scratch)
{
    const struct call *c = argument;
    struct recurrence r;
    start_recurrence(&r, c, item / c->ntiles, &scratch);
    i64 H = c->H, Hp = padded(H), vectors = Hp / LANES, strips = strips_of(c), tile = item % c->ntiles;
    const float **rows_of_w = (const float **)take(&scratch, 3 * H * 2);
    for (i64 k = 0; k < 3 * H; k++)
        rows_of_w[k] = r.w_hh + k * H;
    pack_columns(rows_of_w, 3 * H, H, r.panel);
    float *carry = take(&scratch, strips * ROWS * Hp);
    const factor **gates = (const factor **)take(&scratch, strips * ROWS * 2);
    factor *room = (factor *)take(&scratch, strips * ROWS * room_for(2 * H));
    float *sums = c->sums + (r.g * c->D + r.d) * strips * SUMS * Hp;
    for (i64 strip = tile; strip < strips; strip += c->ntiles)
        memset(sums + strip * SUMS * Hp, 0, (size_t)(SUMS * Hp) * 4);
    vf product[ROWS * BLOCK];
    i64 frames[ROWS];
    for (i64 s = r.T - 1; s >= 0; s--)
        for (int candidates = 1; candidates >= 0; candidates--) {
            for (i64 strip = tile; strip * ROWS < running(&r, s); strip += c->ntiles) {
                i64 rows = candidates ? backward_products(&r, s, strip) : in_strip(running(&r, s), strip);
                for (i64 i = 0; i < rows; i++)
                    frames[i] = frame(&r, s + candidates, strip * ROWS + i);
                gradient_rows_before(&r, frames, rows, !candidates, gates + strip * ROWS, room + strip * ROWS * room_for(2 * H));
            }
            for (i64 first = 0, width; first < vectors; first += width) {
                width = block_width(vectors - first);
                const factor *panel = r.panel + first * LANES * folded(3 * H);
                for (i64 strip = tile; strip * ROWS < running(&r, s); strip += c->ntiles) {
                    i64 rows = candidates ? backward_products(&r, s, strip) : in_strip(running(&r, s), strip);
                    multiply_before(&r, gates + strip * ROWS, rows, !candidates, width, panel, product);
                    for (i64 j = 0; j < width; j++) {
                        i64 unit = (first + j) * LANES;
                        float *carried = carry + strip * ROWS * Hp, *summed = sums + strip * SUMS * Hp;
                        if (candidates)
                            backward_candidates(&r, s, strip, unit, rows, product + j, width, carried, summed);
                        else
                            backward_resets(&r, s, strip, unit, product + j, width, carried, summed);
                    }
                }
            }
        }
    if (c->d_h0)
        before_initial(&r, tile, carry, gates, room);
}

/* ------------------------------------------------------------------------------------------------------------------ */
/* Sums over frames, and work items over threads */

/* One piece of the rows of one recurrence's d_w_hh, over all its frames: h meets the gates' gradients, r ⊙ h the candidate's. */
static void before_weights_item(const void *argument, i64 item, char *scratch)
{
    const struct call *c = argument;
    struct recurrence r;
    struct summing sum;
    start_recurrence(&r, c, item / c->nchunks, &scratch);
    i64 chunk = item % c->nchunks, blocks = blocks_of(c);
    start_summing(&r, &sum, blocks * chunk / c->nchunks, blocks * (chunk + 1) / c->nchunks, 1, &scratch);
    if (chunk == 0)
        reduce_sums(&r, take(&scratch, SUMS * padded(c->H)));
    for (i64 s = r.T - 1; s >= 0; s--)
        for (i64 strip = 0; strip * ROWS < running(&r, s); strip++) {
            struct gradients of = gradients_at(&r, s, strip);
            let_wait(&r, &sum, s, strip, &of, reset_states_at(&r, s, strip, in_strip(running(&r, s), strip)));
        }
    add_waiting(&r, &sum);
}

/* Bytes of scratch a thread needs for this call: forward's z and r ⊙ h beside what gru.c takes. */
i64 gru_before_scratch_bytes(const struct call *c)
{
    return gru_scratch_bytes(c) + (2 * strips_of(c) * ROWS * padded(c->H) * 4 + 4095) / 4096 * 4096;
}

static void share_before(struct call *c, i64 items, work_item work)
{
    run((struct region){c, items, c->scratch, gru_before_scratch_bytes(c), work, c->parallel, 0, 0}, c->threads);
}

void gru_before_forward(struct call *c)
{
    share_out(c);
    share_before(c, c->G * c->D * c->ntiles, before_forward_item);
}

void gru_before_backward(struct call *c)
{
    share_out(c);
    share_before(c, c->G * c->D * c->ntiles, before_backward_item);
    share_before(c, c->G * c->D * c->nchunks, before_weights_item);
}
