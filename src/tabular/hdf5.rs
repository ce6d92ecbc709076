//! NAS-Bench-101 as the reproduction of the Neural Predictor keeps it: an HDF5 file with `hash`, `num_vertices`,
//! `trainable_parameters`, `adjacency` (n, 7, 7), `operations` (n, 7) and `metrics` (n, epochs, repeats, half-way and end,
//! time and accuracies).

use std::path::Path;

use hdf5_reader::{H5Type, Hdf5File};

use super::TabularError;
use super::nas_bench_101::{Network, Networks};
use crate::space::NasBench101 as Space101;

const EXPECTED: &str = "an HDF5 file of NAS-Bench-101";
const EPOCHS: [u32; 4] = [4, 12, 36, 108];
const VERTICES: usize = 7;
const REPEATS: usize = 3;
/// Time and three accuracies, half-way and at the end.
const POINT: usize = 4;
/// Operations by the number that the file gives them.
const OPERATIONS: [&str; 3] = ["conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"];

/// Reads the file. Its metrics are single precision: accuracies lose nothing, times in seconds their last digits.
///
/// # Errors
/// If it is no such file, or a cell does not have the hash that the file gives it.
pub(super) fn read(path: &Path) -> Result<Networks, TabularError> {
    let file = Hdf5File::open(path).map_err(|e| TabularError::format(path, EXPECTED, e))?;
    let hashes = strings(&file, path, "hash")?;
    let count = hashes.len();
    let vertices: Vec<i8> = numbers(&file, path, "num_vertices", &[count])?;
    let params: Vec<i32> = numbers(&file, path, "trainable_parameters", &[count])?;
    let adjacency: Vec<i8> = numbers(&file, path, "adjacency", &[count, VERTICES, VERTICES])?;
    let operations: Vec<i8> = numbers(&file, path, "operations", &[count, VERTICES])?;
    let metrics: Vec<f32> = numbers(&file, path, "metrics", &[count, EPOCHS.len(), REPEATS, 2, POINT])?;
    let space = Space101::new(Default::default())?;
    let mut networks = Networks::new();
    let per_network = EPOCHS.len() * REPEATS * 2 * POINT;
    for (at, hash) in hashes.iter().enumerate() {
        let wrong = |reason: String| TabularError::record(path, at + 1, reason);
        let rows = &adjacency[at * VERTICES * VERTICES..(at + 1) * VERTICES * VERTICES];
        let text = cell_text(vertices[at], rows, &operations[at * VERTICES..(at + 1) * VERTICES]).map_err(wrong)?;
        let genotype = space.parse(&text).map_err(|e| wrong(e.to_string()))?;
        let key = space.hash(&genotype);
        let own: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        if own != *hash {
            return Err(wrong(format!("its cell has the hash {own}, not {hash}")));
        }
        let values = &metrics[at * per_network..(at + 1) * per_network];
        let trainings = EPOCHS.into_iter().zip(values.chunks(REPEATS * 2 * POINT));
        let trainings = trainings.map(|(epochs, values)| (epochs, values.chunks(2 * POINT).map(training).collect()));
        let network =
            Network { symbols: genotype.symbols().to_vec(), params: params[at].into(), trainings: trainings.collect() };
        networks.insert(key, network);
    }
    Ok(networks)
}

fn training(values: &[f32]) -> [[f64; POINT]; 2] {
    let point = |first: usize| std::array::from_fn(|at| f64::from(values[first + at]));
    [point(0), point(POINT)]
}

/// The space's text of a padded matrix and operations; the error says what is wrong.
fn cell_text(vertices: i8, rows: &[i8], operations: &[i8]) -> Result<String, String> {
    let vertices = usize::try_from(vertices).ok().filter(|count| (2..=VERTICES).contains(count));
    let vertices = vertices.ok_or("its number of vertices is not from 2 to 7")?;
    let row = |row: usize| -> String {
        rows[row * VERTICES..row * VERTICES + vertices].iter().map(|bit| if *bit == 1 { '1' } else { '0' }).collect()
    };
    let name = |operation: &i8| match operation {
        -1 => Ok("input"),
        -2 => Ok("output"),
        other => usize::try_from(*other)
            .ok()
            .and_then(|at| OPERATIONS.get(at).copied())
            .ok_or_else(|| format!("there is no operation {other}")),
    };
    let names: Result<Vec<&str>, String> = operations[..vertices].iter().map(name).collect();
    Ok(format!("{}:{}", (0..vertices).map(row).collect::<Vec<_>>().join("/"), names?.join(",")))
}

fn numbers<T: H5Type>(file: &Hdf5File, path: &Path, name: &str, shape: &[usize]) -> Result<Vec<T>, TabularError> {
    let wrong = |reason: String| TabularError::format(path, EXPECTED, format!("`{name}`: {reason}"));
    let data = file.dataset(name).and_then(|set| set.read_array::<T>()).map_err(|e| wrong(e.to_string()))?;
    match data.shape() == shape {
        true => Ok(data.into_iter().collect()),
        false => Err(wrong(format!("its shape is {:?}, not {shape:?}", data.shape()))),
    }
}

fn strings(file: &Hdf5File, path: &Path, name: &str) -> Result<Vec<String>, TabularError> {
    let wrong = |e: hdf5_reader::error::Error| TabularError::format(path, EXPECTED, format!("`{name}`: {e}"));
    file.dataset(name).and_then(|set| set.read_strings()).map_err(wrong)
}
