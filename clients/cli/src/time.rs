//! Times as RFC 3339 text, in UTC, to the millisecond.

/// The years that RFC 3339 can write.
const RANGE_MS: (i64, i64) = (-62_167_219_200_000, 253_402_300_799_999);

/// Milliseconds since the Unix epoch as `2026-11-21T09:08:35.120Z`.
pub fn rfc3339(milliseconds: i64) -> String {
    let milliseconds = milliseconds.clamp(RANGE_MS.0, RANGE_MS.1);
    let (days, rest) = (milliseconds.div_euclid(86_400_000), milliseconds.rem_euclid(86_400_000));
    let (year, month, day) = date(days);
    let (hours, minutes, seconds) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", rest % 1_000)
}

/// The date so many days after 1970-01-01: walks over years and months, which is fast enough to be read by people.
fn date(days: i64) -> (i64, usize, i64) {
    // 400 years have always the same number of days, so begin at the last of those before.
    const DAYS_OF_400_YEARS: i64 = 146_097;
    let mut year = 1970 + 400 * days.div_euclid(DAYS_OF_400_YEARS);
    let mut days = days.rem_euclid(DAYS_OF_400_YEARS);
    let is_leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    while days >= 365 + i64::from(is_leap(year)) {
        days -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + i64::from(is_leap(year));
    let mut month = 0;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        month += 1;
        if days < length {
            break;
        }
        days -= length;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (milliseconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_252_115_120, "2026-11-21T09:08:35.120Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (i64::MAX, "9999-12-31T23:59:59.999Z"),
            (i64::MIN, "0000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(milliseconds), text);
        }
    }
}
