//! A training step as a list of commands over buffers that have no addresses yet.

/// Threads in a block of most kernels.
pub const THREADS: u32 = 256;
/// Most blocks of an elementwise kernel; its threads go on in strides.
const MOST_BLOCKS: usize = 8192;

/// A buffer of a [`Tape`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffer(pub usize);

/// How long a buffer lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// From its first to its last command of a step: others lie in the same place before and after.
    Step,
    /// As long as the session.
    Kept,
    /// It belongs to someone else: the address is given, by number.
    Outside(usize),
}

/// Size and life of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferSpec {
    /// Its bytes.
    pub bytes: usize,
    /// How long it lives.
    pub life: Life,
}

/// A place in a buffer, in bytes from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The buffer.
    pub buffer: Buffer,
    /// Bytes from its start.
    pub offset: usize,
}

impl Buffer {
    /// A place `elements` of `size` bytes from the start.
    pub fn at(self, elements: usize, size: usize) -> Place {
        Place { buffer: self, offset: elements * size }
    }
}

/// An argument of a kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Arg {
    /// An address, or null.
    Place(Option<Place>),
    /// An `int` or `long long`: little-endian, so the same eight bytes serve both.
    Int(i64),
    /// A `float`.
    Float(f32),
}

impl From<Buffer> for Arg {
    fn from(buffer: Buffer) -> Self {
        Arg::Place(Some(buffer.at(0, 1)))
    }
}

impl From<Place> for Arg {
    fn from(place: Place) -> Self {
        Arg::Place(Some(place))
    }
}

impl From<Option<Place>> for Arg {
    fn from(place: Option<Place>) -> Self {
        Arg::Place(place)
    }
}

impl From<usize> for Arg {
    fn from(value: usize) -> Self {
        Arg::Int(value as i64)
    }
}

impl From<i64> for Arg {
    fn from(value: i64) -> Self {
        Arg::Int(value)
    }
}

impl From<bool> for Arg {
    fn from(value: bool) -> Self {
        Arg::Int(i64::from(value))
    }
}

impl From<f32> for Arg {
    fn from(value: f32) -> Self {
        Arg::Float(value)
    }
}

/// Arguments of a kernel, in order.
macro_rules! args {
    ($($arg:expr),* $(,)?) => { vec![$($crate::nn::cuda::command::Arg::from($arg)),*] };
}
pub(super) use args;

/// Which kernel runs on how many threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its name in `kernels.cu`.
    pub kernel: String,
    /// Blocks along x and y.
    pub grid: [u32; 2],
    /// Threads in a block.
    pub block: u32,
    /// Bytes of shared memory whose size is not in the source.
    pub shared: usize,
}

impl Call {
    /// A kernel with a thread for each of `total` values.
    pub fn each(kernel: &str, total: usize) -> Call {
        let blocks = total.div_ceil(THREADS as usize).clamp(1, MOST_BLOCKS);
        Call::blocks(kernel, blocks, 1)
    }

    /// A kernel with `x` by `y` blocks.
    pub fn blocks(kernel: &str, x: usize, y: usize) -> Call {
        Call { kernel: kernel.to_string(), grid: [x as u32, y as u32], block: THREADS, shared: 0 }
    }
}

/// A batch of products of row-major matrices, `c = op(a) op(b)` or `c += op(a) op(b)`, with op(a) (m, k), op(b) (k, n) and
/// c (m, n). `a` and `b` hold stored values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatrixProduct {
    /// Rows, columns and inner length.
    pub size: [usize; 3],
    /// The first factor.
    pub a: MatrixIn,
    /// The second factor.
    pub b: MatrixIn,
    /// Values from one row of `c` to the next.
    pub c_row: usize,
    /// Values from one `c` to the next.
    pub c_step: usize,
    /// Whether `c` holds floats whatever the maps hold.
    pub c_is_float: bool,
    /// Whether the product is added to `c`.
    pub accumulate: bool,
    /// Number of products.
    pub batch: usize,
}

/// How a factor lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatrixIn {
    /// Values from one row, as it lies, to the next.
    pub row: usize,
    /// Whether it lies transposed.
    pub transposed: bool,
    /// Values from one matrix of the batch to the next; 0 if all are the same.
    pub step: usize,
}

/// One command.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Runs a kernel.
    Kernel(Call, Vec<Arg>),
    /// Multiplies matrices: `a`, `b` and `c`.
    Product(MatrixProduct, [Place; 3]),
}

impl Command {
    /// Buffers that it touches.
    pub fn buffers(&self) -> Vec<Buffer> {
        match self {
            Command::Kernel(_, args) => args
                .iter()
                .filter_map(|arg| match arg {
                    Arg::Place(place) => place.map(|p| p.buffer),
                    Arg::Int(_) | Arg::Float(_) => None,
                })
                .collect(),
            Command::Product(_, places) => places.iter().map(|p| p.buffer).collect(),
        }
    }
}

/// Commands and the buffers they work on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tape {
    /// Every buffer.
    pub buffers: Vec<BufferSpec>,
    /// Every command, in order.
    pub commands: Vec<Command>,
}

impl Tape {
    /// A new buffer of at least one byte.
    pub fn buffer(&mut self, bytes: usize, life: Life) -> Buffer {
        self.buffers.push(BufferSpec { bytes: bytes.max(1), life });
        Buffer(self.buffers.len() - 1)
    }

    /// Appends a kernel.
    pub fn call(&mut self, call: Call, args: Vec<Arg>) {
        self.commands.push(Command::Kernel(call, args));
    }

    /// Appends a matrix product.
    pub fn product(&mut self, product: MatrixProduct, places: [Place; 3]) {
        self.commands.push(Command::Product(product, places));
    }
}
