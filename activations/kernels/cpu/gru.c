/* GRU recurrences on packed frames, forward and backward in time. Compiled after gru_call.h and gru_sums.h. */

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
    vf a_r[ROWS], a_z[ROWS], a_n[ROWS], hn[ROWS], z[ROWS];
    for (i64 i = 0; i < rows; i++) { /* all rows' before the candidates, which wait for them: functions of several rows overlap */
        a_r[i] = inputs[i * BLOCK] + b_r;
        a_z[i] = inputs[i * BLOCK + 1] + b_z;
        hn[i] = b_n;
        if (i < products) {
            a_r[i] += product[i * BLOCK];
            a_z[i] += product[i * BLOCK + 1];
            hn[i] += product[i * BLOCK + 2];
        }
        z[i] = update_value(a_z[i], p_update);
        a_n[i] = inputs[i * BLOCK + 2] + reset_value(a_r[i], p_reset) * hn[i];
    }
    for (i64 i = 0; i < rows; i++, at += c->D) {
        vf h = i < products ? load_first(states[i] + unit, n) : splat(0);
        store_first(c->h + at * H + unit, (1.0f - z[i]) * candidate_value(a_n[i], p_candidate) + z[i] * h, n);
        if (saved) {
            store(saved, a_r[i]);
            store(saved + LANES, a_z[i]);
            store(saved + 2 * LANES, a_n[i]);
            store(saved + 3 * LANES, hn[i]);
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
   carry [ROWS, Hp]: the same through z ⊙ h; replaced by this step's. to: where the gradients go. */
static void backward_gates(const struct recurrence *r, i64 s, i64 strip, i64 unit, i64 products, const vf *product, i64 stride,
                           float *carry, float *sums, const struct gradients *to)
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
        for (int gate = 0; c->d_gates_x && gate < 3; gate++)
            will_write(c->d_gates_x + ((at + before) * 3 + gate) * H + unit);
        if (c->d_hn)
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
        float *d_x = to->gates + i * to->gates_stride + unit;
        store_first(d_x, d_ar, n);
        store_first(d_x + H, d_az, n);
        store_first(d_x + 2 * H, d_an, n);
        store_first(to->d_hn + i * to->hn_stride + unit, d_hn, n);
        sum[0] += d_ar;
        sum[1] += d_az;
        sum[2] += d_hn;
        sum[3] += d_an;
        for (int j = 0; j < reset; j++)
            sum[BIASES + j] += d_z * d_p[j];
        for (int j = reset; j < candidate; j++)
            sum[BIASES + j] += d_r * d_p[j];
        for (int j = candidate; j < PARAMETERS; j++)
            sum[BIASES + j] += d_n * d_p[j];
    }
    for (int i = 0; i < SUMS; i++)
        store(sums + i * Hp + unit, sum[i]);
}

/* A strip's gradients by the gates as factors: d_ar and d_az, and behind them d_hn. room: for the strip's rows. */
static void gradient_rows(const struct recurrence *r, const struct gradients *from, i64 rows, const factor **gates, factor *room)
{
    i64 H = r->c->H;
    for (i64 i = 0; i < rows; i++, room += room_for(2 * H) + room_for(H)) {
        gates[i] = along(from->gates + i * from->gates_stride, 2 * H, room);
        gates[ROWS + i] = along(from->d_hn + i * from->hn_stride, H, room + room_for(2 * H));
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

/* Gradients that nobody but the sums and the step before needs stay in scratch: rows [4H], taken in turns. A step's are needed until
   the next one is through, others until they are summed. A row ends with a cache line more, or else the rows of a strip would share
   a few sets of the cache. */
struct window {
    float *rows;
    i64 capacity, next;
};

INLINE i64 window_stride(i64 H) { return 4 * H + 16; }
INLINE i64 window_rows(const struct call *c) { return FRAMES_AT_ONCE + 2 * strips_of(c) * ROWS + ROWS; }

/* Whether gradients stay there: where they are not asked for, one thread has all of a recurrence, and weights, their gradients and
   the window do not push each other out of the cache (with 512 units 0.92 times as fast, docs/speed.md). */
INLINE int stay(const struct call *c) { return c->d_w_ih && !c->d_h0 && c->ntiles == 1 && c->H <= 256; }

static struct gradients take_rows(struct window *window, i64 rows, i64 H)
{
    if (window->next + rows > window->capacity)
        window->next = 0;
    i64 stride = window_stride(H);
    float *first = window->rows + window->next * stride;
    window->next += rows;
    return (struct gradients){first, first + 3 * H, stride, stride};
}

/* d_h0 of a strip, `width` vectors of units from `first`: of the rows that have steps, what came to the first one. */
static void store_initial(
    const struct recurrence *r, i64 strip, i64 rows, i64 first, i64 width, const vf *product, const float *carry)
{
    const struct call *c = r->c;
    i64 H = c->H, Hp = padded(H);
    for (i64 i = 0; i < in_strip(c->B, strip); i++) {
        i64 rank = strip * ROWS + i;
        float *to = c->d_h0 + ((r->g * c->D + r->d) * c->B + r->order[rank]) * H;
        for (i64 j = 0; j < width; j++) {
            i64 unit = (first + j) * LANES;
            vf d_state = splat(0);
            if (i < rows)
                d_state = product[i * width + j] + load(carry + rank * Hp + unit);
            store_first(to + unit, d_state, least(H - unit, LANES));
        }
    }
}

/* Gradients by the states before the first steps, from those by the gates there. */
static void initial_gradients(const struct recurrence *r, i64 tile, const float *carry, const factor **gates, factor *room)
{
    const struct call *c = r->c;
    i64 H = c->H, vectors = padded(H) / LANES;
    vf product[ROWS * BLOCK];
    for (i64 first = 0, width; first < vectors; first += width) {
        width = block_width(vectors - first);
        for (i64 strip = tile; strip < strips_of(c); strip += c->ntiles) {
            i64 rows = in_strip(r->T ? r->batch_sizes[0] : 0, strip);
            for (i64 i = 0; i < rows; i++) {
                i64 s = 0; /* the row's own first step: backward in time it joins late */
                while (running(r, s) <= strip * ROWS + i)
                    s++;
                i64 at = frame(r, s, strip * ROWS + i), of_row = i * (room_for(2 * H) + room_for(H));
                gates[i] = along(c->d_gates_x + at * 3 * H, 2 * H, room + of_row);
                gates[ROWS + i] = along(c->d_hn + at * H, H, room + of_row + room_for(2 * H));
            }
            if (rows)
                multiply_gradients(r, gates, rows, width, r->panel + first * LANES * folded(3 * H), product);
            store_initial(r, strip, rows, first, width, product, carry);
        }
    }
}

static void backward_item(const void *argument, i64 item, char *scratch)
{
    const struct call *c = argument;
    struct recurrence r;
    start_recurrence(&r, c, item / c->ntiles, &scratch);
    i64 H = c->H, Hp = padded(H), vectors = Hp / LANES, strips = strips_of(c), together = strips_together(c);
    i64 tile = item % c->ntiles;
    const float **rows_of_w = (const float **)take(&scratch, 3 * H * 2);
    for (i64 k = 0; k < 3 * H; k++)
        rows_of_w[k] = r.w_hh + k * H;
    pack_columns(rows_of_w, 3 * H, H, r.panel);
    float *carry = take(&scratch, strips * ROWS * Hp);
    const factor **gates = (const factor **)take(&scratch, strips * 2 * ROWS * 2);
    i64 room_of_strip = ROWS * (room_for(2 * H) + room_for(H));
    factor *room = (factor *)take(&scratch, strips * room_of_strip);
    struct gradients *now = (struct gradients *)take(&scratch, strips * 8), *after = (struct gradients *)take(&scratch, strips * 8);
    float *sums = c->sums + (r.g * c->D + r.d) * strips * SUMS * Hp;
    for (i64 strip = tile; strip < strips; strip += c->ntiles)
        memset(sums + strip * SUMS * Hp, 0, (size_t)(SUMS * Hp) * 4);
    struct summing sum;
    struct window window = {NULL, window_rows(c), 0};
    if (stay(c)) {
        start_summing(&r, &sum, 0, blocks_of(c), 0, &scratch);
        window.rows = take(&scratch, window.capacity * window_stride(H));
    }
    vf product[ROWS * BLOCK];
    for (i64 s = r.T - 1; s >= 0; s--) {
        i64 strips_now = (running(&r, s) + ROWS - 1) / ROWS;
        for (i64 strip = tile; strip < strips_now; strip += c->ntiles) {
            gradient_rows(&r, after + strip, backward_products(&r, s, strip), gates + strip * 2 * ROWS, room + strip * room_of_strip);
            now[strip] = stay(c) ? take_rows(&window, in_strip(running(&r, s), strip), H) : gradients_at(&r, s, strip);
        }
        for (i64 some = tile; some < strips_now; some += together)
            for (i64 first = 0, width; first < vectors; first += width) {
                width = block_width(vectors - first);
                const factor *panel = r.panel + first * LANES * folded(3 * H);
                for (i64 strip = some; strip < least(some + together, strips_now); strip += c->ntiles) {
                    i64 rows = backward_products(&r, s, strip);
                    if (rows)
                        multiply_gradients(&r, gates + strip * 2 * ROWS, rows, width, panel, product);
                    for (i64 j = 0; j < width; j++)
                        backward_gates(&r, s, strip, (first + j) * LANES, rows, product + j, width, carry + strip * ROWS * Hp,
                                       sums + strip * SUMS * Hp, now + strip);
                }
            }
        for (i64 strip = 0; stay(c) && strip < strips_now; strip++)
            let_wait(&r, &sum, s, strip, now + strip, NULL);
        struct gradients *swapped = now;
        now = after;
        after = swapped;
    }
    if (stay(c)) {
        add_waiting(&r, &sum);
        reduce_sums(&r, take(&scratch, SUMS * Hp));
    }
    if (c->d_h0)
        initial_gradients(&r, tile, carry, gates, room);
}

/* ------------------------------------------------------------------------------------------------------------------ */
/* Work items over threads */

static void share_out(struct call *c)
{
    i64 H = c->H, blocks = blocks_of(c);
    c->ntiles = pieces(c->G * c->D, c->threads, 1, strips_of(c));
    c->nchunks = pieces(c->G * c->D, c->threads, least((3 * H + 639) / 640, blocks), blocks); /* 640: half of 1 MiB of cache */
}

/* Floats of `sums` for this call. */
i64 gru_sums(const struct call *c) { return c->G * c->D * strips_of(c) * SUMS * padded(c->H); }

/* Frames for which d_gates_x and d_hn need room in this call, each for D directions: all, or none. */
i64 gru_gradient_rows(struct call *c)
{
    share_out(c);
    return stay(c) ? 0 : c->N;
}

/* Bytes of scratch a thread needs for this call. */
i64 gru_scratch_bytes(const struct call *c)
{
    i64 H = c->H, Hp = padded(H), strips = strips_of(c);
    i64 floats = 3 * Hp + PARAMETERS * Hp + 3 * Hp * H; /* start_recurrence */
    i64 forward = strips * (3 * ROWS + 1) * 2 + room_for_rows(c, H) + 3 * Hp * (c->I + 1) + room_for_rows(c, c->I);
    i64 backward = 6 * H + strips * (16 + ROWS * (Hp + 4 + room_for(2 * H) + room_for(H))) + summing_floats(c);
    if (c->d_w_ih)
        backward += window_rows(c) * window_stride(H);
    return ((floats + (forward > backward ? forward : backward)) * 4 + 64 * 20 + 4095) / 4096 * 4096; /* take rounds up */
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
    if (!stay(c))
        share(c, c->G * c->D * c->nchunks, weights_item);
}
