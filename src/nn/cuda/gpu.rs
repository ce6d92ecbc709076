//! The NVIDIA driver, NVRTC and cuBLAS behind [`Backend`]: a [`Gpu`] holds the compiled kernels, a [`Lane`] is one stream
//! with a cuBLAS handle and workspace of its own, so that lanes run side by side and each can be captured as a CUDA graph.

use std::collections::HashMap;
use std::ffi::c_void;
use std::fmt::{self, Display};
use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex};

use candle_core::cuda_backend::cudarc;
use cudarc::cublas::{result as cublas, sys as cublas_sys};
use cudarc::driver::{CudaContext, CudaFunction, CudaGraph, CudaStream, result, sys};
use cudarc::nvrtc::{CompileError, CompileOptions, Ptx, compile_ptx_with_opts};

use super::backend::{Backend, BackendError, Ready};
use super::command::{Call, MatrixIn, MatrixProduct};
use super::{KERNELS_SOURCE, Precision, kernel_names};

/// What cuBLAS asks for on Hopper; it must be given for a capture.
const WORKSPACE_BYTES: usize = 32 << 20;
/// What every card since Ampere runs, for an NVRTC that does not know the card.
const OLDEST_ARCHITECTURE: &str = "compute_80";

/// A GPU with the kernels compiled for it. Clones share it.
#[derive(Clone)]
pub struct Gpu {
    inner: Arc<Inner>,
}

struct Inner {
    context: Arc<CudaContext>,
    functions: HashMap<String, CudaFunction>,
    precision: Precision,
    name: String,
    /// Lanes that nobody uses: cuBLAS takes long to start.
    idle: Mutex<Vec<Track>>,
}

/// A stream with what belongs to it.
struct Track {
    stream: Arc<CudaStream>,
    cublas: cublas_sys::cublasHandle_t,
    workspace: u64,
}

// SAFETY: the handle and the workspace are used by whoever owns the track, from one thread at a time.
unsafe impl Send for Track {}

/// A stream of work on a GPU.
pub struct Lane {
    gpu: Gpu,
    track: ManuallyDrop<Track>,
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.inner.name, self.inner.precision)
    }
}

fn failed<E: fmt::Debug>(doing: impl Into<String>) -> impl FnOnce(E) -> BackendError {
    let doing = doing.into();
    move |error| BackendError { doing, reason: format!("{error:?}") }
}

impl Gpu {
    /// The first card, with the kernels compiled for it.
    ///
    /// # Errors
    /// One line that says what is missing: the driver, one of NVIDIA's libraries, or a card.
    pub fn open(precision: Precision) -> Result<Self, String> {
        missing_library()?;
        let context = CudaContext::new(0).map_err(|e| format!("the NVIDIA driver finds no card: {}", one_line(&e)))?;
        let name = context.name().map_err(|e| one_line(&e))?;
        let (major, minor) = context.compute_capability().map_err(|e| one_line(&e))?;
        let kernels = compile(&format!("compute_{major}{minor}"), precision)
            .or_else(|_| compile(OLDEST_ARCHITECTURE, precision))
            .map_err(|e| format!("NVRTC does not compile the kernels: {}", compiler_said(&e)))?;
        let module = context.load_module(kernels).map_err(|e| format!("{name} does not load the kernels: {e:?}"))?;
        let load = |name: String| module.load_function(&name).map(|function| (name, function));
        let functions: Result<HashMap<_, _>, _> = kernel_names().into_iter().map(load).collect();
        let functions = functions.map_err(|e| format!("{name} does not load a kernel: {}", one_line(&e)))?;
        Ok(Gpu { inner: Arc::new(Inner { context, functions, precision, name, idle: Mutex::default() }) })
    }

    /// The name of the card.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Free and total memory in bytes.
    ///
    /// # Errors
    /// If the driver fails.
    pub fn memory(&self) -> Result<(usize, usize), BackendError> {
        self.inner.context.mem_get_info().map_err(failed("ask for free memory"))
    }

    /// A queue of its own.
    ///
    /// # Errors
    /// If the driver or cuBLAS fails.
    pub fn lane(&self) -> Result<Lane, BackendError> {
        let idle = self.inner.idle.lock().expect("no thread panics while it holds the tracks").pop();
        let track = idle.map_or_else(|| Track::new(&self.inner.context), Ok)?;
        Ok(Lane { gpu: self.clone(), track: ManuallyDrop::new(track) })
    }
}

impl Track {
    fn new(context: &Arc<CudaContext>) -> Result<Self, BackendError> {
        context.bind_to_thread().map_err(failed("use the card from this thread"))?;
        let stream = context.new_stream().map_err(failed("make a stream"))?;
        let cublas = cublas::create_handle().map_err(failed("start cuBLAS"))?;
        let mut track = Track { stream, cublas, workspace: 0 };
        // SAFETY: handle, stream and workspace live as long as the track. The stream comes first: to set it takes a
        // workspace away.
        unsafe {
            track.workspace = result::malloc_sync(WORKSPACE_BYTES).map_err(failed("take memory for cuBLAS"))?;
            cublas::set_stream(cublas, track.stream.cu_stream().cast()).map_err(failed("give cuBLAS its stream"))?;
            cublas_sys::cublasSetWorkspace_v2(cublas, track.workspace as *mut c_void, WORKSPACE_BYTES)
                .result()
                .map_err(failed("give cuBLAS its workspace"))?;
        }
        Ok(track)
    }
}

impl Drop for Track {
    fn drop(&mut self) {
        let _ = self.stream.synchronize();
        // SAFETY: handle and workspace are this track's own, and their work has ended. A driver that fails here has
        // failed before, and said so.
        unsafe {
            let _ = cublas::destroy_handle(self.cublas);
            let _ = result::free_sync(self.workspace);
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // SAFETY: the track is taken once, here.
        let track = unsafe { ManuallyDrop::take(&mut self.track) };
        if track.stream.synchronize().is_ok() {
            self.gpu.inner.idle.lock().expect("no thread panics while it holds the tracks").push(track);
        }
    }
}

/// A library that is not there would be a panic inside the bindings.
fn missing_library() -> Result<(), String> {
    #[cfg(feature = "cuda-dlopen")]
    {
        // SAFETY: only opens the libraries.
        let found = unsafe {
            [
                ("libcuda.so.1 (the NVIDIA driver)", cudarc::driver::sys::is_culib_present()),
                ("libcublas", cudarc::cublas::sys::is_culib_present()),
                ("libcurand", cudarc::curand::sys::is_culib_present()),
                ("libnvrtc", cudarc::nvrtc::sys::is_culib_present()),
            ]
        };
        if let Some((name, _)) = found.iter().find(|(_, found)| !found) {
            return Err(format!("{name} is not on this machine"));
        }
    }
    Ok(())
}

fn compile(architecture: &str, precision: Precision) -> Result<Ptx, CompileError> {
    let mut options = vec![format!("--gpu-architecture={architecture}")];
    if precision == Precision::Bf16 {
        options.push("-DBF16".to_string());
    }
    compile_ptx_with_opts(KERNELS_SOURCE, CompileOptions { options, ..CompileOptions::default() })
}

fn compiler_said(error: &CompileError) -> String {
    match error {
        CompileError::CompileError { log, .. } => log.to_string_lossy().lines().next().unwrap_or_default().to_string(),
        other => format!("{other:?}"),
    }
}

fn one_line(error: &impl Display) -> String {
    error.to_string().lines().next().unwrap_or_default().to_string()
}

impl Lane {
    fn bind(&self) -> Result<(), BackendError> {
        self.gpu.inner.context.bind_to_thread().map_err(failed("use the card from this thread"))
    }

    fn queue(&self, commands: &[Ready]) -> Result<(), BackendError> {
        commands.iter().try_for_each(|command| match command {
            Ready::Kernel(call, slots) => self.launch(call, slots),
            Ready::Product(product, places) => self.multiply(product, *places),
        })
    }

    fn launch(&self, call: &Call, slots: &[u64]) -> Result<(), BackendError> {
        let function = self.gpu.inner.functions.get(&call.kernel);
        let function = function.ok_or_else(|| failed(format!("launch `{}`", call.kernel))("no such kernel"))?;
        let mut slots = slots.to_vec();
        let mut places: Vec<*mut c_void> = slots.iter_mut().map(|slot| std::ptr::from_mut(slot).cast()).collect();
        // SAFETY: arguments are what the kernel of this name takes (tests run every kernel as C++); the driver copies them
        // before it returns.
        let launched = unsafe {
            result::launch_kernel(
                function.cu_function(),
                (call.grid[0], call.grid[1], 1),
                (call.block, 1, 1),
                call.shared as u32,
                self.track.stream.cu_stream(),
                &mut places,
            )
        };
        launched.map_err(failed(format!("launch `{}`", call.kernel)))
    }

    /// cuBLAS counts columns first: what it multiplies is the transpose, factors exchanged.
    fn multiply(&self, p: &MatrixProduct, [a, b, c]: [u64; 3]) -> Result<(), BackendError> {
        let [m, n, k] = p.size.map(|size| size as i32);
        let transposed = |matrix: &MatrixIn| match matrix.transposed {
            true => cublas_sys::cublasOperation_t::CUBLAS_OP_T,
            false => cublas_sys::cublasOperation_t::CUBLAS_OP_N,
        };
        let float = cublas_sys::cudaDataType::CUDA_R_32F;
        let (stored, compute) = match self.gpu.inner.precision {
            Precision::F32 => (float, cublas_sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_PEDANTIC),
            Precision::Tf32 => (float, cublas_sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32),
            Precision::Bf16 => {
                (cublas_sys::cudaDataType::CUDA_R_16BF, cublas_sys::cublasComputeType_t::CUBLAS_COMPUTE_32F)
            }
        };
        let (alpha, beta) = (1.0f32, if p.accumulate { 1.0f32 } else { 0.0 });
        // SAFETY: the matrices lie in buffers of the session, whose sizes follow from the same shapes.
        let multiplied = unsafe {
            cublas::gemm_strided_batched_ex(
                self.track.cublas,
                transposed(&p.b),
                transposed(&p.a),
                n,
                m,
                k,
                std::ptr::from_ref(&alpha).cast(),
                b as *const c_void,
                stored,
                p.b.row as i32,
                p.b.step as i64,
                a as *const c_void,
                stored,
                p.a.row as i32,
                p.a.step as i64,
                std::ptr::from_ref(&beta).cast(),
                c as *mut c_void,
                if p.c_is_float { float } else { stored },
                p.c_row as i32,
                p.c_step as i64,
                p.batch as i32,
                compute,
                cublas_sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        };
        multiplied.map_err(failed(format!("multiply {m}×{k} by {k}×{n}, {} times", p.batch)))
    }
}

impl Backend for Lane {
    type Program = CudaGraph;

    fn stored_bytes(&self) -> usize {
        if self.gpu.inner.precision == Precision::Bf16 { 2 } else { 4 }
    }

    fn allocate(&self, bytes: usize) -> Result<u64, BackendError> {
        self.bind()?;
        let doing = || format!("take {:.1} MB of device memory", bytes as f64 / 1e6);
        // SAFETY: the memory is filled before anyone reads it.
        unsafe {
            let address = result::malloc_sync(bytes).map_err(failed(doing()))?;
            result::memset_d8_async(address, 0, bytes, self.track.stream.cu_stream()).map_err(failed(doing()))?;
            Ok(address)
        }
    }

    fn free(&self, address: u64) {
        let waited = self.bind().and_then(|()| self.wait());
        // SAFETY: the address came from `allocate`, and the stream has ended its work. A driver that fails here has failed
        // before, and said so.
        if waited.is_ok() {
            let _ = unsafe { result::free_sync(address) };
        }
    }

    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), BackendError> {
        self.bind()?;
        // SAFETY: the engine copies into its own buffers; the wait keeps `bytes` alive for long enough.
        unsafe { result::memcpy_htod_async(address, bytes, self.track.stream.cu_stream()) }
            .map_err(failed("copy to the card"))?;
        self.wait()
    }

    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), BackendError> {
        self.bind()?;
        // SAFETY: as above.
        unsafe { result::memcpy_dtoh_async(bytes, address, self.track.stream.cu_stream()) }
            .map_err(failed("copy from the card"))?;
        self.wait()
    }

    /// Runs the commands once as they are, so that everything is loaded and initialised, then captures them.
    fn record(&self, commands: Vec<Ready>) -> Result<CudaGraph, BackendError> {
        self.bind()?;
        self.queue(&commands)?;
        self.wait()?;
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        self.track.stream.begin_capture(mode).map_err(failed("begin to capture a step"))?;
        let queued = self.queue(&commands);
        let graph = self.track.stream.end_capture(sys::CUgraphInstantiate_flags(0)).map_err(failed("capture a step"));
        queued?;
        graph?.ok_or_else(|| failed("capture a step")("there is nothing in it"))
    }

    fn run(&self, program: &CudaGraph) -> Result<(), BackendError> {
        program.launch().map_err(failed("launch a step"))
    }

    fn is_idle(&self) -> Result<bool, BackendError> {
        self.bind()?;
        // SAFETY: the stream is this lane's own.
        match unsafe { sys::cuStreamQuery(self.track.stream.cu_stream()) } {
            sys::CUresult::CUDA_SUCCESS => Ok(true),
            sys::CUresult::CUDA_ERROR_NOT_READY => Ok(false),
            error => Err(failed("ask whether the card is done")(error)),
        }
    }

    fn wait(&self) -> Result<(), BackendError> {
        self.track.stream.synchronize().map_err(failed("wait for the card"))
    }
}
