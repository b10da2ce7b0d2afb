//! Times as RFC 3339 text, in UTC, to the millisecond.

use std::fmt;

use serde::{Serialize, Serializer};

const DAY_MS: i64 = 86_400_000;
/// The days from 0000-03-01 to 1970-01-01 of the proleptic Gregorian calendar.
const EPOCH_DAYS: i64 = 719_468;
/// The days of 400 years, after which the calendar repeats.
const ERA_DAYS: i64 = 146_097;
/// RFC 3339 writes years with four digits: times outside of them are shown as the nearest one inside.
const RANGE_MS: (i64, i64) = (-62_167_219_200_000, 253_402_300_799_999);

/// Milliseconds since the Unix epoch, shown as `2026-11-21T09:08:35.120Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timestamp(pub(crate) i64);

impl Timestamp {
    fn text(self, buffer: &mut [u8; 24]) -> &str {
        let ms = self.0.clamp(RANGE_MS.0, RANGE_MS.1);
        let (year, month, day) = civil(ms.div_euclid(DAY_MS));
        let rest = ms.rem_euclid(DAY_MS);
        buffer.copy_from_slice(b"0000-00-00T00:00:00.000Z");
        let mut put = |at: usize, width: usize, mut number: i64| {
            for digit in buffer[at..at + width].iter_mut().rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
        };
        put(0, 4, year);
        put(5, 2, month);
        put(8, 2, day);
        put(11, 2, rest / 3_600_000);
        put(14, 2, rest / 60_000 % 60);
        put(17, 2, rest / 1_000 % 60);
        put(20, 3, rest % 1_000);
        std::str::from_utf8(buffer).expect("digits and punctuation are ASCII")
    }
}

/// The date that lies `days` after 1970-01-01. Years are counted from March, so that the leap day is a year's last
/// (the arithmetic is Howard Hinnant's, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH_DAYS;
    let era = days.div_euclid(ERA_DAYS);
    let day_of_era = days.rem_euclid(ERA_DAYS);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text(&mut [0; 24]))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text(&mut [0; 24]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_as_rfc_3339_has_it() {
        let check = |ms, expected: &str| assert_eq!(Timestamp(ms).to_string(), expected);
        check(0, "1970-01-01T00:00:00.000Z");
        check(-1, "1969-12-31T23:59:59.999Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(1_709_251_199_999, "2024-02-29T23:59:59.999Z");
        check(1_795_252_115_120, "2026-11-21T09:08:35.120Z");
        check(4_107_542_399_000, "2100-02-28T23:59:59.000Z");
        check(4_107_542_400_000, "2100-03-01T00:00:00.000Z");
        check(i64::MAX, "9999-12-31T23:59:59.999Z");
        check(i64::MIN, "0000-01-01T00:00:00.000Z");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut last = civil(-800_000);
        for days in -799_999..800_000 {
            let next = civil(days);
            let same_month = next.0 == last.0 && next.1 == last.1 && next.2 == last.2 + 1;
            let next_month = next.2 == 1 && last.2 >= 28 && (next.0 * 12 + next.1) == (last.0 * 12 + last.1) + 1;
            assert!(same_month || next_month, "{last:?} {next:?}");
            last = next;
        }
    }
}
