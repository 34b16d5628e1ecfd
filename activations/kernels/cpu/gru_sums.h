/* Sums over frames: gradients by weights, biases and parameters. Compiled after gru_call.h.

   - Frames are summed in the order in which backward makes their gradients: the last step first, and in a step strip after strip.
     As many whole strips as FRAMES_AT_ONCE rows hold wait together and are then multiplied, so that a sum does not depend on
     whether backward hands its gradients over as it makes them or a later pass reads them. */

#define FRAMES_AHEAD 12 /* so early the rows of a weight gradient are asked for: longer than memory takes, and few enough to stay */

/* Where the gradients by the gates' inputs of a strip's rows in a step lie: row i's [3H] and [H] so many floats further. */
struct gradients {
    float *gates, *d_hn;
    i64 gates_stride, hn_stride;
};

static struct gradients gradients_at(const struct recurrence *r, i64 s, i64 strip)
{
    const struct call *c = r->c;
    i64 at = frame(r, s, strip * ROWS), H = c->H;
    return (struct gradients){c->d_gates_x + at * 3 * H, c->d_hn + at * H, c->D * 3 * H, c->D * H};
}

/* Weight gradients in the making: blocks first..last of the rows of gates r, z, h_n and, for W_ih, x_n. */
struct summing {
    i64 first, last;
    factor *left, *states, *reset_states, *frames, *room; /* packed; reset_states of a cell that needs them, else NULL */
    const float *zeros; /* [H] */
    i64 waiting; /* frames whose gradients wait to be summed, and of each: */
    const float *gates[FRAMES_AT_ONCE], *d_hn[FRAMES_AT_ONCE];
    const float *state[FRAMES_AT_ONCE], *reset_state[FRAMES_AT_ONCE], *frame[FRAMES_AT_ONCE];
};

/* A weight gradient's rows are gate inputs; a block is ROWS of them, within one gate. */
INLINE i64 blocks_of_gate(i64 H) { return (H + ROWS - 1) / ROWS; }
INLINE i64 blocks_of(const struct call *c) { return (c->d_w_ih ? 4 : 3) * blocks_of_gate(c->H); }

/* The gate of W_ih and W_hh whose gradients are number n of r, z, h_n, x_n. */
INLINE i64 gate_of(i64 n) { return n < 2 ? n : 2; }

/* Start the sums of these blocks, from zero. */
static void start_summing(const struct recurrence *r, struct summing *sum, i64 first, i64 last, int reset_states, char **scratch)
{
    const struct call *c = r->c;
    i64 H = c->H, Hp = padded(H), I = c->I, gd = r->g * c->D + r->d, blocks = blocks_of_gate(H);
    sum->first = first;
    sum->last = last;
    sum->waiting = 0;
    sum->left = (factor *)take(scratch, blocks * LEFT_BLOCK);
    sum->states = (factor *)take(scratch, Hp * FRAMES_AT_ONCE);
    sum->reset_states = reset_states ? (factor *)take(scratch, Hp * FRAMES_AT_ONCE) : NULL;
    sum->frames = c->d_w_ih ? (factor *)take(scratch, padded(I) * FRAMES_AT_ONCE) : NULL;
    sum->room = (factor *)take(scratch, Hp);
    float *zeros = take(scratch, H);
    memset(zeros, 0, (size_t)H * 4);
    sum->zeros = zeros;
    for (i64 block = first; block < last; block++) {
        i64 n = block / blocks, row = block % blocks * ROWS, at = (gd * 3 + gate_of(n)) * H + row, rows = least(ROWS, H - row);
        if (n < 3)
            memset(c->d_w_hh + at * H, 0, (size_t)(rows * H) * 4);
        if (c->d_w_ih && n != 2)
            memset(c->d_w_ih + at * I, 0, (size_t)(rows * I) * 4);
    }
}

/* Blocks first..last of one gate's rows made the left side of a product: block after block [K, ROWS], LEFT_BLOCK apart. */
static void pack_gradients(const float *const *gradients, i64 K, i64 H, i64 first, i64 last, factor *left, factor *room)
{
    i64 top = first * ROWS, rows = least(last * ROWS, H) - top;
    for (i64 k = 0; k < folded(K); k++) {
        will_read_row(gradients[least(DEPTH * k + FRAMES_AHEAD, K - 1)] + top, rows);
        const float *next = DEPTH * k + 1 < K ? gradients[DEPTH * k + 1] + top : NULL;
        const factor *from = across(gradients[DEPTH * k] + top, next, rows, room);
        factor *to = left + k * ROWS;
        for (i64 row = 0; row < rows; row += ROWS, to += LEFT_BLOCK)
            copy_column(to, from + row, rows - row);
    }
}

/* Blocks first..last of d_w [H, numbers] += left^T right, for K factors. */
static void add_product(const factor *left, const factor *right, i64 K, i64 H, i64 numbers, i64 first, i64 last, float *d_w)
{
    vf product[ROWS * BLOCK];
    i64 vectors = padded(numbers) / LANES;
    for (i64 column = 0, width; column < vectors; column += width) {
        width = block_width(vectors - column);
        for (i64 block = first; block < last; block++) {
            multiply_packed_table[width - 1](left + (block - first) * LEFT_BLOCK, right + column * LANES * K, K, product);
            for (i64 i = 0; i < least(ROWS, H - block * ROWS); i++)
                for (i64 j = 0; j < width; j++) {
                    i64 unit = (column + j) * LANES, n = least(numbers - unit, LANES);
                    float *at = d_w + (block * ROWS + i) * numbers + unit;
                    store_first(at, load_first(at, n) + product[i * width + j], n);
                }
        }
    }
}

/* Sum what waits. */
static void add_waiting(const struct recurrence *r, struct summing *sum)
{
    const struct call *c = r->c;
    i64 H = c->H, I = c->I, K = sum->waiting, depth = folded(K), gd = r->g * c->D + r->d, blocks = blocks_of_gate(H);
    pack_columns(sum->state, K, H, sum->states);
    if (sum->reset_states)
        pack_columns(sum->reset_state, K, H, sum->reset_states);
    if (c->d_w_ih)
        pack_columns(sum->frame, K, I, sum->frames);
    for (i64 n = 0; n * blocks < sum->last; n++) {
        i64 first = sum->first > n * blocks ? sum->first - n * blocks : 0, last = least(sum->last - n * blocks, blocks);
        if (first >= last)
            continue;
        const float *gradients[FRAMES_AT_ONCE];
        for (i64 k = 0; k < K; k++)
            gradients[k] = n == 2 ? sum->d_hn[k] : sum->gates[k] + gate_of(n) * H;
        pack_gradients(gradients, K, H, first, last, sum->left, sum->room);
        i64 at = (gd * 3 + gate_of(n)) * H;
        if (n < 3) {
            const factor *right = n == 2 && sum->reset_states ? sum->reset_states : sum->states;
            add_product(sum->left, right, depth, H, H, first, last, c->d_w_hh + at * H);
        }
        if (c->d_w_ih && n != 2)
            add_product(sum->left, sum->frames, depth, H, I, first, last, c->d_w_ih + at * I);
    }
    sum->waiting = 0;
}

/* Let the gradients of a strip's rows in step s wait; reset_states [rows, Hp] of a cell that needs them. */
static void let_wait(const struct recurrence *r, struct summing *sum, i64 s, i64 strip, const struct gradients *of,
                     const float *reset_states)
{
    const struct call *c = r->c;
    i64 rows = in_strip(running(r, s), strip), old = running(r, s - 1);
    if (sum->waiting + rows > FRAMES_AT_ONCE)
        add_waiting(r, sum);
    for (i64 i = 0; i < rows; i++) {
        i64 rank = strip * ROWS + i, k = sum->waiting++;
        const float *state = rank < old ? c->h + frame(r, s - 1, rank) * c->H : initial(r, rank);
        sum->gates[k] = of->gates + i * of->gates_stride;
        sum->d_hn[k] = of->d_hn + i * of->hn_stride;
        sum->state[k] = state ? state : sum->zeros;
        will_read_row(sum->state[k], c->H);
        if (reset_states)
            sum->reset_state[k] = reset_states + i * padded(c->H);
        if (!c->d_w_ih)
            continue;
        sum->frame[k] = c->frames + (r->starts[time_of(r, s)] + rank) * c->I;
        will_read_row(sum->frame[k], c->I);
    }
}

/* Add up the strips' sums into the gradients of biases and parameters. totals: for SUMS rows. */
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
    for (i64 gate = 0; c->d_b_ih && gate < 3; gate++)
        memcpy(c->d_b_ih + (gd * 3 + gate) * H, totals + (gate == 2 ? 3 : gate) * Hp, (size_t)H * 4);
    const float *from = totals + BIASES * Hp;
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

/* One piece of the rows of one recurrence's weight gradients, over all its frames. */
static void weights_item(const void *argument, i64 item, char *scratch)
{
    const struct call *c = argument;
    struct recurrence r;
    struct summing sum;
    start_recurrence(&r, c, item / c->nchunks, &scratch);
    i64 chunk = item % c->nchunks, blocks = blocks_of(c);
    start_summing(&r, &sum, blocks * chunk / c->nchunks, blocks * (chunk + 1) / c->nchunks, 0, &scratch);
    if (chunk == 0)
        reduce_sums(&r, take(&scratch, SUMS * padded(c->H)));
    for (i64 s = r.T - 1; s >= 0; s--)
        for (i64 strip = 0; strip * ROWS < running(&r, s); strip++) {
            struct gradients of = gradients_at(&r, s, strip);
            let_wait(&r, &sum, s, strip, &of, NULL);
        }
    add_waiting(&r, &sum);
}

/* Floats of scratch that summing takes. */
static i64 summing_floats(const struct call *c)
{
    i64 Hp = padded(c->H);
    return blocks_of_gate(c->H) * LEFT_BLOCK + FRAMES_AT_ONCE * (2 * Hp + padded(c->I)) + (2 + SUMS) * Hp;
}
