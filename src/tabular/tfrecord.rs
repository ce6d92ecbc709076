//! The record file of TensorFlow: length, its CRC, bytes, their CRC, again and again.

use std::io::{self, Read};

/// Longest record; those of NAS-Bench-101 have about a thousand bytes.
const LONGEST: u64 = 64 << 20;

/// Reads records one after the other.
pub(super) struct Records<R> {
    reader: R,
    buffer: Vec<u8>,
}

impl<R: Read> Records<R> {
    pub fn new(reader: R) -> Self {
        Records { reader, buffer: Vec::new() }
    }

    /// The next record, or nothing after the last.
    ///
    /// # Errors
    /// If it is cut off or a CRC is wrong.
    pub fn next(&mut self) -> Result<Option<&[u8]>, String> {
        let mut head = [0; 12];
        match self.fill(&mut head)? {
            0 => return Ok(None),
            12 => {}
            _ => return Err("the file is cut off in the length of the record".to_string()),
        }
        let (length, crc) = head.split_at(8);
        if masked(length) != u32_of(crc) {
            return Err("the CRC of the record's length is wrong".to_string());
        }
        let length = u64::from_le_bytes(length.try_into().expect("it has eight bytes"));
        if length > LONGEST {
            return Err(format!("a record of {length} bytes is longer than any"));
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(length as usize + 4, 0);
        let read = self.fill(&mut buffer)?;
        self.buffer = buffer;
        if read < self.buffer.len() {
            return Err(format!("the file is cut off after {read} of {} bytes of the record", self.buffer.len()));
        }
        let (data, crc) = self.buffer.split_at(length as usize);
        match masked(data) == u32_of(crc) {
            true => Ok(Some(data)),
            false => Err("the CRC of the record's bytes is wrong".to_string()),
        }
    }

    /// Reads until the buffer is full or the file ends; gives how much was read.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, String> {
        let mut read = 0;
        while read < buffer.len() {
            match self.reader.read(&mut buffer[read..]) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(read)
    }
}

/// The CRC as it is stored: rotated and shifted, so that a CRC of what holds CRCs is not weak.
pub(super) fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn u32_of(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("it has four bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record of `abc`, its CRCs computed bit by bit in Python from the published polynomial.
    const ABC: [u8; 19] = *b"\x03\0\0\0\0\0\0\0\xb0\x99I\x0eabcnW\xf1!";

    #[test]
    fn a_record_written_elsewhere_is_read() {
        let file = [ABC, ABC].concat();
        let mut records = Records::new(file.as_slice());
        assert_eq!(records.next(), Ok(Some(b"abc".as_slice())));
        assert_eq!(records.next(), Ok(Some(b"abc".as_slice())));
        assert_eq!(records.next(), Ok(None));
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_an_error() {
        for at in 1..ABC.len() {
            assert!(Records::new(&ABC[..at]).next().unwrap_err().contains("cut off"), "{at}");
        }
        for at in 0..ABC.len() {
            let mut damaged = ABC;
            damaged[at] ^= 4;
            assert!(Records::new(damaged.as_slice()).next().unwrap_err().contains("CRC"), "{at}");
        }
    }
}
