//! The engine without a GPU, for tests: `kernels.cu` compiled by the system's C++ compiler with `emulation/host.h`, matrix
//! products by plain loops.

use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use libloading::{Library, Symbol};

use super::backend::{Backend, BackendError, Ready};
use super::command::{Call, MatrixIn, MatrixProduct};
use super::{KERNELS_SOURCE, kernel_names};

/// The emulated GPU runs one launch at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

type Launch = unsafe extern "C" fn(*const u8, *const u32, *mut *mut c_void) -> i32;

/// A GPU that is not there.
pub struct Emulated {
    library: &'static Library,
    bfloat16: bool,
}

impl Emulated {
    /// Compiles the kernels, or says why it cannot: without a C++ compiler there is nothing to test with.
    pub fn new(bfloat16: bool) -> Result<Self, String> {
        static LIBRARIES: [OnceLock<Result<Library, String>>; 2] = [const { OnceLock::new() }; 2];
        let library = LIBRARIES[usize::from(bfloat16)].get_or_init(|| library(bfloat16));
        library.as_ref().map(|library| Emulated { library, bfloat16 }).map_err(Clone::clone)
    }

    fn launch(&self, call: &Call, slots: &[u64]) -> Result<(), BackendError> {
        let _one = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let name = format!("{}\0", call.kernel);
        let shape = [call.grid[0], call.grid[1], call.block, call.shared as u32];
        let mut slots = slots.to_vec();
        let mut places: Vec<*mut c_void> = slots.iter_mut().map(|slot| std::ptr::from_mut(slot).cast()).collect();
        // SAFETY: the function has this type, and arguments are what the kernel of this name takes.
        let status = unsafe {
            let launch: Symbol<Launch> = self.library.get(b"launch").unwrap();
            launch(name.as_ptr(), shape.as_ptr(), places.as_mut_ptr())
        };
        let reason = match status {
            0 => return Ok(()),
            1 => "no such kernel",
            _ => "too much shared memory",
        };
        Err(BackendError { doing: format!("launch `{}`", call.kernel), reason: reason.to_string() })
    }

    fn load(&self, address: u64, at: usize, is_float: bool) -> f64 {
        // SAFETY: addresses and indices are those of matrices in memory of this backend.
        unsafe {
            match is_float {
                true => f64::from(*(address as *const f32).add(at)),
                false => f64::from(f32::from_bits(u32::from(*(address as *const u16).add(at)) << 16)),
            }
        }
    }

    fn multiply(&self, p: &MatrixProduct, [a, b, c]: [u64; 3]) {
        let [m, n, k] = p.size;
        let float = !self.bfloat16;
        let index = |matrix: &MatrixIn, image: usize, row: usize, column: usize| {
            let (row, column) = if matrix.transposed { (column, row) } else { (row, column) };
            image * matrix.step + row * matrix.row + column
        };
        for image in 0..p.batch {
            for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
                let product = |i: usize| {
                    let b = self.load(b, index(&p.b, image, i, column), float);
                    self.load(a, index(&p.a, image, row, i), float) * b
                };
                let sum: f64 = (0..k).map(product).sum();
                let at = image * p.c_step + row * p.c_row + column;
                let c_float = float || p.c_is_float;
                let old = if p.accumulate { self.load(c, at, c_float) } else { 0.0 };
                let sum = (sum + old) as f32;
                // SAFETY: as above.
                unsafe {
                    match c_float {
                        true => *(c as *mut f32).add(at) = sum,
                        false => *(c as *mut u16).add(at) = ((sum.to_bits() + 0x8000) >> 16) as u16,
                    }
                }
            }
        }
    }
}

impl Backend for Emulated {
    type Program = Vec<Ready>;

    fn stored_bytes(&self) -> usize {
        if self.bfloat16 { 2 } else { 4 }
    }

    fn allocate(&self, bytes: usize) -> Result<u64, BackendError> {
        // SAFETY: the size is not zero, the alignment a power of two.
        Ok(unsafe { libc::aligned_alloc(256, bytes.next_multiple_of(256)) } as u64).inspect(|address| {
            // SAFETY: the memory was allocated just now. What a step does not write before it reads must be seen: the
            // engine may rely on zeros before the first step only where it says so.
            unsafe { std::ptr::write_bytes(*address as *mut u8, 0, bytes) }
        })
    }

    fn free(&self, address: u64) {
        // SAFETY: the address is one that `allocate` gave.
        unsafe { libc::free(address as *mut c_void) }
    }

    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), BackendError> {
        // SAFETY: the engine copies into its own buffers.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, bytes.len()) }
        Ok(())
    }

    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), BackendError> {
        // SAFETY: as above.
        unsafe { std::ptr::copy_nonoverlapping(address as *const u8, bytes.as_mut_ptr(), bytes.len()) }
        Ok(())
    }

    /// As on a GPU, the commands run once while they are recorded.
    fn record(&self, commands: Vec<Ready>) -> Result<Vec<Ready>, BackendError> {
        self.run(&commands)?;
        Ok(commands)
    }

    fn run(&self, program: &Vec<Ready>) -> Result<(), BackendError> {
        program.iter().try_for_each(|command| match command {
            Ready::Kernel(call, slots) => self.launch(call, slots),
            Ready::Product(product, places) => {
                self.multiply(product, *places);
                Ok(())
            }
        })
    }

    fn is_idle(&self) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn wait(&self) -> Result<(), BackendError> {
        Ok(())
    }
}

fn library(bfloat16: bool) -> Result<Library, String> {
    // Once it is loaded, nobody needs the file.
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let library = compile(folder.path(), bfloat16)?;
    // SAFETY: the library was compiled just now from sources without initialisers that do anything.
    unsafe { Library::new(library) }.map_err(|e| e.to_string())
}

fn compile(folder: &Path, bfloat16: bool) -> Result<PathBuf, String> {
    let cases = |name: String| {
        let barriers = has_barriers(&name);
        format!(
            "    if (!strcmp(name, \"{name}\")) body = [](void** a) {{ call({name}, a); }}, has_barriers = {barriers};\n"
        )
    };
    let cases: String = kernel_names().into_iter().map(cases).collect();
    let source = format!(
        "{}\n{KERNELS_SOURCE}\nextern \"C\" int launch(const char* name, const unsigned* shape, void** arguments) {{\n    \
         using namespace emulation;\n    body = nullptr;\n{cases}    return run_grid(shape, arguments);\n}}\n",
        include_str!("emulation/host.h")
    );
    let (file, library) = (folder.join("kernels.cpp"), folder.join("libkernels.so"));
    std::fs::write(&file, source).map_err(|e| e.to_string())?;
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_string());
    let mut command = Command::new(&compiler);
    command.args(["-std=c++17", "-O1", "-shared", "-fPIC", "-w"]).args(bfloat16.then_some("-DBF16"));
    let output = command.arg("-o").arg(&library).arg(&file).output();
    match output {
        Err(e) => Err(format!("no C++ compiler `{compiler}`: {e}")),
        Ok(o) if o.status.success() => Ok(library),
        Ok(o) => panic!("the kernels do not compile as C++:\n{}", String::from_utf8_lossy(&o.stderr)),
    }
}

/// Whether the threads of a kernel wait for each other: by what its body calls.
fn has_barriers(name: &str) -> bool {
    const WAITING: [&str; 5] = ["block_sum", "warp_sum", "last_block", "__shfl", "__syncthreads"];
    let Some(at) = KERNELS_SOURCE.find(&format!("__global__ void {name}(")) else {
        return true; // one that a macro writes
    };
    let body = KERNELS_SOURCE[at..].split("\n}").next().unwrap();
    WAITING.iter().any(|word| body.contains(word))
}
