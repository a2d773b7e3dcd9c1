//! Long texts of the store, packed: what is synced while somebody waits is a page or four where it would be twenty.
//!
//! The text of a pipeline, and the report of a run of many nodes, say the same again and again: 80 KiB for a thousand nodes become 14 in
//! 40 us, and SQLite takes longer than that for each copy of them.

use lz4_flex::block;

/// What fits a page of the database with its row is left as it is.
const LONG_BYTES: usize = 2 << 10;

/// LZ4 gives at most so many bytes for one: what says that it is longer is damaged, and no memory is made ready for it.
const RATIO_MAX: usize = 255;
/// Nor for what is longer than any text of the store: a request has 64 MiB at most, and JSON makes six bytes of one at the worst.
const BYTES_MAX: usize = 512 << 20;

/// What stands in the two columns of a text: itself, if it is short; or nothing, and the text packed, its length before it.
pub(super) fn long(text: String) -> (String, Option<Vec<u8>>) {
    match (LONG_BYTES + 1..=BYTES_MAX).contains(&text.len()) {
        true => (String::new(), Some(block::compress_prepend_size(text.as_bytes()))),
        false => (text, None),
    }
}

/// The text that was packed; why not, if these bytes are damaged.
pub(super) fn unpack(packed: &[u8]) -> Result<String, String> {
    let (length, rest) = block::uncompressed_size(packed).map_err(|error| error.to_string())?;
    if length > rest.len().saturating_mul(RATIO_MAX).min(BYTES_MAX) {
        return Err(format!("{} packed bytes cannot be {length}", rest.len()));
    }
    let bytes = block::decompress(rest, length).map_err(|error| error.to_string())?;
    if bytes.len() != length {
        return Err(format!("they are {} bytes where {length} were packed", bytes.len()));
    }
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_text_is_packed_and_a_short_one_left() {
        let short = "a".repeat(LONG_BYTES);
        assert_eq!(long(short.clone()), (short, None));
        let text = "[[node]]\ncall = \"numbers::add\"\n".repeat(1_000);
        let (nothing, packed) = long(text.clone());
        let packed = packed.unwrap();
        assert!(nothing.is_empty() && packed.len() * 20 < text.len(), "{} bytes", packed.len());
        assert_eq!(unpack(&packed).unwrap(), text);
    }

    #[test]
    fn bytes_that_are_damaged_are_told_and_no_memory_is_taken_for_them() {
        let mut packed = long("pipeline ".repeat(1_000)).1.unwrap();
        packed[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(unpack(&packed).unwrap_err().contains("cannot be 4294967295"));
        let mut packed = long("pipeline ".repeat(1_000)).1.unwrap();
        packed[..4].copy_from_slice(&9_001_u32.to_le_bytes());
        assert_eq!(unpack(&packed).unwrap_err(), "they are 9000 bytes where 9001 were packed");
        assert!(unpack(&[]).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_packed_comes_back(text in "\\PC{0,3000}") {
            let packed = block::compress_prepend_size(text.as_bytes());
            prop_assert_eq!(unpack(&packed).unwrap(), text);
        }

        #[test]
        fn no_bytes_are_too_foreign(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = unpack(&bytes);
        }
    }
}
