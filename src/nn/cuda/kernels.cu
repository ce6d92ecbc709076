// Training on a GPU: every kernel of one step, from the bytes of a batch to the moved parameters.
//
// Plain CUDA C++ without headers, so that NVRTC compiles it on the machine it runs on and a C++ compiler runs it in tests.
// Maps are NCHW. `Stored` is how maps are kept (float, or bfloat16 with -DBF16); all arithmetic is float. No sum uses
// float atomics: partial results are added in a fixed order by whichever block ends last, so a run repeats bit for bit.

#ifdef BF16
struct Stored { unsigned short bits; };
__device__ inline float load(const Stored* p, long long i) { return __uint_as_float((unsigned)p[i].bits << 16); }
// Round to nearest even; a NaN stays one.
__device__ inline void store(Stored* p, long long i, float v) {
    unsigned u = __float_as_uint(v);
    unsigned rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
    p[i].bits = (unsigned short)((u & 0x7fffffffu) > 0x7f800000u ? (u >> 16) | 0x40u : rounded);
}
#else
typedef float Stored;
__device__ inline float load(const Stored* p, long long i) { return p[i]; }
__device__ inline void store(Stored* p, long long i, float v) { p[i] = v; }
#endif

typedef unsigned char Byte;

// Shared memory whose size the host gives.
#ifndef DYNAMIC_SHARED
#define DYNAMIC_SHARED(type, name) extern __shared__ type name[];
#endif

// What a rectification does: values of the `act` arguments.
#define ACT_RELU 1
#define ACT_RELU6 2

#define EACH(i, total)                                                                    \
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < (total); \
         i += (long long)gridDim.x * blockDim.x)

// Quotient and remainder; 32-bit division is several times faster, and nearly every index fits.
__device__ inline long long over(long long i, int by) {
    return (unsigned long long)i >> 32 ? i / by : (long long)((unsigned)i / (unsigned)by);
}
__device__ inline int rest(long long i, int by) { return (int)(i - over(i, by) * by); }

__device__ inline float activate(float v, int act) {
    if (act != 0) v = v > 0.0f ? v : (v != v ? v : 0.0f);
    return act == ACT_RELU6 && v > 6.0f ? 6.0f : v;
}

// Whether a rectification lets the gradient through, from its own output.
__device__ inline bool passes(float y, int act) { return y > 0.0f && (act != ACT_RELU6 || y < 6.0f); }

__device__ inline void put(Stored* to, long long i, float v, int accumulate) {
    store(to, i, accumulate ? load(to, i) + v : v);
}

__device__ inline float warp_sum(float v) {
    for (int distance = 16; distance > 0; distance >>= 1) v += __shfl_down_sync(0xffffffffu, v, distance);
    return v;
}

// Sum over a block of at most 1024 threads, a multiple of 32; the result is valid in thread 0.
__device__ inline float block_sum(float v) {
    __shared__ float sums[32];
    int warps = blockDim.x >> 5;
    v = warp_sum(v);
    __syncthreads();
    if ((threadIdx.x & 31) == 0) sums[threadIdx.x >> 5] = v;
    __syncthreads();
    if (threadIdx.x < 32) v = warp_sum((int)threadIdx.x < warps ? sums[threadIdx.x] : 0.0f);
    return v;
}

// Whether this block is the last of `blocks` to come here; the ticket is then ready for the next launch. What the other
// blocks wrote before is visible to the last one.
__device__ inline bool last_block(unsigned* ticket, unsigned blocks) {
    __shared__ bool last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        last = atomicAdd(ticket, 1u) == blocks - 1;
        if (last) *ticket = 0;
    }
    __syncthreads();
    if (last) __threadfence();
    return last;
}

// ---- the batch -----------------------------------------------------------------------------------------------------

// How one image of an epoch is varied: the start of the crop, and whether it is mirrored.
struct Variation { short down, right, flip, unused; };

// The place inside 0..size that mirrors `at`, with the border as the mirror.
__device__ inline int reflect(int at, int size) {
    int period = 2 * size - 2 > 1 ? 2 * size - 2 : 1;
    at = ((at % period) + period) % period;
    int back = period - at;
    int in = at < back ? at : back;
    return in < size - 1 ? in : size - 1;
}

// The images of a step, varied, as x * scale[c] + shift[c] of their values in 0..1; and their labels.
extern "C" __global__ void gather_batch(
    const Byte* pixels, const unsigned* all_labels, const unsigned* order, const Variation* variations,
    const unsigned* step, int batch, int channels, int height, int width, const float* scale, const float* shift,
    Stored* x, unsigned* labels) {
    int plane = height * width, image = channels * plane;
    long long first = (long long)*step * batch;
    EACH(i, (long long)batch * image) {
        int at = (int)over(i, image), place = rest(i, image);
        int c = place / plane, row = place % plane / width, column = place % width;
        Variation v = variations[first + at];
        if (v.flip) column = width - 1 - column;
        unsigned source = order[first + at];
        int from = (c * height + reflect(row + v.down, height)) * width + reflect(column + v.right, width);
        float value = (float)pixels[(long long)source * image + from] / 255.0f;
        store(x, i, scale ? value * scale[c] + shift[c] : value);
        if (place == 0) labels[at] = all_labels[source];
    }
}

// ---- elementwise ---------------------------------------------------------------------------------------------------

struct Term { const Stored* x; const float* scale; const float* shift; };

__device__ inline float term(Term t, long long i, int c) {
    float v = load(t.x, i);
    return t.scale ? v * t.scale[c] + t.shift[c] : v;
}

// Rectified sum of one to six maps, each with a scale and a shift for its channels if it has them: normalisation,
// addition, rectification and their combinations in one pass. `SUM_TERMS` on the host repeats the number.
extern "C" __global__ void combine(
    Stored* y, long long total, int plane, int channels, int act, int count, const Stored* x0, const float* scale0,
    const float* shift0, const Stored* x1, const float* scale1, const float* shift1, const Stored* x2, const float*
    scale2, const float* shift2, const Stored* x3, const float* scale3, const float* shift3, const Stored* x4, const
    float* scale4, const float* shift4, const Stored* x5, const float* scale5, const float* shift5) {
    EACH(i, total) {
        int c = rest(over(i, plane), channels);
        float v = term(Term{x0, scale0, shift0}, i, c);
        if (count > 1) v += term(Term{x1, scale1, shift1}, i, c);
        if (count > 2) v += term(Term{x2, scale2, shift2}, i, c);
        if (count > 3) v += term(Term{x3, scale3, shift3}, i, c);
        if (count > 4) v += term(Term{x4, scale4, shift4}, i, c);
        if (count > 5) v += term(Term{x5, scale5, shift5}, i, c);
        store(y, i, activate(v, act));
    }
}

extern "C" __global__ void relu_backward(
    const Stored* y, const Stored* gy, Stored* gx, long long total, int act, int accumulate) {
    EACH(i, total) put(gx, i, passes(load(y, i), act) ? load(gy, i) : 0.0f, accumulate);
}

extern "C" __global__ void copy_or_add(const Stored* from, Stored* to, long long total, int accumulate) {
    EACH(i, total) put(to, i, load(from, i), accumulate);
}

// Copies `len` values of each image between places of rows of different length.
extern "C" __global__ void copy_part(
    const Stored* from, long long from_row, long long from_first, Stored* to, long long to_row, long long to_first,
    long long len, int images, int accumulate) {
    EACH(i, len * images) {
        long long image = i / len, at = i % len;
        put(to, image * to_row + to_first + at, load(from, image * from_row + from_first + at), accumulate);
    }
}

// Leaves out the last channels, the first rows and columns.
extern "C" __global__ void crop(
    const Stored* x, Stored* y, long long planes, int in_c, int out_c, int in_h, int in_w, int out_h, int out_w) {
    EACH(i, planes * out_h * out_w) {
        int column = rest(i, out_w), row = rest(over(i, out_w), out_h);
        long long kept = over(i, out_w * out_h), plane = over(kept, out_c) * in_c + rest(kept, out_c);
        store(y, i, load(x, (plane * in_h + row + in_h - out_h) * in_w + column + in_w - out_w));
    }
}

extern "C" __global__ void crop_backward(
    const Stored* gy, Stored* gx, long long planes, int in_c, int out_c, int in_h, int in_w, int out_h, int out_w,
    int accumulate) {
    EACH(i, planes * in_h * in_w) {
        int column = rest(i, in_w) - (in_w - out_w), row = rest(over(i, in_w), in_h) - (in_h - out_h);
        long long all = over(i, in_w * in_h), plane = over(all, in_c) * out_c + rest(all, in_c);
        bool inside = column >= 0 && row >= 0 && rest(all, in_c) < out_c;
        put(gx, i, inside ? load(gy, (plane * out_h + row) * out_w + column) : 0.0f, accumulate);
    }
}

extern "C" __global__ void add_bias(Stored* y, const float* bias, long long total, int plane, int channels) {
    EACH(i, total) store(y, i, load(y, i) + bias[rest(over(i, plane), channels)]);
}

// Sum of each channel over a batch; a block for each channel.
extern "C" __global__ void channel_sums(const Stored* x, float* sums, int images, int plane, int channels) {
    float sum = 0.0f;
    for (long long i = threadIdx.x; i < (long long)images * plane; i += blockDim.x)
        sum += load(x, (i / plane * channels + blockIdx.x) * plane + i % plane);
    sum = block_sum(sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// Sum of `count` arrays of `len` values that lie one after the other.
extern "C" __global__ void sum_partials(const float* partials, int count, long long len, float* sum) {
    EACH(i, len) {
        float v = 0.0f;
        for (int k = 0; k < count; k++) v += partials[k * len + i];
        sum[i] = v;
    }
}

// ---- batch normalisation -------------------------------------------------------------------------------------------

// Runs `body` with `i`, the place of a value of channel blockIdx.x in the images first..last, for the values of this
// thread. `lanes` threads share an image.
#define EACH_OF_CHANNEL(i, body)                                                                           \
    {                                                                                                      \
        int per_split = (images + (int)gridDim.y - 1) / (int)gridDim.y;                                    \
        int first = (int)blockIdx.y * per_split;                                                           \
        int last = first + per_split < images ? first + per_split : images;                                \
        for (int image = first + (int)threadIdx.x / lanes; image < last; image += (int)blockDim.x / lanes) { \
            long long start = ((long long)image * channels + blockIdx.x) * plane;                          \
            for (int pixel = (int)threadIdx.x % lanes; pixel < plane; pixel += lanes) {                    \
                long long i = start + pixel;                                                               \
                body                                                                                       \
            }                                                                                              \
        }                                                                                                  \
    }

// Mean and variance of each channel over a batch; a row of blocks for each channel. `partials` (channels, splits, 2). Sums
// are taken about the channel's first value, so that a mean far from zero does not cancel the variance away. `out` (4,
// channels): mean, 1 / standard deviation, and the scale and shift of the normalisation.
extern "C" __global__ void norm_statistics(
    const Stored* x, int images, int channels, int plane, int lanes, const float* gamma, const float* beta,
    float* running_mean, float* running_var, float momentum, float epsilon, float* partials, unsigned* tickets,
    float* out) {
    int c = blockIdx.x, splits = gridDim.y;
    float pivot = load(x, (long long)c * plane);
    float sum = 0.0f, squares = 0.0f;
    EACH_OF_CHANNEL(i, {
        float v = load(x, i) - pivot;
        sum += v;
        squares += v * v;
    })
    sum = block_sum(sum);
    squares = block_sum(squares);
    if (threadIdx.x == 0) {
        partials[(c * splits + blockIdx.y) * 2] = sum;
        partials[(c * splits + blockIdx.y) * 2 + 1] = squares;
    }
    if (!last_block(tickets + c, splits) || threadIdx.x != 0) return;
    double all = 0.0, all_squares = 0.0, count = (double)images * plane;
    for (int s = 0; s < splits; s++) {
        all += (double)partials[(c * splits + s) * 2];
        all_squares += (double)partials[(c * splits + s) * 2 + 1];
    }
    double about = all / count, mean = pivot + about;
    double deviations = all_squares - count * about * about;
    if (deviations < 0.0) deviations = 0.0;
    double inv_std = 1.0 / sqrt(deviations / count + (double)epsilon);
    double unbiased = deviations / (count > 1.0 ? count - 1.0 : 1.0);
    running_mean[c] += momentum * ((float)mean - running_mean[c]);
    running_var[c] += momentum * ((float)unbiased - running_var[c]);
    float scale = gamma[c] * (float)inv_std;
    out[c] = (float)mean;
    out[channels + c] = (float)inv_std;
    out[2 * channels + c] = scale;
    out[3 * channels + c] = beta[c] - (float)mean * scale;
}

// Scale and shift from running statistics, for evaluation; `out` as above.
extern "C" __global__ void norm_running(
    const float* gamma, const float* beta, const float* running_mean, const float* running_var, int channels,
    float epsilon, float* out) {
    EACH(c, channels) {
        float inv_std = 1.0f / sqrtf(running_var[c] + epsilon), scale = gamma[c] * inv_std;
        out[c] = running_mean[c];
        out[channels + c] = inv_std;
        out[2 * channels + c] = scale;
        out[3 * channels + c] = beta[c] - running_mean[c] * scale;
    }
}

// Gradients of scale and shift, and the coefficients of gx = a gy + b x + d (Ioffe and Szegedy, 2015): `out` (3,
// channels).
extern "C" __global__ void norm_backward_sums(
    const Stored* x, const Stored* gy, int images, int channels, int plane, int lanes, const float* gamma,
    const float* statistics, float* partials, unsigned* tickets, float* g_gamma, float* g_beta, float* out) {
    int c = blockIdx.x, splits = gridDim.y;
    float mean = statistics[c], inv_std = statistics[channels + c];
    float sum = 0.0f, along = 0.0f;
    EACH_OF_CHANNEL(i, {
        float g = load(gy, i);
        sum += g;
        along += g * ((load(x, i) - mean) * inv_std);
    })
    sum = block_sum(sum);
    along = block_sum(along);
    if (threadIdx.x == 0) {
        partials[(c * splits + blockIdx.y) * 2] = sum;
        partials[(c * splits + blockIdx.y) * 2 + 1] = along;
    }
    if (!last_block(tickets + c, splits) || threadIdx.x != 0) return;
    double all = 0.0, all_along = 0.0, count = (double)images * plane;
    for (int s = 0; s < splits; s++) {
        all += (double)partials[(c * splits + s) * 2];
        all_along += (double)partials[(c * splits + s) * 2 + 1];
    }
    g_beta[c] = (float)all;
    g_gamma[c] = (float)all_along;
    double a = (double)gamma[c] * inv_std, b = -a * inv_std * all_along / count;
    out[c] = (float)a;
    out[channels + c] = (float)b;
    out[2 * channels + c] = (float)(-a * all / count - b * mean);
}

extern "C" __global__ void norm_backward_apply(
    const Stored* x, const Stored* gy, const float* coefficients, Stored* gx, long long total, int plane, int channels,
    int accumulate) {
    EACH(i, total) {
        int c = rest(over(i, plane), channels);
        const float* k = coefficients + c;
        put(gx, i, k[0] * load(gy, i) + k[channels] * load(x, i) + k[2 * channels], accumulate);
    }
}

// ---- windows -------------------------------------------------------------------------------------------------------

// A window over one map, as in `Window` of the CPU's kernels.
#define WINDOW int in_h, int in_w, int out_h, int out_w, int kernel, int stride, int dilation, int top, int left

// The input column (row) under a tap, or -1 in the padding.
__device__ inline int under(int o, int tap, int stride, int dilation, int before, int size) {
    int i = o * stride + tap * dilation - before;
    return i >= 0 && i < size ? i : -1;
}

// The output column (row) that reads input `i` through a tap, or -1.
__device__ inline int reader(int i, int tap, int stride, int dilation, int before, int size) {
    int o = i + before - tap * dilation;
    return o >= 0 && o % stride == 0 && o / stride < size ? o / stride : -1;
}

extern "C" __global__ void max_pool(const Stored* x, Stored* y, unsigned* winners, long long planes, WINDOW) {
    EACH(i, planes * out_h * out_w) {
        int ox = rest(i, out_w), oy = rest(over(i, out_w), out_h);
        const long long map = over(i, out_w * out_h) * in_h * in_w;
        float best = -3.402823466e38f;
        int best_at = -1;
        for (int ky = 0; ky < kernel; ky++)
            for (int kx = 0; kx < kernel; kx++) {
                int row = under(oy, ky, stride, dilation, top, in_h), column = under(ox, kx, stride, dilation, left, in_w);
                if (row < 0 || column < 0) continue;
                float v = load(x, map + row * in_w + column);
                if (best_at < 0 || v > best) best = v, best_at = row * in_w + column;
            }
        store(y, i, best);
        winners[i] = (unsigned)best_at;
    }
}

extern "C" __global__ void max_pool_backward(
    const unsigned* winners, const Stored* gy, Stored* gx, long long planes, WINDOW, int accumulate) {
    EACH(i, planes * in_h * in_w) {
        int column = rest(i, in_w), row = rest(over(i, in_w), in_h);
        const long long map = over(i, in_w * in_h) * out_h * out_w;
        float sum = 0.0f;
        for (int ky = 0; ky < kernel; ky++)
            for (int kx = 0; kx < kernel; kx++) {
                int oy = reader(row, ky, stride, dilation, top, out_h), ox = reader(column, kx, stride, dilation, left, out_w);
                if (oy < 0 || ox < 0) continue;
                long long o = map + oy * out_w + ox;
                if (winners[o] == (unsigned)(row * in_w + column)) sum += load(gy, o);
            }
        put(gx, i, sum, accumulate);
    }
}

// Taps of a window that lie inside the map along one side.
__device__ inline int inside(int o, int kernel, int stride, int dilation, int before, int size) {
    int count = 0;
    for (int k = 0; k < kernel; k++) count += under(o, k, stride, dilation, before, size) >= 0;
    return count;
}

extern "C" __global__ void avg_pool(const Stored* x, Stored* y, long long planes, WINDOW) {
    EACH(i, planes * out_h * out_w) {
        int ox = rest(i, out_w), oy = rest(over(i, out_w), out_h);
        const long long map = over(i, out_w * out_h) * in_h * in_w;
        float sum = 0.0f;
        int count = 0;
        for (int ky = 0; ky < kernel; ky++)
            for (int kx = 0; kx < kernel; kx++) {
                int row = under(oy, ky, stride, dilation, top, in_h), column = under(ox, kx, stride, dilation, left, in_w);
                if (row < 0 || column < 0) continue;
                sum += load(x, map + row * in_w + column);
                count++;
            }
        store(y, i, sum / (float)(count > 0 ? count : 1));
    }
}

extern "C" __global__ void avg_pool_backward(const Stored* gy, Stored* gx, long long planes, WINDOW, int accumulate) {
    EACH(i, planes * in_h * in_w) {
        int column = rest(i, in_w), row = rest(over(i, in_w), in_h);
        const long long map = over(i, in_w * in_h) * out_h * out_w;
        float sum = 0.0f;
        for (int ky = 0; ky < kernel; ky++)
            for (int kx = 0; kx < kernel; kx++) {
                int oy = reader(row, ky, stride, dilation, top, out_h), ox = reader(column, kx, stride, dilation, left, out_w);
                if (oy < 0 || ox < 0) continue;
                int count = inside(oy, kernel, stride, dilation, top, in_h) * inside(ox, kernel, stride, dilation, left, in_w);
                sum += load(gy, map + oy * out_w + ox) / (float)count;
            }
        put(gx, i, sum, accumulate);
    }
}

// Mean of every map: a warp for each.
extern "C" __global__ void global_mean(const Stored* x, Stored* y, long long planes, int plane) {
    long long map = ((long long)blockIdx.x * blockDim.x + threadIdx.x) >> 5;
    float sum = 0.0f;
    if (map < planes)
        for (int i = threadIdx.x & 31; i < plane; i += 32) sum += load(x, map * plane + i);
    sum = warp_sum(sum);
    if (map < planes && (threadIdx.x & 31) == 0) store(y, map, sum / (float)plane);
}

extern "C" __global__ void global_mean_backward(
    const Stored* gy, Stored* gx, long long total, int plane, int accumulate) {
    EACH(i, total) put(gx, i, load(gy, over(i, plane)) / (float)plane, accumulate);
}

// The windows of a batch as columns: (image, channel, tap, output pixel), of `images` images.
extern "C" __global__ void im2col(const Stored* x, Stored* columns, int images, int channels, WINDOW, int relu) {
    EACH(i, (long long)images * channels * kernel * kernel * out_h * out_w) {
        int ox = rest(i, out_w), oy = rest(over(i, out_w), out_h);
        long long line = over(i, out_w * out_h), map = over(line, kernel * kernel);
        int tap = rest(line, kernel * kernel);
        int row = under(oy, tap / kernel, stride, dilation, top, in_h);
        int column = under(ox, tap % kernel, stride, dilation, left, in_w);
        float v = row < 0 || column < 0 ? 0.0f : load(x, (map * in_h + row) * in_w + column);
        store(columns, i, relu ? activate(v, ACT_RELU) : v);
    }
}

// The transpose of `im2col`; `mask`, if any, is what a rectification read.
extern "C" __global__ void col2im(
    const Stored* columns, Stored* gx, const Stored* mask, int images, int channels, WINDOW, int accumulate) {
    EACH(i, (long long)images * channels * in_h * in_w) {
        int column = rest(i, in_w), row = rest(over(i, in_w), in_h);
        long long map = over(i, in_w * in_h);
        float sum = 0.0f;
        for (int tap = 0; tap < kernel * kernel; tap++) {
            int oy = reader(row, tap / kernel, stride, dilation, top, out_h);
            int ox = reader(column, tap % kernel, stride, dilation, left, out_w);
            if (oy >= 0 && ox >= 0) sum += load(columns, ((map * kernel * kernel + tap) * out_h + oy) * out_w + ox);
        }
        put(gx, i, mask && !(load(mask, i) > 0.0f) ? 0.0f : sum, accumulate);
    }
}

// ---- depthwise convolution -----------------------------------------------------------------------------------------

#define FLIP 1
#define RELU 2
#define ACCUMULATE 4

// Copies `maps` maps, the first at `first` and `apart` values from each other, into padded tiles of `rows` by `columns`
// values that begin at (row0, column0) of the map.
__device__ inline void fill_tiles(
    float* tiles, const Stored* x, long long first, long long apart, int maps, int rows, int columns, int row0,
    int column0, int height, int width, bool relu) {
    for (int i = threadIdx.x; i < maps * rows * columns; i += blockDim.x) {
        int column = column0 + i % columns, row = row0 + i / columns % rows, map = i / (columns * rows);
        bool in = row >= 0 && row < height && column >= 0 && column < width;
        float v = in ? load(x, first + map * apart + (long long)row * width + column) : 0.0f;
        tiles[i] = relu ? activate(v, ACT_RELU) : v;
    }
}

// Outputs of `together` maps a block, one tile of each: a thread takes ROWS outputs of one column, a dilation apart, so
// that every value in shared memory is read once for all of them. With FLIP, the gradient by the input at stride 1.
template <int K, int S, int ROWS>
__device__ inline void depthwise(
    const Stored* __restrict__ x, const Stored* __restrict__ weight, const float* bias, Stored* y,
    const Stored* mask, int channels, int planes,
    int in_h, int in_w, int out_h, int out_w, int dilation, int top, int left, int tile_h, int tile_w, int together,
    int flags) {
    DYNAMIC_SHARED(float, tiles)
    int rows = (tile_h - 1) * S + (K - 1) * dilation + 1, columns = (tile_w - 1) * S + (K - 1) * dilation + 1;
    int across = (out_w + tile_w - 1) / tile_w;
    int y0 = (int)blockIdx.y / across * tile_h, x0 = (int)blockIdx.y % across * tile_w;
    int first = (int)blockIdx.x * together;
    int maps = planes - first < together ? planes - first : together;
    float* weights = tiles + together * rows * columns;
    for (int i = threadIdx.x; i < maps * K * K; i += blockDim.x) {
        int tap = i % (K * K), c = (first + i / (K * K)) % channels;
        weights[i] = load(weight, c * K * K + (flags & FLIP ? K * K - 1 - tap : tap));
    }
    fill_tiles(tiles, x, (long long)first * in_h * in_w, (long long)in_h * in_w, maps, rows, columns, y0 * S - top,
               x0 * S - left, in_h, in_w, flags & RELU);
    __syncthreads();
    int groups = (tile_h + ROWS * dilation - 1) / (ROWS * dilation) * dilation;
    for (int item = threadIdx.x; item < maps * groups * tile_w; item += blockDim.x) {
        int column = item % tile_w, group = item / tile_w % groups, map = item / (tile_w * groups);
        int base = group / dilation * ROWS * dilation + group % dilation;
        const float* tile = tiles + map * rows * columns + column * S;
        const float* w = weights + map * K * K;
        float sums[ROWS];
#pragma unroll
        for (int r = 0; r < ROWS; r++) sums[r] = bias ? bias[(first + map) % channels] : 0.0f;
#pragma unroll
        for (int j = 0; j < (ROWS - 1) * S + K; j++) {
            int row = base * S + j * dilation;
            if (row >= rows) break;
#pragma unroll
            for (int kx = 0; kx < K; kx++) {
                float v = tile[row * columns + kx * dilation];
#pragma unroll
                for (int r = 0; r < ROWS; r++)
                    if (j - r * S >= 0 && j - r * S < K) sums[r] += v * w[(j - r * S) * K + kx];
            }
        }
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            int row = base + r * dilation;
            if (row >= tile_h || y0 + row >= out_h || x0 + column >= out_w) continue;
            long long i = ((long long)(first + map) * out_h + y0 + row) * out_w + x0 + column;
            put(y, i, mask && !(load(mask, i) > 0.0f) ? 0.0f : sums[r], flags & ACCUMULATE);
        }
    }
}

// Gradient by the weight: a row of blocks for each channel, each over some of the images, `together` at a time.
// `partials` (channels, splits, taps).
template <int K, int S, int ROWS>
__device__ inline void depthwise_weight(
    const Stored* __restrict__ x, const Stored* __restrict__ gy, float* gw, float* partials, unsigned* tickets,
    int images, int channels, int in_h, int in_w, int out_h, int out_w, int dilation, int top, int left, int tile_h, int tile_w, int together, int flags) {
    DYNAMIC_SHARED(float, tiles)
    int rows = (tile_h - 1) * S + (K - 1) * dilation + 1, columns = (tile_w - 1) * S + (K - 1) * dilation + 1;
    int groups = (tile_h + ROWS * dilation - 1) / (ROWS * dilation) * dilation;
    int c = blockIdx.x, splits = gridDim.y, per_split = (images + splits - 1) / splits;
    int begin = (int)blockIdx.y * per_split, end = begin + per_split < images ? begin + per_split : images;
    float sums[K * K];
#pragma unroll
    for (int tap = 0; tap < K * K; tap++) sums[tap] = 0.0f;
    for (int image = begin; image < end; image += together) {
        int maps = end - image < together ? end - image : together;
        long long first = (long long)image * channels + c;
        for (int y0 = 0; y0 < out_h; y0 += tile_h)
            for (int x0 = 0; x0 < out_w; x0 += tile_w) {
                __syncthreads();
                fill_tiles(tiles, x, first * in_h * in_w, (long long)channels * in_h * in_w, maps, rows, columns,
                           y0 * S - top, x0 * S - left, in_h, in_w, flags & RELU);
                __syncthreads();
                for (int item = threadIdx.x; item < maps * groups * tile_w; item += blockDim.x) {
                    int column = item % tile_w, group = item / tile_w % groups, map = item / (tile_w * groups);
                    int base = group / dilation * ROWS * dilation + group % dilation;
                    const float* tile = tiles + map * rows * columns + column * S;
                    float g[ROWS];
#pragma unroll
                    for (int r = 0; r < ROWS; r++) {
                        int row = base + r * dilation;
                        bool in = row < tile_h && y0 + row < out_h && x0 + column < out_w;
                        long long at = first + (long long)map * channels;
                        g[r] = in ? load(gy, (at * out_h + y0 + row) * out_w + x0 + column) : 0.0f;
                    }
#pragma unroll
                    for (int j = 0; j < (ROWS - 1) * S + K; j++) {
                        int row = base * S + j * dilation;
                        if (row >= rows) break;
#pragma unroll
                        for (int kx = 0; kx < K; kx++) {
                            float v = tile[row * columns + kx * dilation];
#pragma unroll
                            for (int r = 0; r < ROWS; r++)
                                if (j - r * S >= 0 && j - r * S < K) sums[(j - r * S) * K + kx] += v * g[r];
                        }
                    }
                }
            }
    }
    __syncthreads();
    int warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
#pragma unroll
    for (int tap = 0; tap < K * K; tap++) {
        float sum = warp_sum(sums[tap]);
        if ((threadIdx.x & 31) == 0) tiles[warp * K * K + tap] = sum;
    }
    __syncthreads();
    for (int tap = threadIdx.x; tap < K * K; tap += blockDim.x) {
        float sum = 0.0f;
        for (int k = 0; k < warps; k++) sum += tiles[k * K * K + tap];
        partials[(c * splits + (int)blockIdx.y) * K * K + tap] = sum;
    }
    if (!last_block(tickets + c, splits)) return;
    for (int tap = threadIdx.x; tap < K * K; tap += blockDim.x) {
        float sum = 0.0f;
        for (int s = 0; s < splits; s++) sum += partials[(c * splits + s) * K * K + tap];
        gw[c * K * K + tap] = sum;
    }
}

#define DEPTHWISE(K, S, ROWS)                                                                                          \
    extern "C" __global__ void depthwise_##K##_##S(                                                                    \
        const Stored* x, const Stored* weight, const float* bias, Stored* y, const Stored* mask, int channels,         \
        int planes, int in_h, int in_w, int out_h, int out_w, int dilation, int top, int left, int tile_h, int tile_w, \
        int together, int flags) {                                                                                     \
        depthwise<K, S, ROWS>(x, weight, bias, y, mask, channels, planes, in_h, in_w, out_h, out_w, dilation, top,     \
                              left, tile_h, tile_w, together, flags);                                                  \
    }                                                                                                                  \
    extern "C" __global__ void depthwise_weight_##K##_##S(                                                             \
        const Stored* x, const Stored* gy, float* gw, float* partials, unsigned* tickets, int images, int channels,    \
        int in_h, int in_w, int out_h, int out_w, int dilation, int top, int left, int tile_h, int tile_w,             \
        int together, int flags) {                                                                                     \
        depthwise_weight<K, S, ROWS>(x, gy, gw, partials, tickets, images, channels, in_h, in_w, out_h, out_w,         \
                                     dilation, top, left, tile_h, tile_w, together, flags);                            \
    }

// How many rows a thread takes is repeated on the host: `ROWS` there.
DEPTHWISE(3, 1, 4)
DEPTHWISE(3, 2, 4)
DEPTHWISE(5, 1, 4)
DEPTHWISE(5, 2, 4)
DEPTHWISE(7, 1, 4)
DEPTHWISE(7, 2, 4)

// Any window, a thread for each output: for kernels that the tiles above do not serve.
extern "C" __global__ void depthwise_any(
    const Stored* x, const Stored* weight, const float* bias, Stored* y, int channels, long long planes, WINDOW,
    int relu) {
    EACH(i, planes * out_h * out_w) {
        int ox = rest(i, out_w), oy = rest(over(i, out_w), out_h);
        long long map = over(i, out_w * out_h);
        int c = rest(map, channels);
        float sum = bias ? bias[c] : 0.0f;
        for (int tap = 0; tap < kernel * kernel; tap++) {
            int row = under(oy, tap / kernel, stride, dilation, top, in_h);
            int column = under(ox, tap % kernel, stride, dilation, left, in_w);
            if (row < 0 || column < 0) continue;
            float v = load(x, (map * in_h + row) * in_w + column);
            sum += (relu ? activate(v, ACT_RELU) : v) * load(weight, c * kernel * kernel + tap);
        }
        store(y, i, sum);
    }
}

extern "C" __global__ void depthwise_any_input(
    const Stored* gy, const Stored* weight, Stored* gx, const Stored* mask, int channels, long long planes, WINDOW,
    int accumulate) {
    EACH(i, planes * in_h * in_w) {
        int column = rest(i, in_w), row = rest(over(i, in_w), in_h);
        long long map = over(i, in_w * in_h);
        int c = rest(map, channels);
        float sum = 0.0f;
        for (int ky = 0; ky < kernel; ky++) {
            int oy = reader(row, ky, stride, dilation, top, out_h);
            if (oy < 0) continue;
            for (int kx = 0; kx < kernel; kx++) {
                int ox = reader(column, kx, stride, dilation, left, out_w);
                if (ox < 0) continue;
                sum += load(gy, (map * out_h + oy) * out_w + ox) * load(weight, (c * kernel + ky) * kernel + kx);
            }
        }
        put(gx, i, mask && !(load(mask, i) > 0.0f) ? 0.0f : sum, accumulate);
    }
}

// A block for each channel and tap.
extern "C" __global__ void depthwise_any_weight(
    const Stored* x, const Stored* gy, float* gw, int images, int channels, WINDOW, int relu) {
    int c = blockIdx.x, tap = blockIdx.y, outputs = out_h * out_w;
    float sum = 0.0f;
    for (long long i = threadIdx.x; i < (long long)images * outputs; i += blockDim.x) {
        long long map = i / outputs * channels + c;
        int o = (int)(i % outputs);
        int row = under(o / out_w, tap / kernel, stride, dilation, top, in_h);
        int column = under(o % out_w, tap % kernel, stride, dilation, left, in_w);
        if (row < 0 || column < 0) continue;
        float v = load(x, (map * in_h + row) * in_w + column);
        sum += (relu ? activate(v, ACT_RELU) : v) * load(gy, map * outputs + o);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) gw[c * kernel * kernel + tap] = sum;
}

// ---- loss and optimiser --------------------------------------------------------------------------------------------

// Cross entropy with label smoothing, mean over the batch, its gradient by the logits, and how many labels have the
// largest logit (the first of equals). One block, a warp for each image in turn; `losses` and `rights` have a place for
// each step of an epoch.
extern "C" __global__ void cross_entropy(
    const Stored* logits, const unsigned* labels, int batch, int classes, float smoothing, Stored* gradient,
    float* losses, unsigned* rights, const unsigned* step) {
    __shared__ float warp_losses[32], warp_rights[32];
    int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, warps = blockDim.x >> 5;
    float loss = 0.0f, right = 0.0f;
    for (int image = warp; image < batch; image += warps) {
        const long long row = (long long)image * classes;
        int label = (int)labels[image];
        float largest = -3.402823466e38f;
        int at = classes;
        for (int k = lane; k < classes; k += 32) {
            float v = load(logits, row + k);
            if (v > largest) largest = v, at = k;
        }
        for (int distance = 16; distance > 0; distance >>= 1) {
            float other = __shfl_xor_sync(0xffffffffu, largest, distance);
            int other_at = (int)__shfl_xor_sync(0xffffffffu, (float)at, distance);
            if (other > largest || (other == largest && other_at < at)) largest = other, at = other_at;
        }
        float sum = 0.0f, plain = 0.0f;
        for (int k = lane; k < classes; k += 32) {
            float v = load(logits, row + k) - largest;
            sum += expf(v);
            plain += v;
        }
        for (int distance = 16; distance > 0; distance >>= 1) {
            sum += __shfl_xor_sync(0xffffffffu, sum, distance);
            plain += __shfl_xor_sync(0xffffffffu, plain, distance);
        }
        float log_sum = logf(sum), spread = smoothing / (float)classes;
        for (int k = lane; k < classes; k += 32) {
            float probability = expf(load(logits, row + k) - largest) / sum;
            float target = spread + (k == label ? 1.0f - smoothing : 0.0f);
            store(gradient, row + k, (probability - target) / (float)batch);
        }
        float of_label = load(logits, row + label) - largest - log_sum;
        loss -= (1.0f - smoothing) * of_label + spread * (plain - (float)classes * log_sum);
        right += at == label ? 1.0f : 0.0f;
    }
    if (lane == 0) warp_losses[warp] = loss, warp_rights[warp] = right;
    __syncthreads();
    if (threadIdx.x != 0) return;
    float all = 0.0f, all_right = 0.0f;
    for (int k = 0; k < warps; k++) all += warp_losses[k], all_right += warp_rights[k];
    losses[*step] = all / (float)batch;
    rights[*step] = (unsigned)all_right;
}

// What the gradient is multiplied by, so that it is not longer than `clip_norm` (Pascanu et al., 2013).
extern "C" __global__ void gradient_scale(
    const float* gradient, long long total, float clip_norm, float* partials, unsigned* ticket, float* scale) {
    float squares = 0.0f;
    EACH(i, total) squares += gradient[i] * gradient[i];
    squares = block_sum(squares);
    if (threadIdx.x == 0) partials[blockIdx.x] = squares;
    if (!last_block(ticket, gridDim.x) || threadIdx.x != 0) return;
    double all = 0.0;
    for (unsigned k = 0; k < gridDim.x; k++) all += (double)partials[k];
    float norm = (float)sqrt(all);
    *scale = norm > clip_norm ? clip_norm / norm : 1.0f;
}

// Stochastic gradient descent with Nesterov momentum as PyTorch writes it; `decays` says where weight decay acts. The
// last block moves to the next step, whose rate and images the next launch reads. `rounded`, if any, follows.
extern "C" __global__ void sgd(
    float* params, const float* gradient, float* velocity, const Byte* decays, Stored* rounded, long long total,
    const float* scale, const float* rates, unsigned* step, unsigned* ticket, float momentum, float weight_decay) {
    float rate = rates[*step], shorten = *scale;
    EACH(i, total) {
        float p = params[i], g = gradient[i] * shorten;
        g += decays[i] ? weight_decay * p : 0.0f;
        float v = momentum * velocity[i] + g;
        p -= rate * (g + momentum * v);
        velocity[i] = v;
        params[i] = p;
        if (rounded) store(rounded, i, p);
    }
    if (last_block(ticket, gridDim.x) && threadIdx.x == 0) *step += 1;
}

// Adam with decoupled weight decay as PyTorch writes it. `state`: means of gradients, means of squares, steps taken.
extern "C" __global__ void adamw(
    float* params, const float* gradient, float* state, const Byte* decays, Stored* rounded, long long total,
    const float* scale, const float* rates, unsigned* step, unsigned* ticket, float beta1, float beta2, float epsilon,
    float weight_decay) {
    float *mean = state, *square = state + total, *steps = state + 2 * total;
    float rate = rates[*step], shorten = *scale, taken = *steps + 1.0f;
    float ahead = rate / (float)(1.0 - pow((double)beta1, (double)taken));
    float root = 1.0f / sqrtf((float)(1.0 - pow((double)beta2, (double)taken)));
    EACH(i, total) {
        float p = params[i], g = gradient[i] * shorten;
        float m = beta1 * mean[i] + (1.0f - beta1) * g, v = beta2 * square[i] + (1.0f - beta2) * g * g;
        p -= decays[i] ? rate * weight_decay * p : 0.0f;
        p -= ahead * m / (sqrtf(v) * root + epsilon);
        mean[i] = m;
        square[i] = v;
        params[i] = p;
        if (rounded) store(rounded, i, p);
    }
    if (!last_block(ticket, gridDim.x) || threadIdx.x != 0) return;
    *step += 1;
    *steps = taken;
}

// Keeps the logits of an evaluation step, and moves to the next one. One block.
extern "C" __global__ void keep_logits(const Stored* logits, float* kept, int len, unsigned* step) {
    long long first = (long long)*step * len;
    for (int i = threadIdx.x; i < len; i += blockDim.x) kept[first + i] = load(logits, i);
    __syncthreads();
    if (threadIdx.x == 0) *step += 1;
}
