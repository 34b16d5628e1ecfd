/* The input projection of a stack, forward and backward: each group's own frames by its own weights, out = x W^T + b.

   - This file is compiled after vmath.h, factors.h and product.h. It depends on no activation.
   - The inner dimension is often short (45 features), which BLAS does at a quarter of its speed; here a block of weights
     stays in first-level cache for all the frames of an item.
   - Frames are shared out in fixed blocks, and sums over frames run in order, so results are the same bits for any number of
     threads and groups. */

#define ITEM_FRAMES 128
#define LARGEST_SHORT_SUM 128 /* up to here few frames at a time were measured to be faster (docs/speed.md) */

struct projection {
    i64 G, I, O, threads, pieces; /* pieces: of a group's weight gradient */
    const i64 *bounds; /* [G + 1] frames of each group */
    const i64 *first_item; /* [G + 1] items of ITEM_FRAMES frames before each group */
    const float *x, *w, *b; /* [N, I], [G, O, I], [G, O] or NULL */
    float *out; /* [N, O] */
    const float *d_out;
    float *d_x, *d_w, *d_b; /* as x, w, b; d_x and d_b may be NULL */
    char *scratch;
    parallel_region parallel;
};

/* A thread's scratch starts with the group whose weights it holds, for the next item is often of the same. */
struct held {
    i64 group; /* plus 1; scratch starts as zeros */
    char rest[56];
};

/* out[frame] = in[frame] panel + bias for the frames first..last: K numbers in, `columns` out. room: for ITEM_FRAMES rows. */
static void multiply_frames(const float *in, i64 K, const factor *panel, const float *bias, float *out, i64 columns, i64 first,
                            i64 last, factor *room)
{
    /* few frames at a time, so that the lines of a result are complete before they leave the cache; where K is large, reading the
       panel for each of them would take longer */
    i64 at_once = K <= LARGEST_SHORT_SUM ? 2 * ROWS : ITEM_FRAMES;
    vf product[ROWS * BLOCK];
    const factor *rows[ITEM_FRAMES];
    for (i64 frame = first; frame < last; frame++)
        rows[frame - first] = along(in + frame * K, K, room + (frame - first) * room_for(K));
    for (i64 start = first; start < last; start += at_once)
        for (i64 column = 0, left = padded(columns) / LANES, width; left > 0; column += width * LANES, left -= width) {
            width = block_width(left);
            for (i64 frame = start; frame < least(start + at_once, last); frame += ROWS) {
                i64 n = least(last - frame, ROWS);
                for (i64 i = 0; at_once < ITEM_FRAMES && i < n; i++)
                    for (i64 j = 0; j < width; j++)
                        will_write(out + (frame + at_once + i) * columns + column + j * LANES);
                multiply_table[n - 1][width - 1](rows + (frame - first), panel + column * folded(K), folded(K), product, 0);
                for (i64 i = 0; i < n; i++)
                    for (i64 j = 0; j < width; j++) {
                        i64 at = column + j * LANES, lanes = least(columns - at, LANES);
                        vf sum = product[i * width + j];
                        if (bias)
                            sum += load_first(bias + at, lanes);
                        store_first(out + (frame + i) * columns + at, sum, lanes);
                    }
            }
        }
}

/* Factors that an item's frames take, or a block of weights. */
static i64 room_of_item(const struct projection *c)
{
    i64 frames = ITEM_FRAMES > BLOCK * LANES ? ITEM_FRAMES : BLOCK * LANES;
    return frames * room_for(c->I > c->O ? c->I : c->O);
}

static i64 group_of(const struct projection *c, i64 item)
{
    i64 g = 0;
    while (c->first_item[g + 1] <= item)
        g++;
    return g;
}

static void frames_item(const struct projection *c, i64 item, char *scratch, int forward)
{
    struct held *held = (struct held *)scratch;
    i64 g = group_of(c, item), first = c->bounds[g] + (item - c->first_item[g]) * ITEM_FRAMES;
    i64 last = least(first + ITEM_FRAMES, c->bounds[g + 1]), I = c->I, O = c->O;
    const float *w = c->w + g * O * I;
    scratch += sizeof *held;
    factor *panel = (factor *)take(&scratch, padded(O) * padded(I));
    factor *room = (factor *)take(&scratch, room_of_item(c));
    if (held->group != g + 1) {
        held->group = g + 1;
        if (forward)
            pack_transposed(w, O, I, panel, room);
        else {
            const float **rows = (const float **)take(&scratch, O * 2);
            for (i64 o = 0; o < O; o++)
                rows[o] = w + o * I;
            pack_columns(rows, O, I, panel);
        }
    }
    if (forward)
        multiply_frames(c->x, I, panel, c->b ? c->b + g * O : NULL, c->out, O, first, last, room);
    else
        multiply_frames(c->d_out, O, panel, NULL, c->d_x, I, first, last, room);
}

static void forward_item(const void *c, i64 item, char *scratch) { frames_item(c, item, scratch, 1); }
static void backward_item(const void *c, i64 item, char *scratch) { frames_item(c, item, scratch, 0); }

/* One piece of the rows of one group's d_w and d_b, over all its frames. */
static void weights_item(const void *argument, i64 item, char *scratch)
{
    const struct projection *c = argument;
    i64 g = item / c->pieces, I = c->I, O = c->O, blocks = (O + ROWS - 1) / ROWS, piece = item % c->pieces;
    i64 first = blocks * piece / c->pieces, last = blocks * (piece + 1) / c->pieces;
    factor *left = (factor *)take(&scratch, (last - first) * LEFT_BLOCK);
    factor *right = (factor *)take(&scratch, padded(I) * FRAMES_AT_ONCE), *room = (factor *)take(&scratch, padded(O));
    float *d_w = c->d_w + g * O * I, *d_b = c->d_b ? c->d_b + g * O : NULL;
    i64 top = first * ROWS, bottom = least(last * ROWS, O);
    memset(d_w + top * I, 0, (size_t)((bottom - top) * I) * 4);
    if (d_b)
        memset(d_b + top, 0, (size_t)(bottom - top) * 4);
    const float *states[FRAMES_AT_ONCE];
    for (i64 start = c->bounds[g], K; start < c->bounds[g + 1]; start += K) {
        K = least(FRAMES_AT_ONCE, c->bounds[g + 1] - start);
        i64 depth = folded(K);
        for (i64 k = 0; k < K; k++) {
            const float *from = c->d_out + (start + k) * O + top;
            for (i64 m = 0; d_b && m < bottom - top; m += LANES) {
                i64 n = least(bottom - top - m, LANES);
                store_first(d_b + top + m, load_first(d_b + top + m, n) + load_first(from + m, n), n);
            }
            states[k] = c->x + (start + k) * I;
            if (k % DEPTH)
                continue;
            const factor *both = across(from, k + 1 < K ? from + O : NULL, bottom - top, room);
            factor *to = left + k / DEPTH * ROWS;
            for (i64 m = 0; m < bottom - top; m += ROWS, to += LEFT_BLOCK)
                if (m + ROWS <= bottom - top)
                    memcpy(to, both + m, ROWS * 4);
                else
                    for (i64 i = 0; i < ROWS; i++)
                        to[i] = m + i < bottom - top ? both[m + i] : 0;
        }
        pack_columns(states, K, I, right);
        vf product[ROWS * BLOCK];
        for (i64 column = 0, vectors = padded(I) / LANES, width; vectors > 0; column += width * LANES, vectors -= width) {
            width = block_width(vectors);
            for (i64 m = top; m < bottom; m += ROWS) {
                multiply_packed_table[width - 1](left + (m - top) / ROWS * LEFT_BLOCK, right + column * depth, depth, product);
                for (i64 i = 0; i < least(ROWS, bottom - m); i++)
                    for (i64 j = 0; j < width; j++) {
                        i64 at = column + j * LANES, n = least(I - at, LANES);
                        float *to = d_w + (m + i) * I + at;
                        store_first(to, load_first(to, n) + product[i * width + j], n);
                    }
            }
        }
    }
}

/* Bytes of scratch a thread needs for this call. */
i64 projection_scratch_bytes(const struct projection *c)
{
    i64 panel = padded(c->O) * padded(c->I) + 2 * c->O + room_of_item(c);
    i64 weights = (c->O / ROWS + 2) * LEFT_BLOCK + padded(c->I) * FRAMES_AT_ONCE + padded(c->O);
    return ((panel > weights ? panel : weights) * 4 + 64 * 4 + 4095) / 4096 * 4096; /* take rounds up; a group's number */
}

static void share(struct projection *c, i64 items, work_item work)
{
    i64 bytes = projection_scratch_bytes(c);
    for (i64 thread = 0; thread < c->threads; thread++)
        memset(c->scratch + thread * bytes, 0, sizeof(struct held));
    run((struct region){c, items, c->scratch, bytes, work, c->parallel, 0, 0}, c->threads);
}

void projection_forward(struct projection *c) { share(c, c->first_item[c->G], forward_item); }

void projection_backward(struct projection *c)
{
    if (c->d_x)
        share(c, c->first_item[c->G], backward_item);
    c->pieces = pieces(c->G, c->threads, least((c->O + 639) / 640, (c->O + ROWS - 1) / ROWS), (c->O + ROWS - 1) / ROWS);
    share(c, c->G * c->pieces, weights_item);
}
