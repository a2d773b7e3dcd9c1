//! Numbers out of text, without going through `String`.

use super::cell::Word;

/// Reads an integer; `None` if it is none or needs more than 64 bits.
pub fn integer(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    // Up to 18 digits cannot overflow, so the common case needs no check per digit.
    if digits.len() <= 18 {
        let mut value = 0_i64;
        for &byte in digits {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            value = value * 10 + i64::from(digit);
        }
        return Some(if is_negative { -value } else { value });
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Reads an integer of up to eight bytes, all digits at once (after D. Lemire, "Quickly parsing eight digits", 2018); `None` says that
/// it is none, or has a plus sign.
#[inline]
pub fn short_integer(Word { bytes, length }: Word) -> Option<i64> {
    /// So much in each of the eight bytes.
    const fn each(byte: u8) -> u64 {
        u64::from_le_bytes([byte; 8])
    }
    let is_negative = bytes.to_le_bytes()[0] == b'-';
    let (digits, count) = (bytes >> (8 * u32::from(is_negative)), length - u32::from(is_negative));
    if count == 0 {
        return None;
    }
    // The last digit in the highest byte, and zeroes before the first.
    let unused = u64::BITS - 8 * count;
    let digits = (digits ^ (each(b'0') >> unused)) << unused;
    if (digits.wrapping_add(each(0x7f - 9)) | digits) & each(0x80) != 0 {
        return None;
    }
    // Neighbours are put together: to numbers of two digits, of four, of eight.
    let pairs = digits.wrapping_mul(10 << 8 | 1) >> 8 & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100 << 16 | 1) >> 16 & 0x0000_ffff_0000_ffff;
    let value = (fours.wrapping_mul(10_000 << 32 | 1) >> 32) as i64;
    Some(if is_negative { -value } else { value })
}

/// Reads an unsigned integer.
#[inline]
pub fn unsigned(text: &[u8]) -> Option<u64> {
    match integer(text) {
        Some(value) => u64::try_from(value).ok(),
        None => std::str::from_utf8(text).ok()?.parse().ok(),
    }
}

/// Reads a float.
#[inline]
pub fn float(text: &[u8]) -> Option<f64> {
    // Plain integers and short decimals, which most files are full of, are exact as a quotient of two integers below 2^53.
    exact_decimal(text).or_else(|| std::str::from_utf8(text).ok()?.parse().ok())
}

/// Reads `[-]digits[.digits]` of at most 15 digits: both the digits and the power of ten are exact floats, so that their
/// quotient is the correctly rounded value (W. D. Clinger, "How to read floating point numbers accurately", 1990).
#[inline]
fn exact_decimal(text: &[u8]) -> Option<f64> {
    const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1.0, digits),
        digits => (1.0, digits),
    };
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    let (mut value, mut count, mut point) = (0_u64, 0, None);
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            value = value * 10 + u64::from(digit);
            count += 1;
        } else if byte == b'.' && point.is_none() {
            point = Some(count);
        } else {
            return None;
        }
    }
    if count == 0 || count > 15 {
        return None;
    }
    let decimals = count - point.unwrap_or(count);
    Some(sign * (value as f64 / POWERS[decimals]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csv::cell::Cell;

    #[test]
    fn reads_integers() {
        for value in [0, 7, -7, 336_776, i64::MAX, i64::MIN] {
            assert_eq!(integer(value.to_string().as_bytes()), Some(value));
        }
        for text in ["", "-", "1.0", "1 ", "x", "9223372036854775808", "999999999999999999999"] {
            assert_eq!(integer(text.as_bytes()), None, "{text}");
        }
        assert_eq!(unsigned(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(unsigned(b"-1"), None);
    }

    #[test]
    fn short_integers_are_read_as_the_long_ones() {
        let short = |text: &[u8]| short_integer(Cell::whole(text).word().expect("a short one"));
        let numbers = (0..100_000).chain(9_999_990..10_000_010).chain([99_999_999]);
        for text in numbers.flat_map(|number| [format!("{number}"), format!("-{}", number % 10_000_000)]) {
            assert_eq!(short(text.as_bytes()), integer(text.as_bytes()), "{text}");
        }
        for text in ["007", "-0", "-00", "0", "-9", "00000000"] {
            assert_eq!(short(text.as_bytes()), integer(text.as_bytes()), "{text}");
        }
        // Every byte in every place of numbers of every length.
        for length in 1..=8 {
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'7'; length];
                    text[place] = byte;
                    let expected = if byte == b'+' { None } else { integer(&text) };
                    assert_eq!(short(&text), expected, "{:?}", String::from_utf8_lossy(&text));
                }
            }
        }
        assert_eq!([short(b""), short(b"-"), short(b"--1"), short(b"-+1")], [None; 4]);
    }

    #[test]
    fn reads_floats_as_the_standard_library_does() {
        for text in [
            "0",
            "-0",
            "10.357019999999999",
            "0.1",
            "-59.37",
            "1012.3",
            "8.05546",
            ".5",
            "5.",
            "1e9",
            "inf",
            "NaN",
            "123456789012345",
            "1234567890123456",
            "0.000000000000001",
            "39.02",
        ] {
            let expected: f64 = text.parse().expect(text);
            assert_eq!(float(text.as_bytes()).map(f64::to_bits), Some(expected.to_bits()), "{text}");
        }
        for text in ["", "-", ".", "1.2.3", "1,2", "x"] {
            assert_eq!(float(text.as_bytes()), None, "{text}");
        }
    }
}
