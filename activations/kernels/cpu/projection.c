/* The input projection of a stack, forward and backward: each group's own frames by its own weights, out = x W^T + b.

   - This file is compiled after vmath.h and product.h. It depends on no activation.
   - The inner dimension is often short (45 features), which BLAS does at a quarter of its speed; here a block of weights
     stays in first-level cache for all the frames of an item.
   - Frames are shared out in fixed blocks, and sums over frames run in order, so results are the same bits for any number of
     threads and groups. */

#define ITEM_FRAMES 128

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

/* to[k][lane] = from[column + lane][k], block after block of columns: the weights of `columns` outputs, K inputs. */
static void pack_transposed(const float *from, i64 columns, i64 K, float *to)
{
    i64 left = padded(columns) / LANES;
    for (i64 column = 0; column < columns;) {
        i64 width = block_width(left);
        for (i64 k0 = 0; k0 < K; k0 += LANES)
            for (i64 lane = 0; lane < width * LANES; lane++)
                for (i64 k = k0; k < least(k0 + LANES, K); k++)
                    to[k * width * LANES + lane] = column + lane < columns ? from[(column + lane) * K + k] : 0;
        to += K * width * LANES;
        column += width * LANES;
        left -= width;
    }
}

/* out[frame] = rows[frame] panel + bias for the frames first..last: K numbers in, `columns` out. */
static void multiply_frames(const float *in, i64 K, const float *panel, const float *bias, float *out, i64 columns, i64 first,
                            i64 last)
{
    vf product[ROWS * BLOCK];
    for (i64 column = 0, left = padded(columns) / LANES, width; left > 0; column += width * LANES, left -= width) {
        width = block_width(left);
        for (i64 frame = first; frame < last; frame += ROWS) {
            const float *rows[ROWS];
            i64 n = least(last - frame, ROWS);
            for (i64 i = 0; i < ROWS; i++)
                rows[i] = in + (frame + least(i, n - 1)) * K;
            multiply_table[n - 1][width - 1](rows, panel + column * K, K, product, 0);
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
    float *panel = take(&scratch, padded(O) * padded(I));
    if (held->group != g + 1) {
        held->group = g + 1;
        if (forward)
            pack_transposed(w, O, I, panel);
        else {
            const float **rows = (const float **)take(&scratch, O * 2);
            for (i64 o = 0; o < O; o++)
                rows[o] = w + o * I;
            pack_columns(rows, O, I, panel);
        }
    }
    if (forward)
        multiply_frames(c->x, I, panel, c->b ? c->b + g * O : NULL, c->out, O, first, last);
    else
        multiply_frames(c->d_out, O, panel, NULL, c->d_x, I, first, last);
}

static void forward_item(const void *c, i64 item, char *scratch) { frames_item(c, item, scratch, 1); }
static void backward_item(const void *c, i64 item, char *scratch) { frames_item(c, item, scratch, 0); }

/* One piece of the rows of one group's d_w and d_b, over all its frames. */
static void weights_item(const void *argument, i64 item, char *scratch)
{
    const struct projection *c = argument;
    i64 g = item / c->pieces, I = c->I, O = c->O, blocks = (O + ROWS - 1) / ROWS, piece = item % c->pieces;
    i64 first = blocks * piece / c->pieces, last = blocks * (piece + 1) / c->pieces;
    float *left = take(&scratch, (last - first) * ROWS * FRAMES_AT_ONCE), *right = take(&scratch, padded(I) * FRAMES_AT_ONCE);
    float *d_w = c->d_w + g * O * I, *d_b = c->d_b ? c->d_b + g * O : NULL;
    i64 top = first * ROWS, bottom = least(last * ROWS, O);
    memset(d_w + top * I, 0, (size_t)((bottom - top) * I) * 4);
    if (d_b)
        memset(d_b + top, 0, (size_t)(bottom - top) * 4);
    const float *states[FRAMES_AT_ONCE];
    for (i64 start = c->bounds[g], K; start < c->bounds[g + 1]; start += K) {
        K = least(FRAMES_AT_ONCE, c->bounds[g + 1] - start);
        for (i64 k = 0; k < K; k++) {
            const float *from = c->d_out + (start + k) * O;
            for (i64 m = top; d_b && m < bottom; m += LANES) {
                i64 n = least(bottom - m, LANES);
                store_first(d_b + m, load_first(d_b + m, n) + load_first(from + m, n), n);
            }
            states[k] = c->x + (start + k) * I;
            float *to = left + k * ROWS;
            for (i64 m = top; m < bottom; m += ROWS, to += K * ROWS)
                if (m + ROWS <= O)
                    memcpy(to, from + m, ROWS * 4);
                else
                    for (i64 i = 0; i < ROWS; i++)
                        to[i] = m + i < O ? from[m + i] : 0;
        }
        pack_columns(states, K, I, right);
        vf product[ROWS * BLOCK];
        for (i64 column = 0, vectors = padded(I) / LANES, width; vectors > 0; column += width * LANES, vectors -= width) {
            width = block_width(vectors);
            for (i64 m = top; m < bottom; m += ROWS) {
                multiply_packed_table[width - 1](left + (m - top) * K, right + column * K, K, product);
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
    i64 panel = padded(c->O) * padded(c->I) + 2 * c->O, weights = (c->O + 2 * ROWS + padded(c->I)) * FRAMES_AT_ONCE;
    return ((panel > weights ? panel : weights) * 4 + 4096) / 4096 * 4096;
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
