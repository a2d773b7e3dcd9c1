//! Blocks in a record: small ones with their bytes, larger ones by the segment they lie in.

use super::{Malformed, Reader, Record};
use crate::block::layout::Format;
use crate::ipc::message::SegmentPlace;

/// A small block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmallBlock<'a> {
    /// How to understand its payload.
    pub format: Format,
    /// A JSON object, or nothing.
    pub metadata: &'a str,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// A block in a segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PartBlock {
    /// How to understand its payload.
    pub format: Format,
    /// The segment; never a descriptor.
    pub place: SegmentPlace,
    /// Where the block begins there.
    pub offset: u64,
    /// How much it takes.
    pub size: u64,
}

/// Before a block in a segment of the worker's own.
pub const OWN_PART: u8 = 4;
/// And in one that it was told of.
pub const FOREIGN_PART: u8 = 5;

/// A format as records number it.
#[inline]
pub fn format_number(format: Format) -> u8 {
    let place = Format::ALL.iter().position(|known| *known == format).unwrap_or(0);
    u8::try_from(place).unwrap_or(0)
}

impl Record {
    pub(super) fn block(&mut self, block: SmallBlock<'_>) {
        self.format(block.format);
        self.short(block.metadata.as_bytes());
        self.short(block.payload);
    }

    pub(super) fn part(&mut self, block: PartBlock) {
        let (kind, place, segment) = match block.place {
            SegmentPlace::Own { segment } => (OWN_PART, 0, segment),
            SegmentPlace::Foreign { place, segment } => (FOREIGN_PART, place, segment),
            // No record brings a descriptor.
            SegmentPlace::Descriptor(_) => return self.overflows = true,
        };
        self.put(&[kind]);
        self.format(block.format);
        self.put(&place.to_le_bytes());
        self.put(&segment.to_le_bytes());
        self.put(&block.offset.to_le_bytes());
        self.put(&block.size.to_le_bytes());
    }

    #[inline]
    pub(super) fn format(&mut self, format: Format) {
        self.put(&[format_number(format)]);
    }
}

impl<'a> Reader<'a> {
    pub(super) fn block(&mut self) -> Result<SmallBlock<'a>, Malformed> {
        Ok(SmallBlock { format: self.format()?, metadata: self.text()?, payload: self.short()? })
    }

    pub(super) fn part(&mut self, kind: u8) -> Result<PartBlock, Malformed> {
        let format = self.format()?;
        let [place, segment] = self.numbers()?;
        let place = match kind {
            OWN_PART => SegmentPlace::Own { segment },
            _ => SegmentPlace::Foreign { place, segment },
        };
        Ok(PartBlock { format, place, offset: self.large()?, size: self.large()? })
    }

    #[inline]
    pub(super) fn format(&mut self) -> Result<Format, Malformed> {
        Format::ALL.get(usize::from(self.byte()?)).copied().ok_or(Malformed("no format has that number"))
    }
}
