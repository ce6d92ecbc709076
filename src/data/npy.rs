//! One NumPy array: its header and its values, in the order of C.

use std::io::Read;

use npyz::{DType, Endianness, NpyHeader, Order, TypeChar};

use super::source::read_exactly;

/// Header and dimensions of an ordinary array need far less; a parser of nested text should not be fed more.
const LONGEST_HEADER: usize = 1024;

/// An array. Values are in the order of C: the last dimension changes first.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Array {
    pub dims: Vec<usize>,
    pub values: Values,
}

/// Values of an array, as few kinds as images and labels need.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Values {
    /// Unsigned bytes.
    Bytes(Vec<u8>),
    /// All other whole numbers; booleans are 0 and 1.
    Ints(Vec<i64>),
    /// Numbers of 32 or 64 bits with a fraction.
    Floats(Vec<f32>),
}

impl Array {
    /// Reads an array that takes `packed` bytes of a file.
    pub fn read(mut reader: impl Read, packed: usize) -> Result<Self, String> {
        let header = read_header(&mut reader)?;
        let DType::Plain(kind) = header.dtype() else {
            return Err("is an array of records, expected numbers".into());
        };
        let size = kind.num_bytes().filter(|size| (1..=8).contains(size));
        let size = size.ok_or_else(|| format!("has values of type `{kind}`, expected numbers"))?;
        let dims: Vec<u64> = header.shape().to_vec();
        let values = dims.iter().try_fold(1u64, |n, d| n.checked_mul(*d));
        let bytes = values.filter(|n| *n > 0).and_then(|n| n.checked_mul(size as u64));
        let bytes = bytes.ok_or_else(|| format!("claims dimensions {dims:?}"))?;
        let bytes = read_exactly(reader, bytes, packed)?;
        let big = kind.endianness() == Endianness::Big;
        let values = Values::of(bytes, kind.type_char(), size, big)
            .ok_or_else(|| format!("has values of type `{kind}`, expected integers, f4 or f8"))?;
        // They are at most as many as the values.
        let dims: Vec<usize> = dims.iter().map(|d| *d as usize).collect();
        let values = if header.order() == Order::Fortran { values.transposed(&dims) } else { values };
        Ok(Array { dims, values })
    }
}

/// Reads the header, after a look at its length.
fn read_header(reader: &mut impl Read) -> Result<NpyHeader, String> {
    let mut start = [0; 12];
    let failed = |e: std::io::Error| format!("is no NumPy array: {e}");
    reader.read_exact(&mut start[..10]).map_err(failed)?;
    if !start.starts_with(b"\x93NUMPY") {
        return Err("is no NumPy array".into());
    }
    let mut before = 10;
    let mut length = usize::from(u16::from_le_bytes([start[8], start[9]]));
    if start[6] > 1 {
        reader.read_exact(&mut start[10..]).map_err(failed)?;
        before = 12;
        length = u32::from_le_bytes([start[8], start[9], start[10], start[11]]) as usize;
    }
    if length > LONGEST_HEADER {
        return Err(format!("has a header of {length} bytes, the limit is {LONGEST_HEADER}"));
    }
    let mut header = start[..before].to_vec();
    reader.take(length as u64).read_to_end(&mut header).map_err(failed)?;
    // What the strides are computed from must not overflow.
    NpyHeader::from_reader(header.as_slice()).map_err(failed)
}

impl Values {
    fn of(bytes: Vec<u8>, kind: TypeChar, size: usize, big: bool) -> Option<Self> {
        let values = match (kind, size) {
            (TypeChar::Uint, 1) => Values::Bytes(bytes),
            (TypeChar::Bool, 1) => Values::Ints(bytes.iter().map(|b| i64::from(*b != 0)).collect()),
            (TypeChar::Int, 1) => Values::Ints(bytes.iter().map(|b| i64::from(*b as i8)).collect()),
            (TypeChar::Int, 2) => Values::Ints(numbers(&bytes, big, |b| i16::from_le_bytes(b).into())),
            (TypeChar::Uint, 2) => Values::Ints(numbers(&bytes, big, |b| u16::from_le_bytes(b).into())),
            (TypeChar::Int, 4) => Values::Ints(numbers(&bytes, big, |b| i32::from_le_bytes(b).into())),
            (TypeChar::Uint, 4) => Values::Ints(numbers(&bytes, big, |b| u32::from_le_bytes(b).into())),
            (TypeChar::Int, 8) => Values::Ints(numbers(&bytes, big, i64::from_le_bytes)),
            // Nothing that is a pixel or a label comes near the limit.
            (TypeChar::Uint, 8) => {
                Values::Ints(numbers(&bytes, big, |b| u64::from_le_bytes(b).try_into().unwrap_or(i64::MAX)))
            }
            (TypeChar::Float, 4) => Values::Floats(numbers(&bytes, big, f32::from_le_bytes)),
            (TypeChar::Float, 8) => Values::Floats(numbers(&bytes, big, |b| f64::from_le_bytes(b) as f32)),
            _ => return None,
        };
        Some(values)
    }

    /// From the order of Fortran, in which the first dimension changes first.
    fn transposed(self, dims: &[usize]) -> Self {
        match self {
            Values::Bytes(values) => Values::Bytes(transposed(&values, dims)),
            Values::Ints(values) => Values::Ints(transposed(&values, dims)),
            Values::Floats(values) => Values::Floats(transposed(&values, dims)),
        }
    }
}

fn numbers<T, const N: usize>(bytes: &[u8], big: bool, convert: impl Fn([u8; N]) -> T) -> Vec<T> {
    let number = |chunk: &[u8; N]| {
        let mut chunk = *chunk;
        if big {
            chunk.reverse();
        }
        convert(chunk)
    };
    bytes.as_chunks().0.iter().map(number).collect()
}

fn transposed<T: Copy>(values: &[T], dims: &[usize]) -> Vec<T> {
    let strides: Vec<usize> = dims.iter().scan(1, |stride, d| Some(std::mem::replace(stride, *stride * d))).collect();
    let mut place = vec![0; dims.len()];
    let mut from = 0;
    let mut out = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        out.push(values[from]);
        // Counts on from the last dimension, like the digits of a number.
        for axis in (0..dims.len()).rev() {
            place[axis] += 1;
            from += strides[axis];
            if place[axis] < dims[axis] {
                break;
            }
            from -= strides[axis] * dims[axis];
            place[axis] = 0;
        }
    }
    out
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The bytes of an array, as NumPy writes them.
    pub fn npy(kind: &str, fortran: bool, dims: &[usize], values: &[u8]) -> Vec<u8> {
        let fortran = if fortran { "True" } else { "False" };
        let dims: String = dims.iter().map(|d| format!("{d}, ")).collect();
        let mut header = format!("{{'descr': '{kind}', 'fortran_order': {fortran}, 'shape': ({dims}), }}");
        while !(10 + header.len() + 1).is_multiple_of(64) {
            header.push(' ');
        }
        header.push('\n');
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\0".as_slice(), &length, header.as_bytes(), values].concat()
    }

    fn read(bytes: &[u8]) -> Result<Array, String> {
        Array::read(bytes, bytes.len())
    }

    #[test]
    fn every_kind_of_number_is_read_in_both_byte_orders() {
        for (kind, bytes, expected) in [
            ("|u1", vec![1, 200], Values::Bytes(vec![1, 200])),
            ("|i1", vec![1, 200], Values::Ints(vec![1, -56])),
            ("|b1", vec![0, 1], Values::Ints(vec![0, 1])),
            ("<i2", vec![1, 0, 255, 255], Values::Ints(vec![1, -1])),
            (">u2", vec![0, 1, 1, 0], Values::Ints(vec![1, 256])),
            (">i4", vec![0, 0, 0, 1, 255, 255, 255, 255], Values::Ints(vec![1, -1])),
            ("<i8", [2i64.to_le_bytes(), (-2i64).to_le_bytes()].concat(), Values::Ints(vec![2, -2])),
            (">f4", [0.5f32.to_be_bytes(), 2f32.to_be_bytes()].concat(), Values::Floats(vec![0.5, 2.0])),
            ("<f8", [0.5f64.to_le_bytes(), 2f64.to_le_bytes()].concat(), Values::Floats(vec![0.5, 2.0])),
        ] {
            assert_eq!(read(&npy(kind, false, &[2], &bytes)).unwrap().values, expected, "{kind}");
        }
    }

    #[test]
    fn the_order_of_fortran_becomes_that_of_c() {
        let array = read(&npy("|u1", true, &[2, 3, 2], &[0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11])).unwrap();
        assert_eq!(array, Array { dims: vec![2, 3, 2], values: Values::Bytes((0..12).collect()) });
    }

    #[test]
    fn what_is_no_array_of_numbers_is_refused() {
        let cases: [(&str, Vec<u8>); 7] = [
            ("is no NumPy array", b"something else".to_vec()),
            ("expected integers, f4 or f8", npy("|S3", false, &[1], b"abc")),
            ("expected numbers", npy("|O", false, &[1], b"pickle")),
            ("expected integers, f4 or f8", npy("<f2", false, &[1], &[0, 0])),
            ("has 3 of the 4 values", npy("|u1", false, &[4], &[1, 2, 3])),
            ("claims dimensions", npy("|u1", false, &[usize::MAX, 4], &[])),
            ("the limit is 1024", [b"\x93NUMPY\x02\0".as_slice(), &[255; 4], b"((((((("].concat()),
        ];
        for (expected, bytes) in cases {
            let error = read(&bytes).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let nested = format!("{}{}", "(".repeat(900), ")".repeat(100));
        let deep = [b"\x93NUMPY\x01\0".as_slice(), &1000u16.to_le_bytes(), nested.as_bytes()].concat();
        assert!(read(&deep).unwrap_err().contains("is no NumPy array"));
    }
}
