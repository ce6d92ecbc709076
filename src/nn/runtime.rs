//! Settings of the process that decide how fast training runs. A user sets nothing: the program calls [`init`] first.

use std::sync::Once;

/// Sets allocator, candle's own thread pool and the number of threads, once for the process.
///
/// Measured on a small network (batch 64, two threads): the allocator's settings make a training step 1.65 times faster,
/// because buffers of several megabytes stay mapped; the spin limit another 1.55 times, because candle's idle workers no
/// longer take processors from ours.
pub fn init(threads: Option<usize>) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        keep_large_buffers();
        // SAFETY: the program calls this before it starts any thread, so nobody reads the environment meanwhile.
        unsafe { std::env::set_var("CANDLE_BARRIER_POOL_SPIN_LIMIT", "200") };
        let threads = threads.unwrap_or(0);
        // It fails only where a pool exists already, as in a program that embeds the library: that pool is then used.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    });
}

/// Tells glibc not to give large buffers back to the system at each free: page faults cost more than the training step's
/// arithmetic.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn keep_large_buffers() {
    // SAFETY: mallopt only changes settings of the allocator and may be called at any time.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep_large_buffers() {}
