/* Additive attention over packed frames, forward and backward: one pass each way over a row's own states.

   This file is compiled after vmath.h, factors.h and product.h of activations/kernels/cpu.

   - A work item is a part of a group: PART of its rows, longest first, through all their time steps. Rows stand side by side in
     memory at every step, so that scores are products of a few rows and softmax runs over rows, a lane each.
   - The softmax keeps a running maximum, so that states are read once (Milakov & Gimelshein, "Online normalizer calculation for
     softmax", 2018).
   - A mask that belongs to the states (dropout) is multiplied in where they are read, and in where their gradients are written.
   - Sums over frames are taken within a part, in time, and then over a group's parts in order: results are the same bits for any
     number of threads and companions. */

#define PART 32 /* rows; a multiple of LANES and of ROWS everywhere */

struct attention {
    i64 G, B, T, W, A, threads; /* A = 0: all frames of a row weigh the same */
    const i64 *order, *batch_sizes, *starts; /* of these groups: [G, B], [G, T], [G, T + 1]; see packing.py */
    const float *states, *mask; /* [N, W], from the packing's very first frame; mask may be NULL */
    const float *weight, *bias, *score; /* [G, A, W], [G, A], [G, A] */
    const float *offer; /* [G, B, A] or NULL: what is added to the keys of a row's frames */
    float *pooled; /* [G, B, W] */
    float *keys, *scores; /* [n, A] tanh of keys, [n]: of these groups' frames, for backward; NULL without */
    float *most, *total; /* [G, B] a row's largest score, and its sum of exponentials */
    const float *d_pooled; /* [G, B, W] */
    float *d_states; /* as states */
    float *d_weight, *d_bias, *d_score, *d_offer; /* as weight, bias, score, offer */
    float *sums; /* [G, parts, A, W + 2]: gradients by weight, bias and score of each part */
    char *scratch; /* threads * attention_scratch_bytes(call) */
    parallel_region parallel;
};

INLINE i64 parts_of(const struct attention *c) { return (c->B + PART - 1) / PART; }

/* ------------------------------------------------------------------------------------------------------------------ */
/* One part of a group */

struct part {
    const struct attention *c;
    i64 g, first_rank;
    const i64 *order, *batch_sizes, *starts;
    const float *bias, *score;
};

static struct part part_of(const struct attention *c, i64 item)
{
    i64 g = item / parts_of(c);
    return (struct part){c, g, item % parts_of(c) * PART, c->order + g * c->B, c->batch_sizes + g * c->T,
                         c->starts + g * (c->T + 1), c->bias + g * c->A, c->score + g * c->A};
}

/* The part's rows that run in step s, and the first one's frame. */
INLINE i64 running(const struct part *p, i64 s)
{
    i64 n = s < p->c->T ? p->batch_sizes[s] - p->first_rank : 0;
    return n < 0 ? 0 : least(n, PART);
}
INLINE i64 frame(const struct part *p, i64 s) { return p->starts[s] + p->first_rank; }

/* Where row number i of the part stands in [G, B]. */
INLINE i64 row_of(const struct part *p, i64 i) { return p->g * p->c->B + p->order[p->first_rank + i]; }

/* rows[i]: states of n frames from `first` on; under a mask in `room` [n, W]. */
static void heard_rows(const struct attention *c, i64 first, i64 n, const float **rows, float *room)
{
    for (i64 i = 0; i < n; i++) {
        const float *states = c->states + (first + i) * c->W;
        rows[i] = states;
        if (!c->mask)
            continue;
        const float *mask = c->mask + (first + i) * c->W;
        float *heard = room + i * c->W;
        for (i64 j = 0; j < c->W; j += LANES) {
            i64 lanes = least(c->W - j, LANES);
            store_first(heard + j, load_first(states + j, lanes) * load_first(mask + j, lanes), lanes);
        }
        rows[i] = heard;
    }
}

/* Sum of all lanes: of four at once, then of the four. */
INLINE float sum_of(vf x)
{
    float lane[LANES], sum[4];
    store(lane, x);
#pragma GCC unroll 4
    for (i64 i = 0; i < 4; i++)
        sum[i] = lane[i];
#pragma GCC unroll 16
    for (i64 i = 4; i < LANES; i++)
        sum[i % 4] += lane[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* A row's weights at a step from its scores there: exp(score - most); 0 for rows that have ended, whose score is -inf. */
INLINE vf weight_of(vf score, vf most) { return v_exp(score - most); }

/* ------------------------------------------------------------------------------------------------------------------ */
/* Forward */

/* scores[i] = score . tanh(W state + bias + offer) of n rows in a step; -inf behind them, up to a whole vector. */
static void score_rows(const struct part *p, i64 first, i64 n, const float *const *rows, const float *panel, float *scores)
{
    const struct attention *c = p->c;
    vf product[ROWS * BLOCK], sum[PART];
    for (i64 i = 0; i < n; i++)
        sum[i] = splat(0);
    float *keys = c->keys ? c->keys + (first - c->starts[0]) * c->A : NULL;
    for (i64 column = 0, left = padded(c->A) / LANES, width; left > 0; column += width * LANES, left -= width) {
        width = block_width(left);
        for (i64 some = 0; some < n; some += ROWS) {
            i64 together = least(n - some, ROWS);
            multiply_table[together - 1][width - 1](rows + some, panel + column * c->W, c->W, product, 0);
            for (i64 i = some; i < some + together; i++)
                for (i64 j = 0; j < width; j++) {
                    i64 at = column + j * LANES, lanes = least(c->A - at, LANES);
                    vf key = product[(i - some) * width + j] + load_first(p->bias + at, lanes);
                    if (c->offer)
                        key += load_first(c->offer + row_of(p, i) * c->A + at, lanes);
                    key = v_tanh(key);
                    if (keys)
                        store_first(keys + i * c->A + at, key, lanes);
                    sum[i] += key * load_first(p->score + at, lanes);
                }
        }
    }
    for (i64 i = 0; i < padded(n); i++)
        scores[i] = i < n ? sum_of(sum[i]) : -INFINITY;
}

static void forward_item(const void *argument, i64 item, char *scratch)
{
    const struct attention *c = argument;
    struct part p = part_of(c, item);
    i64 W = c->W, Wp = padded(W);
    float *panel = take(&scratch, padded(c->A) * W), *room = take(&scratch, PART * W), *means = take(&scratch, PART * Wp);
    pack_transposed(c->weight + p.g * c->A * W, c->A, W, panel, NULL);
    memset(means, 0, (size_t)(PART * Wp) * 4);
    float scores[PART], most[PART], total[PART], kept[PART], now[PART];
    const float *rows[PART];
    for (i64 i = 0; i < PART; i++) {
        most[i] = -INFINITY;
        total[i] = 0;
    }
    for (i64 s = 0, n; (n = running(&p, s)) > 0; s++) {
        i64 first = frame(&p, s);
        heard_rows(c, first, n, rows, room);
        score_rows(&p, first, n, rows, panel, scores);
        if (c->scores)
            memcpy(c->scores + first - c->starts[0], scores, (size_t)n * 4);
        for (i64 i = 0; i < n; i += LANES) {
            vf before = load(most + i), top = v_max(before, load(scores + i));
            vf keep = weight_of(before, top), add = weight_of(load(scores + i), top);
            store(most + i, top);
            store(total + i, load(total + i) * keep + add);
            store(kept + i, keep);
            store(now + i, add);
        }
        for (i64 i = 0; i < n; i++)
            for (i64 j = 0; j < W; j += LANES) {
                float *mean = means + i * Wp + j;
                store(mean, load(mean) * kept[i] + load_first(rows[i] + j, least(W - j, LANES)) * now[i]);
            }
    }
    for (i64 i = 0; i < least(c->B - p.first_rank, PART); i++) {
        i64 row = row_of(&p, i);
        float share = i < running(&p, 0) ? 1.0f / total[i] : 0.0f; /* a row without frames has nothing to attend to */
        for (i64 j = 0; j < W; j += LANES)
            store_first(c->pooled + row * W + j, load(means + i * Wp + j) * share, least(W - j, LANES));
        if (c->scores) {
            c->most[row] = most[i];
            c->total[row] = total[i];
        }
    }
}

/* ------------------------------------------------------------------------------------------------------------------ */
/* Backward */

/* What a part walks backward with. */
struct way_back {
    float *panel; /* weight, for gradients by states */
    float *most, *total, *mean; /* [PART]; mean: of a row's pooled state in the direction of its gradient */
    const float *d_pooled[PART];
    float *sums; /* this part's gradients: weight [A, W], bias [A], score [A] */
    float *d_keys; /* [PART, A] of a step */
    float *left, *right; /* of the weight gradient: d_keys [FRAMES_AT_ONCE, A] in blocks of ROWS, states */
    const float *states[FRAMES_AT_ONCE];
    i64 K; /* frames in left */
};

/* Add the products of the frames collected to the gradient by weight. */
static void add_collected(const struct attention *c, struct way_back *b)
{
    i64 A = c->A, W = c->W;
    vf product[ROWS * BLOCK];
    pack_columns(b->states, b->K, W, b->right);
    for (i64 column = 0, left = padded(W) / LANES, width; left > 0; column += width * LANES, left -= width) {
        width = block_width(left);
        for (i64 a = 0; a < A; a += ROWS) {
            multiply_packed_table[width - 1](b->left + a / ROWS * LEFT_BLOCK, b->right + column * b->K, b->K, product);
            for (i64 i = 0; i < least(ROWS, A - a); i++)
                for (i64 j = 0; j < width; j++) {
                    i64 at = column + j * LANES, lanes = least(W - at, LANES);
                    float *to = b->sums + (a + i) * W + at;
                    store_first(to, load_first(to, lanes) + product[i * width + j], lanes);
                }
        }
    }
    b->K = 0;
}

/* Gradients by the keys of a row's frame, from the one by its score: [A], and their sums. */
static void key_gradients(const struct part *p, struct way_back *b, i64 i, const float *keys, float by_score)
{
    const struct attention *c = p->c;
    i64 A = c->A;
    float *bias = b->sums + A * c->W, *score = bias + A, *d_keys = b->d_keys + i * A;
    for (i64 a = 0; a < A; a += LANES) {
        i64 lanes = least(A - a, LANES);
        vf key = load_first(keys + a, lanes), d_key = by_score * load_first(p->score + a, lanes) * (1.0f - key * key);
        store_first(d_keys + a, d_key, lanes);
        store_first(bias + a, load_first(bias + a, lanes) + d_key, lanes);
        store_first(score + a, load_first(score + a, lanes) + by_score * key, lanes);
        if (c->offer) {
            float *offer = c->d_offer + row_of(p, i) * A + a;
            store_first(offer, load_first(offer, lanes) + d_key, lanes);
        }
    }
    float *left = b->left + b->K * ROWS;
    for (i64 a = 0; a < A; a += ROWS, left += LEFT_BLOCK)
        copy_column(left, d_keys + a, A - a);
}

/* Gradients by the states of n rows in a step: through their means, by `weights`, and through their keys. */
static void state_gradients(const struct part *p, const struct way_back *b, i64 first, i64 n, const float *weights)
{
    const struct attention *c = p->c;
    i64 W = c->W, A = c->A;
    vf product[ROWS * BLOCK];
    const float *d_keys[PART];
    for (i64 i = 0; i < n; i++)
        d_keys[i] = b->d_keys + i * A;
    for (i64 column = 0, left = padded(W) / LANES, width; left > 0; column += width * LANES, left -= width) {
        width = block_width(left);
        for (i64 some = 0; some < n; some += ROWS) {
            i64 together = least(n - some, ROWS);
            multiply_table[together - 1][width - 1](d_keys + some, b->panel + column * A, A, product, 0);
            for (i64 i = some; i < some + together; i++)
                for (i64 j = 0; j < width; j++) {
                    i64 at = column + j * LANES, lanes = least(W - at, LANES), to = (first + i) * W + at;
                    vf d_state = product[(i - some) * width + j] + weights[i] * load_first(b->d_pooled[i] + at, lanes);
                    if (c->mask)
                        d_state *= load_first(c->mask + to, lanes);
                    store_first(c->d_states + to, d_state, lanes);
                }
        }
    }
}

static void start_way_back(const struct part *p, struct way_back *b, char **scratch)
{
    const struct attention *c = p->c;
    i64 A = c->A, W = c->W;
    b->panel = take(scratch, A * padded(W));
    b->most = take(scratch, PART);
    b->total = take(scratch, PART);
    b->mean = take(scratch, PART);
    b->d_keys = take(scratch, PART * A);
    b->left = take(scratch, (A / ROWS + 1) * LEFT_BLOCK);
    b->right = take(scratch, FRAMES_AT_ONCE * padded(W));
    b->sums = c->sums + (p->g * parts_of(c) + p->first_rank / PART) * A * (W + 2);
    b->K = 0;
    memset(b->sums, 0, (size_t)(A * (W + 2)) * 4);
    const float **rows = (const float **)take(scratch, A * 2);
    for (i64 a = 0; a < A; a++)
        rows[a] = c->weight + (p->g * A + a) * W;
    pack_columns(rows, A, W, b->panel);
    for (i64 i = 0; i < PART; i++) {
        b->most[i] = 0;
        b->total[i] = 1;
        if (i >= c->B - p->first_rank)
            continue;
        i64 row = row_of(p, i);
        if (c->offer)
            memset(c->d_offer + row * A, 0, (size_t)A * 4);
        b->d_pooled[i] = c->d_pooled + row * W;
        if (i >= running(p, 0))
            continue;
        b->most[i] = c->most[row];
        b->total[i] = c->total[row];
        vf along = splat(0);
        for (i64 j = 0; j < W; j += LANES) {
            i64 lanes = least(W - j, LANES);
            along += load_first(c->pooled + row * W + j, lanes) * load_first(b->d_pooled[i] + j, lanes);
        }
        b->mean[i] = sum_of(along);
    }
}

static void backward_item(const void *argument, i64 item, char *scratch)
{
    const struct attention *c = argument;
    struct part p = part_of(c, item);
    struct way_back b;
    start_way_back(&p, &b, &scratch);
    i64 A = c->A, W = c->W;
    float *room = take(&scratch, FRAMES_AT_ONCE * W), weights[PART];
    for (i64 s = 0, n; (n = running(&p, s)) > 0; s++) {
        i64 first = frame(&p, s), number = first - c->starts[0];
        if (b.K + PART > FRAMES_AT_ONCE)
            add_collected(c, &b);
        heard_rows(c, first, n, b.states + b.K, room + b.K * W);
        for (i64 i = 0; i < n; i += LANES) {
            i64 lanes = least(n - i, LANES);
            vf weight = weight_of(load_first(c->scores + number + i, lanes), load(b.most + i)) / load(b.total + i);
            store(weights + i, weight);
        }
        for (i64 i = 0; i < n && A > 0; i++) {
            vf along = splat(0);
            for (i64 j = 0; j < W; j += LANES) {
                i64 lanes = least(W - j, LANES);
                along += load_first(b.states[b.K] + j, lanes) * load_first(b.d_pooled[i] + j, lanes);
            }
            /* d softmax: the weight times how much better than the mean this frame's state would be */
            key_gradients(&p, &b, i, c->keys + (number + i) * A, weights[i] * (sum_of(along) - b.mean[i]));
            b.K++;
        }
        state_gradients(&p, &b, first, n, weights);
    }
    if (b.K)
        add_collected(c, &b);
}

/* One group's gradients, of those of its parts. */
static void sums_item(const void *argument, i64 g, char *scratch)
{
    const struct attention *c = argument;
    i64 A = c->A, W = c->W, size = A * (W + 2);
    float *total = c->sums + g * parts_of(c) * size;
    (void)scratch;
    for (i64 part = 1; part < parts_of(c); part++)
        for (i64 i = 0; i < size; i++)
            total[i] += total[part * size + i];
    memcpy(c->d_weight + g * A * W, total, (size_t)(A * W) * 4);
    memcpy(c->d_bias + g * A, total + A * W, (size_t)A * 4);
    memcpy(c->d_score + g * A, total + A * (W + 1), (size_t)A * 4);
}

/* ------------------------------------------------------------------------------------------------------------------ */
/* Work items over threads */

/* Floats of `sums` for this call. */
i64 attention_sums(const struct attention *c) { return c->G * parts_of(c) * c->A * (c->W + 2); }

/* Bytes of scratch a thread needs for this call. */
i64 attention_scratch_bytes(const struct attention *c)
{
    i64 A = c->A, W = c->W, Wp = padded(W);
    i64 forward = padded(A) * W + PART * (W + Wp);
    i64 backward = A * Wp + PART * (3 + A) + (A / ROWS + 1) * LEFT_BLOCK + FRAMES_AT_ONCE * (W + Wp) + 2 * A;
    return ((forward > backward ? forward : backward) * 4 + 64 * 10 + 4095) / 4096 * 4096; /* take rounds up, 9 times at most */
}

static void share(struct attention *c, i64 items, work_item work)
{
    run((struct region){c, items, c->scratch, attention_scratch_bytes(c), work, c->parallel, 0, 0}, c->threads);
}

void attention_forward(struct attention *c) { share(c, c->G * parts_of(c), forward_item); }

void attention_backward(struct attention *c)
{
    share(c, c->G * parts_of(c), backward_item);
    share(c, c->G, sums_item);
}
