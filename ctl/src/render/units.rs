//! Durations, sizes and times, as people read them.

/// Writes a duration given in microseconds, with three digits that count.
pub fn duration(us: i64) -> String {
    let us = us.max(0);
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{}.{:01} ms", us / 1_000, us % 1_000 / 100),
        10_000..1_000_000 => format!("{} ms", us / 1_000),
        1_000_000..60_000_000 => format!("{}.{:02} s", us / 1_000_000, us % 1_000_000 / 10_000),
        60_000_000..3_600_000_000 => format!("{} min {:02} s", us / 60_000_000, us / 1_000_000 % 60),
        _ => format!("{} h {:02} min", us / 3_600_000_000, us / 60_000_000 % 60),
    }
}

/// Writes a size in bytes.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Writes a time given in microseconds since the Unix epoch: `2026-11-22 22:34:38Z`. UTC, so that what two people see
/// of one run is the same.
pub fn date_time(us: i64) -> String {
    let seconds = us.div_euclid(1_000_000);
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    format!("{year:04}-{month:02}-{day:02} {}Z", clock(seconds))
}

/// Writes the time of day with milliseconds: `22:34:38.125`, UTC.
pub fn time_of_day(us: i64) -> String {
    let milliseconds = us.rem_euclid(1_000_000) / 1_000;
    format!("{}.{milliseconds:03}", clock(us.div_euclid(1_000_000)))
}

/// Writes a number and its noun: `1 node`, `3 nodes`.
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

fn clock(seconds: i64) -> String {
    let of_day = seconds.rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", of_day / 3_600, of_day / 60 % 60, of_day % 60)
}

/// Year, month and day of a day counted from 1970-01-01. Years are counted from March, so that the day that comes and
/// goes is the last of its year.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468; // from 0000-03-01
    let era = days.div_euclid(146_097); // 400 years
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153; // from March
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let shown: Vec<String> = [0, 999, 1_234, 12_345, 999_999, 1_234_567, 61_000_000, 3_660_000_000, -5]
            .into_iter()
            .map(duration)
            .collect();
        assert_eq!(
            shown,
            ["0 µs", "999 µs", "1.2 ms", "12 ms", "999 ms", "1.23 s", "1 min 01 s", "1 h 01 min", "0 µs"]
        );
    }

    #[test]
    fn sizes() {
        let shown: Vec<String> =
            [0, 1023, 1024, 1536, 1024 * 1024 - 1, 1 << 30, u64::MAX].into_iter().map(size).collect();
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "1.0 GiB", "16384.0 PiB"]);
    }

    #[test]
    fn times() {
        assert_eq!(date_time(0), "1970-01-01 00:00:00Z");
        assert_eq!(date_time(1_709_164_799_000_000), "2024-02-28 23:59:59Z");
        assert_eq!(date_time(1_709_164_800_000_000), "2024-02-29 00:00:00Z");
        assert_eq!(date_time(1_735_689_600_000_000), "2025-01-01 00:00:00Z");
        assert_eq!(date_time(-1), "1969-12-31 23:59:59Z");
        assert_eq!(time_of_day(3_723_004_999), "01:02:03.004");
    }

    #[test]
    fn nouns_agree() {
        assert_eq!([count(0, "node"), count(1, "node"), count(2, "node")], ["0 nodes", "1 node", "2 nodes"]);
    }
}
