//! One field, and short ones as numbers.

/// A field, and the text that it stands in.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'t> {
    text: &'t [u8],
    start: usize,
    end: usize,
}

/// The bytes of a short field in one number: the first is the lowest, and behind the last there are zeroes. So each of its bytes is looked
/// at in the same instructions, whatever their count is: a loop over them ends where the processor did not expect it.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// The bytes.
    pub bytes: u64,
    /// How many they are, up to eight.
    pub length: u32,
}

impl<'t> Cell<'t> {
    /// The field from `start` to `end`, which does not lie behind the end of the text.
    #[inline]
    pub fn new(text: &'t [u8], start: usize, end: usize) -> Self {
        Self { text, start, end }
    }

    /// A field that is a text of its own.
    pub fn whole(text: &'t [u8]) -> Self {
        Self { text, start: 0, end: text.len() }
    }

    /// Its bytes.
    #[inline]
    pub fn bytes(self) -> &'t [u8] {
        &self.text[self.start..self.end]
    }

    /// Its bytes in a number, if they are few enough.
    #[inline]
    pub fn word(self) -> Option<Word> {
        const BYTES: usize = size_of::<u64>();
        let length = self.end - self.start;
        if length > BYTES {
            return None;
        }
        let bytes = match self.text[self.start..].first_chunk() {
            // What follows the field is cut off.
            Some(bytes) => {
                u64::from_le_bytes(*bytes) & u64::MAX.checked_shr(u64::BITS - 8 * length as u32).unwrap_or(0)
            }
            None => {
                let mut bytes = [0; BYTES];
                bytes[..length].copy_from_slice(self.bytes());
                u64::from_le_bytes(bytes)
            }
        };
        Some(Word { bytes, length: length as u32 })
    }
}

impl Word {
    /// A number that no other field has; nothing if eight bytes leave no room for their count.
    #[inline]
    pub fn tagged(self) -> Option<u64> {
        (self.length < 8).then_some(self.bytes | u64::from(self.length) << 56)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_holds_the_field_and_nothing_else() {
        let text = b"abcdefghijklmnop";
        for start in 0..=text.len() {
            for end in start..=text.len() {
                let cell = Cell::new(text, start, end);
                let word = cell.word();
                assert_eq!(word.is_some(), end - start <= 8);
                let Some(Word { bytes, length }) = word else { continue };
                assert_eq!(&bytes.to_le_bytes()[..length as usize], cell.bytes());
                assert!(bytes.to_le_bytes()[length as usize..].iter().all(|byte| *byte == 0));
            }
        }
    }

    #[test]
    fn every_short_text_has_a_number_of_its_own() {
        let mut texts: Vec<Vec<u8>> = vec![Vec::new()];
        for length in 1..8 {
            for place in 0..length {
                for byte in [0, 1, b'a', 0xff] {
                    let mut text = vec![b'a'; length];
                    text[place] = byte;
                    texts.push(text);
                }
            }
        }
        texts.sort();
        texts.dedup();
        let tagged = |text: &[u8]| Cell::whole(text).word().and_then(Word::tagged);
        let mut numbers: Vec<u64> = texts.iter().filter_map(|text| tagged(text)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), texts.len());
        assert_eq!(tagged(b"eight by"), None);
    }
}
