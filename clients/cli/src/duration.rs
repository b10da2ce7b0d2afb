//! How times are written on the command line.

use std::time::Duration;

/// Reads `500ms`, `10s`, `2m`, `1h`, or a number of seconds.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let milliseconds_each = match &text[digits.len()..] {
        "ms" => 1,
        "s" | "" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        unit => return Err(format!("`{unit}` is no unit of time: use ms, s, m or h")),
    };
    let number: u64 = digits.parse().map_err(|_| format!("`{text}` is no time: write 500ms, 10s or 2m"))?;
    match number.checked_mul(milliseconds_each) {
        None => Err(format!("`{text}` is too long")),
        Some(0) => Err("a time must be longer than nothing".to_owned()),
        Some(milliseconds) => Ok(Duration::from_millis(milliseconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, milliseconds) in [("500ms", 500), ("10s", 10_000), ("3", 3_000), ("2m", 120_000), ("1h", 3_600_000)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for wrong in ["", "s", "-1s", "1.5s", "1d", "0", "99999999999999999h"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
