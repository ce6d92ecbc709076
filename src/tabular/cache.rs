//! A benchmark in one file that opens in milliseconds: sorted keys of fixed width and named columns of numbers, each with
//! a checksum, read when it is first asked for.
//!
//! Layout, all little-endian: `NWTABLE1`, the length of the header (u32), the header (JSON), its CRC-32C (u32), then the
//! blocks at the places that the header names, counted from behind its CRC.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::TabularError;

const MAGIC: &[u8; 8] = b"NWTABLE1";
const EXPECTED: &str = "an imported benchmark";
const LONGEST_HEADER: u32 = 16 << 20;

/// Keys and columns as they are imported.
#[derive(Debug, Default)]
pub(super) struct Import {
    /// Name of the benchmark.
    pub benchmark: String,
    /// One key for each row, in ascending order, all of one width.
    pub keys: Vec<Vec<u8>>,
    /// Names and numbers, one for each row.
    pub columns: Vec<(String, Vec<f64>)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    benchmark: String,
    rows: usize,
    key_width: usize,
    keys: Block,
    columns: Vec<ColumnHeader>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ColumnHeader {
    name: String,
    width: Width,
    block: Block,
}

/// How a number is stored: in four bytes where that loses nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Width {
    F32,
    F64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Block {
    start: u64,
    bytes: u64,
    crc: u32,
}

/// An imported benchmark.
#[derive(Debug)]
pub(super) struct Cache {
    path: PathBuf,
    header: Header,
    /// Where blocks are counted from.
    body: u64,
    keys: Vec<u8>,
    /// For each value of a key's first two bytes, the first row that has it or more: hashes are found in a few steps.
    starts: Vec<u32>,
    columns: Vec<OnceLock<Numbers>>,
}

#[derive(Debug)]
enum Numbers {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Import {
    /// Writes the file: under another name first, so that there is never half of one.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), TabularError> {
        let unwritable = |e: std::io::Error| TabularError::unreadable(path, format!("it cannot be written: {e}"));
        let part = path.with_extension(format!("part{}", std::process::id()));
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(unwritable)?;
        }
        let written = self.write_to(&part).and_then(|()| std::fs::rename(&part, path));
        written.map_err(|error| {
            // What is left of a failed import is of no use; that it cannot be removed changes nothing.
            let _ = std::fs::remove_file(&part);
            unwritable(error)
        })
    }

    fn write_to(&self, path: &Path) -> std::io::Result<()> {
        let mut blocks: Vec<Vec<u8>> = vec![self.keys.concat()];
        let mut widths = Vec::with_capacity(self.columns.len());
        for (_, numbers) in &self.columns {
            let is_exact = numbers.iter().all(|number| f64::from(*number as f32) == *number || number.is_nan());
            widths.push(if is_exact { Width::F32 } else { Width::F64 });
            blocks.push(match is_exact {
                true => numbers.iter().flat_map(|number| (*number as f32).to_le_bytes()).collect(),
                false => numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
            });
        }
        let mut start = 0;
        let mut place = |bytes: &Vec<u8>| {
            let block = Block { start, bytes: bytes.len() as u64, crc: crc32c::crc32c(bytes) };
            start += block.bytes;
            block
        };
        let mut places = blocks.iter().map(&mut place).collect::<Vec<Block>>().into_iter();
        let keys = places.next().expect("the keys are the first block");
        let columns = self.columns.iter().zip(widths).zip(places);
        let columns = columns.map(|(((name, _), width), block)| ColumnHeader { name: name.clone(), width, block });
        let header = Header {
            benchmark: self.benchmark.clone(),
            rows: self.keys.len(),
            key_width: self.keys.first().map_or(0, Vec::len),
            keys,
            columns: columns.collect(),
        };
        let header = serde_json::to_vec(&header)?;
        let mut file = std::io::BufWriter::new(File::create(path)?);
        file.write_all(MAGIC)?;
        file.write_all(&(header.len() as u32).to_le_bytes())?;
        file.write_all(&header)?;
        file.write_all(&crc32c::crc32c(&header).to_le_bytes())?;
        blocks.iter().try_for_each(|block| file.write_all(block))?;
        file.into_inner().map_err(|e| e.into_error())?.sync_all()
    }
}

impl Cache {
    /// Opens a file and reads its keys.
    ///
    /// # Errors
    /// If it is no such file or a checksum is wrong.
    pub fn open(path: &Path, benchmark: &str) -> Result<Self, TabularError> {
        let wrong = |reason: &str| TabularError::format(path, EXPECTED, reason);
        let unreadable = |e: std::io::Error| TabularError::unreadable(path, e);
        let mut file = File::open(path).map_err(unreadable)?;
        let mut head = [0; 12];
        file.read_exact(&mut head).map_err(unreadable)?;
        let (magic, length) = head.split_at(MAGIC.len());
        let length = u32::from_le_bytes(length.try_into().expect("it has four bytes"));
        if magic != MAGIC || length > LONGEST_HEADER {
            return Err(wrong("it begins with something else"));
        }
        let mut bytes = vec![0; length as usize + 4];
        file.read_exact(&mut bytes).map_err(unreadable)?;
        let (header, crc) = bytes.split_at(length as usize);
        if crc32c::crc32c(header).to_le_bytes() != crc {
            return Err(wrong("the checksum of its header is wrong"));
        }
        let header: Header = serde_json::from_slice(header).map_err(|e| wrong(&e.to_string()))?;
        if header.benchmark != benchmark {
            return Err(wrong(&format!("it holds `{}`, not `{benchmark}`", header.benchmark)));
        }
        let body = 12 + u64::from(length) + 4;
        let keys = read_block(&mut file, body, header.keys).map_err(|reason| wrong(&format!("its keys: {reason}")))?;
        if keys.len() != header.rows * header.key_width || header.key_width == 0 {
            return Err(wrong("its keys do not suit its rows"));
        }
        let starts = starts(&keys, header.key_width).ok_or_else(|| wrong("its keys are not in order"))?;
        let columns = header.columns.iter().map(|_| OnceLock::new()).collect();
        Ok(Cache { path: path.to_path_buf(), header, body, keys, starts, columns })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.header.rows
    }

    /// Names of the columns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.header.columns.iter().map(|column| column.name.as_str())
    }

    /// The place of a column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.header.columns.iter().position(|column| column.name == name)
    }

    /// The key of a row.
    pub fn key(&self, row: usize) -> &[u8] {
        &self.keys[row * self.header.key_width..(row + 1) * self.header.key_width]
    }

    /// The row of a key.
    pub fn find(&self, key: &[u8]) -> Option<usize> {
        if key.len() != self.header.key_width {
            return None;
        }
        let first = first_bytes(key);
        let (mut low, mut high) = (self.starts[first] as usize, self.starts[first + 1] as usize);
        while low < high {
            let middle = (low + high) / 2;
            match self.key(middle).cmp(key) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// A number.
    ///
    /// # Errors
    /// If the column is read for the first time and its checksum is wrong.
    pub fn number(&self, column: usize, row: usize) -> Result<f64, TabularError> {
        let numbers = match self.columns[column].get() {
            Some(numbers) => numbers,
            None => {
                let numbers = self.read_column(column)?;
                self.columns[column].get_or_init(|| numbers)
            }
        };
        Ok(match numbers {
            Numbers::F32(numbers) => numbers[row].into(),
            Numbers::F64(numbers) => numbers[row],
        })
    }

    /// All numbers of a column, read anew.
    ///
    /// # Errors
    /// If the checksum is wrong.
    pub fn numbers(&self, column: usize) -> Result<Vec<f64>, TabularError> {
        Ok(match self.read_column(column)? {
            Numbers::F32(numbers) => numbers.into_iter().map(f64::from).collect(),
            Numbers::F64(numbers) => numbers,
        })
    }

    fn read_column(&self, column: usize) -> Result<Numbers, TabularError> {
        let ColumnHeader { name, width, block } = &self.header.columns[column];
        let wrong = |reason: String| TabularError::format(&self.path, EXPECTED, format!("column `{name}`: {reason}"));
        let mut file = File::open(&self.path).map_err(|e| TabularError::unreadable(&self.path, e))?;
        let bytes = read_block(&mut file, self.body, *block).map_err(wrong)?;
        let numbers = match width {
            Width::F32 => Numbers::F32(bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect()),
            Width::F64 => Numbers::F64(bytes.as_chunks().0.iter().map(|eight| f64::from_le_bytes(*eight)).collect()),
        };
        let length = match &numbers {
            Numbers::F32(numbers) => numbers.len(),
            Numbers::F64(numbers) => numbers.len(),
        };
        match length == self.header.rows {
            true => Ok(numbers),
            false => Err(wrong(format!("{length} numbers for {} rows", self.header.rows))),
        }
    }
}

fn first_bytes(key: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([key[0], key.get(1).copied().unwrap_or(0)]))
}

/// For each value of the first two bytes, and one more, the first row that has it or more; none if keys are not in order.
fn starts(keys: &[u8], key_width: usize) -> Option<Vec<u32>> {
    const VALUES: usize = 1 << 16;
    let rows = keys.chunks_exact(key_width);
    let count = u32::try_from(rows.len()).ok()?;
    let mut starts = Vec::with_capacity(VALUES + 1);
    let mut before: &[u8] = &[];
    for (row, key) in rows.enumerate() {
        if key <= before {
            return None;
        }
        before = key;
        let first = first_bytes(key);
        if starts.len() <= first {
            starts.resize(first + 1, row as u32);
        }
    }
    starts.resize(VALUES + 1, count);
    Some(starts)
}

fn read_block(file: &mut File, body: u64, block: Block) -> Result<Vec<u8>, String> {
    let length = file.metadata().map_err(|e| e.to_string())?.len();
    let end = body.checked_add(block.start).and_then(|start| start.checked_add(block.bytes));
    if end.is_none_or(|end| end > length) {
        return Err("the file is cut off".to_string());
    }
    file.seek(SeekFrom::Start(body + block.start)).map_err(|e| e.to_string())?;
    let mut bytes = vec![0; block.bytes as usize];
    file.read_exact(&mut bytes).map_err(|e| e.to_string())?;
    match crc32c::crc32c(&bytes) == block.crc {
        true => Ok(bytes),
        false => Err("the checksum is wrong".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import() -> Import {
        let keys = (0..100u32).map(|key| (3 * key).to_be_bytes().to_vec()).collect();
        let halves = (0..100).map(|row| f64::from(row) / 2.0).collect();
        let thirds = (0..100).map(|row| f64::from(row) / 3.0).collect();
        Import { benchmark: "test".into(), keys, columns: vec![("halves".into(), halves), ("thirds".into(), thirds)] }
    }

    #[test]
    fn what_is_written_is_read_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/test.table");
        import().write(&path).unwrap();
        let cache = Cache::open(&path, "test").unwrap();
        let (halves, thirds) = (cache.column("halves").unwrap(), cache.column("thirds").unwrap());
        for row in 0..100 {
            assert_eq!(cache.find(&(3 * row as u32).to_be_bytes()), Some(row));
            assert_eq!(cache.find(&(3 * row as u32 + 1).to_be_bytes()), None);
            let numbers = (cache.number(halves, row).unwrap(), cache.number(thirds, row).unwrap());
            assert_eq!(numbers, (row as f64 / 2.0, row as f64 / 3.0));
        }
        assert!(Cache::open(&path, "other").unwrap_err().to_string().contains("holds `test`"));
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing temporary is left");
    }

    #[test]
    fn a_damaged_file_is_refused_wherever_the_damage_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.table");
        import().write(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let is_good = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let cache = Cache::open(&path, "test")?;
            (0..2).try_for_each(|column| cache.number(column, 0).map(drop))
        };
        assert!(is_good(&whole).is_ok());
        for at in (0..whole.len()).step_by(7) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            assert!(is_good(&damaged).is_err(), "byte {at}");
            assert!(is_good(&whole[..at]).is_err(), "cut at {at}");
        }
    }
}
