//! Quantities with their units: bytes, multiply-accumulates, hertz, milliseconds.
//!
//! A profile says `320 KiB`, `15 M`, `216 MHz`, `50 ms`; here the text becomes a number that cannot be mistaken for
//! another one, and goes back to text that a person can read.

use std::fmt;
use std::str::FromStr;

/// A text that is not a quantity of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}\nhint: write a number and a unit, for example `{example}`")]
pub struct UnitError {
    text: String,
    expected: &'static str,
    example: &'static str,
}

/// What tells one quantity from another when it is parsed.
struct Kind {
    expected: &'static str,
    example: &'static str,
    /// Unit and the factor to the base unit; the empty unit stands for a bare number.
    units: &'static [(&'static str, f64)],
}

const BYTES: Kind = Kind {
    expected: "a number of bytes",
    example: "320 KiB",
    units: &[
        ("", 1.0),
        ("B", 1.0),
        ("kB", 1e3),
        ("KB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("KiB", 1024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
    ],
};
const MACS: Kind = Kind {
    expected: "a number of multiply-accumulates",
    example: "15 M",
    units: &[("", 1.0), ("k", 1e3), ("K", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12)],
};
const HERTZ: Kind = Kind {
    expected: "a frequency",
    example: "216 MHz",
    units: &[("Hz", 1.0), ("kHz", 1e3), ("MHz", 1e6), ("GHz", 1e9)],
};
const MILLIS: Kind = Kind {
    expected: "a duration",
    example: "20 ms",
    units: &[("us", 1e-3), ("µs", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 6e4), ("min", 6e4), ("h", 3.6e6)],
};

impl Kind {
    fn parse(&self, text: &str) -> Result<f64, UnitError> {
        let wrong = || UnitError { text: text.to_string(), expected: self.expected, example: self.example };
        let trimmed = text.trim();
        let digits = trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(digits);
        let number: f64 = number.replace('_', "").parse().map_err(|_| wrong())?;
        let unit = unit.trim();
        let (_, factor) = self.units.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        Ok(number * factor)
    }
}

/// Three significant digits, without a trailing `.0`.
fn short(value: f64) -> String {
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text,
    }
}

fn scaled(value: f64, steps: &[(f64, &str)]) -> String {
    let (factor, unit) = steps.iter().rev().find(|(factor, _)| value >= *factor).unwrap_or(&steps[0]);
    format!("{} {unit}", short(value / factor)).trim_end().to_string()
}

macro_rules! whole_quantity {
    ($(#[$doc:meta])* $name:ident, $kind:expr, $steps:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        impl FromStr for $name {
            type Err = UnitError;
            fn from_str(text: &str) -> Result<Self, UnitError> {
                $kind.parse(text).map(|v| $name(v.round() as u64))
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&scaled(self.0 as f64, $steps))
            }
        }
    };
}

whole_quantity!(
    /// Memory, in bytes. Printed in KiB and MiB.
    Bytes,
    BYTES,
    &[(1.0, "B"), (1024.0, "KiB"), (1_048_576.0, "MiB"), (1_073_741_824.0, "GiB")]
);
whole_quantity!(
    /// Multiply-accumulate operations. Printed in thousands, millions and so on.
    Macs,
    MACS,
    &[(1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G")]
);
whole_quantity!(
    /// A clock frequency, in hertz.
    Hertz,
    HERTZ,
    &[(1.0, "Hz"), (1e3, "kHz"), (1e6, "MHz"), (1e9, "GHz")]
);

/// A duration, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Millis(pub f64);

impl Millis {
    /// The same duration for the standard library.
    pub fn duration(self) -> std::time::Duration {
        std::time::Duration::from_secs_f64(self.0.max(0.0) / 1e3)
    }
}

impl From<std::time::Duration> for Millis {
    fn from(duration: std::time::Duration) -> Self {
        Millis(duration.as_secs_f64() * 1e3)
    }
}

impl FromStr for Millis {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        MILLIS.parse(text).map(Millis)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = &[(1e-3, "µs"), (1.0, "ms"), (1e3, "s"), (6e4, "min"), (3.6e6, "h")];
        f.pad(&scaled(self.0, steps))
    }
}

/// Reads and writes a quantity as its text in serde formats; what three digits cannot say is written in the base unit.
macro_rules! as_text {
    ($name:ident, $base:literal) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                match self.to_string() {
                    short if short.parse() == Ok(*self) => s.serialize_str(&short),
                    _ => s.serialize_str(format!("{} {}", self.0, $base).trim_end()),
                }
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(d)?;
                // YAML readers print a message on one line.
                text.parse().map_err(|e: UnitError| serde::de::Error::custom(e.to_string().replace('\n', "; ")))
            }
        }
    };
}
as_text!(Bytes, "B");
as_text!(Macs, "");
as_text!(Hertz, "Hz");
as_text!(Millis, "ms");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_parse_with_their_units() {
        assert_eq!("320 KiB".parse(), Ok(Bytes(327_680)));
        assert_eq!("1.5MiB".parse(), Ok(Bytes(1_572_864)));
        assert_eq!("15 M".parse(), Ok(Macs(15_000_000)));
        assert_eq!("216 MHz".parse(), Ok(Hertz(216_000_000)));
        assert_eq!("20 ms".parse(), Ok(Millis(20.0)));
        assert_eq!("10m".parse(), Ok(Millis(600_000.0)));
    }

    #[test]
    fn a_wrong_unit_is_named_with_an_example() {
        let error = "20 parsecs".parse::<Millis>().unwrap_err().to_string();
        assert_eq!(error, "`20 parsecs` is not a duration\nhint: write a number and a unit, for example `20 ms`");
        assert!("-3 KiB".parse::<Bytes>().is_err());
        assert!("20".parse::<Millis>().is_err(), "a duration needs its unit");
    }

    #[test]
    fn a_quantity_is_exactly_the_same_after_writing_and_reading() {
        let written = |bytes: u64| serde_json::to_string(&Bytes(bytes)).unwrap();
        assert_eq!((written(524_288), written(500_001)), ("\"512 KiB\"".into(), "\"500001 B\"".into()));
        let macs = Macs(14_461_696);
        assert_eq!(serde_json::from_str::<Macs>(&serde_json::to_string(&macs).unwrap()).unwrap(), macs);
        let time = Millis(12.3456);
        assert_eq!(serde_json::from_str::<Millis>(&serde_json::to_string(&time).unwrap()).unwrap(), time);
    }

    #[test]
    fn quantities_print_with_three_digits() {
        assert_eq!(Bytes(131_072).to_string(), "128 KiB");
        assert_eq!(Macs(14_461_696).to_string(), "14.5 M");
        assert_eq!(Millis(0.0421).to_string(), "42.1 µs");
        assert_eq!(Bytes(0).to_string(), "0 B");
    }
}
