//! The first word of a record, and of each thing in it: what follows, and how long that is.

/// What a word says that comes before others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lead {
    /// What it is.
    pub kind: u8,
    /// The format of a block, as records number it.
    pub format: u8,
    /// A port, or how many follow.
    pub number: u16,
    /// Bytes of metadata.
    pub metadata: u16,
    /// Bytes of what follows the metadata.
    pub payload: u16,
}

impl Lead {
    /// A lead that says no more than what it is.
    #[inline]
    pub const fn of(kind: u8) -> Lead {
        Lead { kind, format: 0, number: 0, metadata: 0, payload: 0 }
    }

    /// As one word.
    #[inline]
    pub fn word(self) -> u64 {
        let Lead { kind, format, number, metadata, payload } = self;
        u64::from(kind)
            | u64::from(format) << 8
            | u64::from(number) << 16
            | u64::from(metadata) << 32
            | u64::from(payload) << 48
    }

    /// Out of one word; each is one.
    #[inline]
    pub fn read(word: u64) -> Lead {
        let [kind, format, number @ .., m0, m1, p0, p1] = word.to_le_bytes();
        Lead {
            kind,
            format,
            number: u16::from_le_bytes(number),
            metadata: u16::from_le_bytes([m0, m1]),
            payload: u16::from_le_bytes([p0, p1]),
        }
    }
}
