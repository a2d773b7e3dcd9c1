//! Takes what was written off the front of words that nobody vouches for.

use super::{Head, Lead};

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record in the ring is malformed: {0}")]
pub struct Malformed(pub &'static str);

/// The words that are left.
pub struct Reader<'a>(pub &'a [u64]);

impl<'a> Reader<'a> {
    #[inline]
    pub fn word(&mut self) -> Result<u64, Malformed> {
        let (word, rest) = self.0.split_first().ok_or(Malformed("it ends too early"))?;
        self.0 = rest;
        Ok(*word)
    }

    #[inline]
    pub fn lead(&mut self) -> Result<Lead, Malformed> {
        Ok(Lead::read(self.word()?))
    }

    /// Two numbers of one word.
    #[inline]
    pub fn pair(&mut self) -> Result<[u32; 2], Malformed> {
        let word = self.word()?;
        Ok([word, word >> 32].map(|number| (number & u64::from(u32::MAX)) as u32))
    }

    #[inline]
    pub fn head(&mut self) -> Result<Head, Malformed> {
        Ok(Head { token: self.word()?, messages: self.word()? })
    }

    /// So many bytes, out of as many words as they take.
    #[inline]
    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let words = length.div_ceil(size_of::<u64>());
        let (taken, rest) = self.0.split_at_checked(words).ok_or(Malformed("it ends too early"))?;
        self.0 = rest;
        Ok(&bytes_of(taken)[..length])
    }

    #[inline]
    pub fn text(&mut self, length: usize) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes(length)?).map_err(|_| Malformed("a text is not UTF-8"))
    }
}

/// The bytes of words, as they lie in memory.
#[inline]
fn bytes_of(words: &[u64]) -> &[u8] {
    // SAFETY: the slice is `size_of_val` bytes long, all of them initialised, and borrowed for as long as what is given; each byte is a
    // valid `u8`, which needs no alignment.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) }
}

/// Reads one thing off the front of `words`; after a malformed one there are no more.
#[inline]
pub fn take_one<'a, T>(
    words: &mut &'a [u64],
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, Malformed>,
) -> Option<Result<T, Malformed>> {
    if words.is_empty() {
        return None;
    }
    let mut reader = Reader(words);
    let result = read(&mut reader);
    *words = if result.is_ok() { reader.0 } else { &[] };
    Some(result)
}
