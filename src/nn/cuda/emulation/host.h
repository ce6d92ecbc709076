// A GPU for tests: runs the blocks of a launch one after the other, and the threads of a block as fibers that change at
// barriers. Slow, and exact about barriers, shared memory and shuffles; it says nothing about races between blocks.

#include <cmath>
#include <csetjmp>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __shared__ static
#define DYNAMIC_SHARED(type, name) type* name = (type*)emulation::shared_memory;

struct dim3 { unsigned x, y, z; };
static dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {
// A fiber starts as a context and then changes by jumps, which spare the system calls.
struct Fiber {
    ucontext_t context;
    jmp_buf place;
    std::vector<char> stack;
    bool started;
};
static std::vector<Fiber> fibers;
// Of each thread: whether it has ended, and how often it has come to a barrier of its block and of its warp.
static bool done[1024];
static unsigned block_arrivals[1024], warp_arrivals[1024];
static jmp_buf scheduler;
static unsigned current;
static float exchange[1024];
static char shared_memory[256 << 10];
static void (*body)(void**);
// Whether the threads of the kernel wait for each other; if not, they are plain calls.
static bool has_barriers;
static void** arguments;

static void yield() {
    if (!_setjmp(fibers[current].place)) _longjmp(scheduler, 1);
}

// Waits until every thread of from..to that still runs has come as often as this one.
static void wait(unsigned* arrivals, unsigned from, unsigned to) {
    if (!has_barriers) abort();
    unsigned mine = ++arrivals[current];
    for (;;) {
        bool all = true;
        for (unsigned i = from; i < to; i++) all &= done[i] || arrivals[i] >= mine;
        if (all) return;
        yield();
    }
}

static void run_thread() {
    body(arguments);
    done[current] = true;
    yield();
}

static void run_block(unsigned threads) {
    if (fibers.size() < threads) fibers.resize(threads);
    for (unsigned i = 0; i < threads; i++) {
        Fiber& f = fibers[i];
        if (f.stack.empty()) f.stack.resize(64 << 10);
        f.started = done[i] = false;
        block_arrivals[i] = warp_arrivals[i] = 0;
        getcontext(&f.context);
        f.context.uc_stack.ss_sp = f.stack.data();
        f.context.uc_stack.ss_size = f.stack.size();
        makecontext(&f.context, run_thread, 0);
    }
    // Volatile: they must survive the jumps.
    for (volatile unsigned left = threads; left > 0;) {
        left = 0;
        for (volatile unsigned i = 0; i < threads; i++) {
            if (done[i]) continue;
            current = i;
            threadIdx = {i, 0, 0};
            if (!_setjmp(scheduler)) {
                if (fibers[current].started) _longjmp(fibers[current].place, 1);
                fibers[current].started = true;
                setcontext(&fibers[current].context);
            }
            left += !done[current];
        }
    }
}

// Runs a grid: shape (blocks along x, along y, threads, bytes of shared memory). 0 if it ran.
static int run_grid(const unsigned* shape, void** args) {
    if (!body) return 1;
    if (shape[3] > (48 << 10)) return 2;
    arguments = args;
    gridDim = {shape[0], shape[1], 1};
    blockDim = {shape[2], 1, 1};
    for (unsigned y = 0; y < shape[1]; y++)
        for (unsigned x = 0; x < shape[0]; x++) {
            blockIdx = {x, y, 0};
            // Shared memory holds whatever an earlier block left.
            memset(shared_memory, 0xff, shape[3]);
            if (has_barriers) {
                run_block(shape[2]);
                continue;
            }
            for (unsigned i = 0; i < shape[2]; i++) {
                threadIdx = {i, 0, 0};
                body(args);
            }
        }
    return 0;
}

template <class... A, std::size_t... I>
static void call(void (*kernel)(A...), void** args, std::index_sequence<I...>) {
    kernel(*(A*)args[I]...);
}
template <class... A>
static void call(void (*kernel)(A...), void** args) {
    call(kernel, args, std::index_sequence_for<A...>{});
}
}  // namespace emulation

static inline void __syncthreads() { emulation::wait(emulation::block_arrivals, 0, blockDim.x); }
static inline void __threadfence() {}
static inline void sync_warp() {
    unsigned first = emulation::current & ~31u;
    unsigned end = first + 32 < blockDim.x ? first + 32 : blockDim.x;
    emulation::wait(emulation::warp_arrivals, first, end);
}
static inline float shuffle(float v, unsigned from) {
    emulation::exchange[emulation::current] = v;
    sync_warp();
    float other = emulation::exchange[(emulation::current & ~31u) + from];
    sync_warp();
    return other;
}
static inline float __shfl_down_sync(unsigned, float v, int distance) {
    unsigned lane = emulation::current & 31u;
    return shuffle(v, lane + distance < 32 ? lane + distance : lane);
}
static inline float __shfl_xor_sync(unsigned, float v, int mask) { return shuffle(v, (emulation::current & 31u) ^ mask); }
static inline unsigned atomicAdd(unsigned* p, unsigned v) { unsigned old = *p; *p += v; return old; }
static inline float __uint_as_float(unsigned u) { float f; memcpy(&f, &u, 4); return f; }
static inline unsigned __float_as_uint(float f) { unsigned u; memcpy(&u, &f, 4); return u; }
