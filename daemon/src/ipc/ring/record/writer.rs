//! Writes words, one after the other.

/// What words are written to.
pub trait Writer {
    /// One more word.
    fn word(&mut self, word: u64);

    /// What is being written cannot be said in words.
    fn refuse(&mut self);

    /// Two numbers, in one word.
    #[inline]
    fn pair(&mut self, first: u32, second: u32) {
        self.word(u64::from(first) | u64::from(second) << 32);
    }

    /// Bytes, in as many words as they take; what is left of the last one is zero.
    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        let (whole, rest) = bytes.as_chunks();
        for word in whole {
            self.word(u64::from_ne_bytes(*word));
        }
        if !rest.is_empty() {
            // Put together in a register: a copy would be short stores, and a long load that has to wait for them.
            let word = rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            self.word(u64::from_le(word));
        }
    }

    /// A length or a port as a lead tells it; one that is too large is refused.
    #[inline]
    fn short(&mut self, number: impl TryInto<u16>) -> u16 {
        number.try_into().unwrap_or_else(|_| {
            self.refuse();
            0
        })
    }
}
