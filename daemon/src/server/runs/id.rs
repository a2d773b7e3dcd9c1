//! Ids of runs: the moment they were accepted, readable and in order.
#![forbid(unsafe_code)]

/// The id of a run that was accepted at this moment: `2026-11-22T10.11.12.123Z`.
pub fn of_time(unix_us: i64) -> String {
    let ms = unix_us.div_euclid(1000);
    let (days, ms_of_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let seconds = ms_of_day / 1000;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}.{:02}.{:02}.{:03}Z",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        ms_of_day % 1000
    )
}

/// The `n`-th id of one moment, counted from 1: the first has no suffix.
pub fn with_suffix(id: &str, n: u32) -> String {
    if n <= 1 { id.to_owned() } else { format!("{id}-{n}") }
}

/// Says whether a client may choose this id: it appears in URLs, file names and log lines.
pub fn is_valid(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=100).contains(&id.len()) && id.bytes().all(allowed) && !id.bytes().all(|byte| byte == b'.')
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    // Years are counted from March, so that a leap day is the last day of its year; 400 years have 146,097 days.
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_utc() {
        assert_eq!(of_time(0), "1970-01-01T00.00.00.000Z");
        assert_eq!(of_time(951_782_400_000_000), "2000-02-29T00.00.00.000Z");
        assert_eq!(of_time(1_709_251_199_999_999), "2024-02-29T23.59.59.999Z");
        assert_eq!(of_time(1_795_342_272_123_456), "2026-11-22T10.11.12.123Z");
        assert_eq!(of_time(-1), "1969-12-31T23.59.59.999Z");
        assert_eq!(with_suffix("a", 1), "a");
        assert_eq!(with_suffix("a", 2), "a-2");
    }

    #[test]
    fn ids_must_be_harmless() {
        assert!(is_valid("2026-11-22T10.11.12.123Z") && is_valid("a_b"));
        for id in ["", "..", "a/b", "a b", "ü", &"x".repeat(101)] {
            assert!(!is_valid(id), "{id}");
        }
    }
}
