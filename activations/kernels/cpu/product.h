/* Products of a few rows with a packed matrix, packing, and sharing work items over threads: what gru.c and projection.c are
   made of. Compiled after factors.h.

   - ROWS rows times BLOCK vectors of columns are summed in registers; everything else is arranged around that.
   - Each sum runs over k in order in one register, so it does not depend on which other rows or columns are computed. */

#include <pthread.h>

#if defined(__AVX512F__) || defined(__aarch64__)
#define ROWS 8 /* ROWS * BLOCK accumulators, BLOCK weights and one state must fit 32 registers */
#else
#define ROWS 4 /* the same for 16 */
#endif
#define BLOCK 3 /* vectors in a block of columns; also the number of gates */
#define FRAMES_AT_ONCE 192 /* a block of the weight gradient's right-hand side stays in 48 KiB of first-level cache */

/* From one block of the left-hand side to the next: an odd number of cache lines, or else the rows of a frame, which are packed one
   after the other, would share a few sets of the cache and push each other out. */
#define LEFT_BLOCK ((FRAMES_AT_ONCE + 16 / ROWS) * ROWS)

typedef void (*parallel_region)(void (*)(void *), void *, unsigned, unsigned); /* GOMP_parallel's type */

/* ------------------------------------------------------------------------------------------------------------------ */
/* Products and packing */

/* A vector that is multiplied with several rows, loaded once. gcc reads it from memory in every multiplication that uses it,
   which is free for a single one; here the loads, two a cycle, then take longer than the multiplications. */
#if defined(__AVX512F__)
#define IN_REGISTER(vector) __asm__("" : "+v"(vector))
#elif defined(__x86_64__)
#define IN_REGISTER(vector) __asm__("" : "+x"(vector))
#elif defined(__aarch64__)
#define IN_REGISTER(vector) __asm__("" : "+w"(vector))
#else
#define IN_REGISTER(vector) (void)(vector)
#endif

/* sums[i][j] (+)= sum over k of a[i][k] panel[k][j], for i < rows and j < width vectors. K counts factors. */
INLINE void multiply(const int rows, const int width, const factor *const *a, const factor *panel, i64 K, vf *sums, int add)
{
    vf acc[ROWS][BLOCK];
    const factor *row[ROWS];
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        row[i] = a[i];
#pragma GCC unroll 3
        for (int j = 0; j < width; j++)
            acc[i][j] = add ? sums[i * width + j] : splat(0);
    }
    for (i64 k = 0; k < K; k++) {
        factors b[BLOCK];
#pragma GCC unroll 3
        for (int j = 0; j < width; j++) {
            b[j] = *(const factors *)(panel + (k * width + j) * LANES);
            IN_REGISTER(b[j]);
        }
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            factors of_row = spread(row[i][k]);
#pragma GCC unroll 3
            for (int j = 0; j < width; j++)
                acc[i][j] = multiply_add(of_row, b[j], acc[i][j]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 3
        for (int j = 0; j < width; j++)
            sums[i * width + j] = acc[i][j];
}

#define MULTIPLY(rows, width)                                                                                              \
    static __attribute__((noinline)) void multiply_##rows##_##width(                                                       \
        const factor *const *a, const factor *panel, i64 K, vf *sums, int add)                                               \
    {                                                                                                                      \
        multiply(rows, width, a, panel, K, sums, add);                                                                     \
    }
#define MULTIPLY_WIDTHS(rows) MULTIPLY(rows, 1) MULTIPLY(rows, 2) MULTIPLY(rows, 3)
#define WIDTHS(rows) {multiply_##rows##_1, multiply_##rows##_2, multiply_##rows##_3}
MULTIPLY_WIDTHS(1)
MULTIPLY_WIDTHS(2)
MULTIPLY_WIDTHS(3)
MULTIPLY_WIDTHS(4)
#if ROWS == 8
MULTIPLY_WIDTHS(5)
MULTIPLY_WIDTHS(6)
MULTIPLY_WIDTHS(7)
MULTIPLY_WIDTHS(8)
#endif
static void (*const multiply_table[ROWS][BLOCK])(const factor *const *, const factor *, i64, vf *, int) = {
    WIDTHS(1), WIDTHS(2), WIDTHS(3), WIDTHS(4),
#if ROWS == 8
    WIDTHS(5), WIDTHS(6), WIDTHS(7), WIDTHS(8),
#endif
};

/* Blocks of BLOCK vectors cover `vectors` of them; a rest of one is avoided, a single column has too few accumulators. */
INLINE i64 block_width(i64 vectors_left) { return vectors_left == 4 ? 2 : least(vectors_left, BLOCK); }

/* Make factors of `rows` rows of H floats, block after block of columns: to[row][lane], the last vector filled with zeros. */
static void pack_columns(const float *const *from, i64 rows, i64 H, factor *to)
{
    i64 left = padded(H) / LANES;
    for (i64 column = 0; column < H;) {
        i64 width = block_width(left);
        for (i64 row = 0; row < rows; row += DEPTH)
            for (i64 j = 0; j < width; j++, to += LANES) {
                i64 start = column + j * LANES, n = least(H - start, LANES);
                vf last = row + DEPTH <= rows ? load_first(from[row + DEPTH - 1] + start, n) : splat(0);
                *(factors *)to = fold(DEPTH == 1 ? last : load_first(from[row] + start, n), last);
            }
        column += width * LANES;
        left -= width;
    }
}

/* to[k][lane] = from[column + lane][k], block after block of columns: the weights of `columns` outputs, K inputs.
   room: for BLOCK * LANES rows. */
static __attribute__((unused)) void pack_transposed(const float *from, i64 columns, i64 K, factor *to, factor *room)
{
    i64 left = padded(columns) / LANES, depth = folded(K);
    for (i64 column = 0; column < columns;) {
        i64 width = block_width(left);
        const factor *rows[BLOCK * LANES];
        for (i64 lane = 0; lane < least(width * LANES, columns - column); lane++)
            rows[lane] = along(from + (column + lane) * K, K, room + lane * room_for(K));
        for (i64 k0 = 0; k0 < depth; k0 += LANES)
            for (i64 lane = 0; lane < width * LANES; lane++)
                for (i64 k = k0; k < least(k0 + LANES, depth); k++)
                    to[k * width * LANES + lane] = column + lane < columns ? rows[lane][k] : 0;
        to += depth * width * LANES;
        column += width * LANES;
        left -= width;
    }
}

/* sums[i][j] = sum over k of a[k][i] panel[k][j]: the outer products of frames, i < ROWS gate inputs. K counts factors. */
INLINE void multiply_packed(const int width, const factor *a, const factor *panel, i64 K, vf *sums)
{
    vf acc[ROWS][BLOCK];
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 3
        for (int j = 0; j < width; j++)
            acc[i][j] = splat(0);
    for (i64 k = 0; k < K; k++) {
        factors b[BLOCK];
#pragma GCC unroll 3
        for (int j = 0; j < width; j++) {
            b[j] = *(const factors *)(panel + (k * width + j) * LANES);
            IN_REGISTER(b[j]);
        }
#pragma GCC unroll 8
        for (int i = 0; i < ROWS; i++) {
            factors of_row = spread(a[k * ROWS + i]);
#pragma GCC unroll 3
            for (int j = 0; j < width; j++)
                acc[i][j] = multiply_add(of_row, b[j], acc[i][j]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 3
        for (int j = 0; j < width; j++)
            sums[i * width + j] = acc[i][j];
}

#define MULTIPLY_PACKED(width)                                                                                             \
    static __attribute__((noinline)) void multiply_packed_##width(const factor *a, const factor *panel, i64 K, vf *sums)   \
    {                                                                                                                      \
        multiply_packed(width, a, panel, K, sums);                                                                         \
    }
MULTIPLY_PACKED(1)
MULTIPLY_PACKED(2)
MULTIPLY_PACKED(3)
static void (*const multiply_packed_table[BLOCK])(const factor *, const factor *, i64, vf *) = {
    multiply_packed_1, multiply_packed_2, multiply_packed_3};

/* A column [ROWS] of a product's left side from the first n numbers there are, zeros behind them. */
INLINE void copy_column(factor *to, const factor *from, i64 n)
{
    if (n >= ROWS)
        memcpy(to, from, ROWS * 4);
    else
        for (i64 i = 0; i < ROWS; i++)
            to[i] = i < n ? from[i] : 0;
}

/* Asking for memory early, so that it is there when it is needed. */
INLINE void will_read(const float *from) { __builtin_prefetch(from, 0, 2); }
INLINE void will_read_row(const float *from, i64 n)
{
    for (i64 i = 0; i < n; i += 16)
        will_read(from + i);
}
INLINE void will_write(const float *to) { __builtin_prefetch(to, 1, 2); }

/* Take aligned pieces from a thread's scratch. With base NULL only the size counts. */
static float *take(char **from, i64 floats)
{
    float *piece = (float *)*from;
    *from += (floats * 4 + 63) / 64 * 64;
    return piece;
}

/* ------------------------------------------------------------------------------------------------------------------ */
/* Work items over threads */

typedef void (*work_item)(const void *argument, i64 item, char *scratch);

struct region {
    const void *argument;
    i64 items;
    char *scratch; /* scratch_bytes for each thread */
    i64 scratch_bytes;
    work_item work;
    parallel_region parallel; /* NULL: threads of our own */
    i64 next_item, next_thread;
};

static void run_items(void *argument)
{
    struct region *region = argument;
    i64 thread = __atomic_fetch_add(&region->next_thread, 1, __ATOMIC_RELAXED);
    for (i64 item; (item = __atomic_fetch_add(&region->next_item, 1, __ATOMIC_RELAXED)) < region->items;)
        region->work(region->argument, item, region->scratch + thread * region->scratch_bytes);
}

static void *run_thread(void *argument)
{
    run_items(argument);
    return NULL;
}

static void run(struct region region, i64 threads)
{
    threads = least(threads, region.items);
    if (threads > 1 && region.parallel) {
        region.parallel(run_items, &region, (unsigned)threads, 0);
        return;
    }
    pthread_t others[256];
    i64 started = 0;
    while (started < least(threads - 1, 256) && pthread_create(&others[started], NULL, run_thread, &region) == 0)
        started++;
    run_items(&region);
    while (started > 0)
        pthread_join(others[--started], NULL);
}

/* The fewest pieces of each of `whole` equal things that keep all threads busy nine tenths of the time. */
static i64 pieces(i64 whole, i64 threads, i64 fewest, i64 most)
{
    i64 best = fewest;
    double best_share = 0;
    for (i64 n = fewest; n <= most; n++) {
        i64 items = whole * n, rounds = (items + threads - 1) / threads;
        double share = (double)items / (double)(rounds * threads);
        if (share > best_share + 1e-9) {
            best_share = share;
            best = n;
        }
        if (best_share >= 0.9)
            break;
    }
    return best;
}
