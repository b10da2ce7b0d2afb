//! `Size`: a number of bytes as people write it.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// Bytes: a plain number, or one with a unit of 1024s: `64MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

const UNITS: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let unit = UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)));
        let (digits, unit) = unit.unwrap_or((text, 1));
        let number: Option<u64> = digits.trim().parse().ok();
        number
            .and_then(|number| number.checked_mul(unit))
            .map(Size)
            .ok_or_else(|| format!("{text:?} is not a size: give bytes, or a number with KiB, MiB or GiB"))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
        struct SizeVisitor;

        impl Visitor<'_> for SizeVisitor {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes, or text like \"64MiB\"")
            }

            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<Size, E> {
                u64::try_from(bytes).map(Size).map_err(|_| E::custom("a size is not negative"))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(SizeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_units() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(text.parse().ok(), expected.map(Size), "{text}");
        check("0", Some(0));
        check("1048576", Some(1 << 20));
        check("64MiB", Some(64 << 20));
        check("1 GiB", Some(1 << 30));
        check("3KiB", Some(3 << 10));
        check("7B", Some(7));
        check("64MB", None);
        check("MiB", None);
        check("-1", None);
        check("99999999999GiB", None);
    }
}
