//! Blocks in a record: small ones with their bytes, larger ones by the segment they lie in.

use super::{Lead, Malformed, Reader, Writer};
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

/// Before a small block.
pub const BLOCK: u8 = 2;
/// Before a block in a segment of the worker's own.
pub const OWN_PART: u8 = 4;
/// And in one that it was told of.
const FOREIGN_PART: u8 = 5;

/// A format as records number it.
#[inline]
pub fn format_number(format: Format) -> u8 {
    let place = Format::ALL.iter().position(|known| *known == format).unwrap_or(0);
    u8::try_from(place).unwrap_or(0)
}

/// Writes a small block, of a port where it is an output.
#[inline]
pub fn write_block(writer: &mut impl Writer, port: u16, block: SmallBlock<'_>) {
    let SmallBlock { format, metadata, payload } = block;
    let lead = Lead {
        kind: BLOCK,
        format: format_number(format),
        number: port,
        metadata: writer.short(metadata.len()),
        payload: writer.short(payload.len()),
    };
    writer.word(lead.word());
    writer.bytes(metadata.as_bytes());
    writer.bytes(payload);
}

/// Writes where a block lies.
pub fn write_part(writer: &mut impl Writer, block: PartBlock) {
    let (kind, place, segment) = match block.place {
        SegmentPlace::Own { segment } => (OWN_PART, 0, segment),
        SegmentPlace::Foreign { place, segment } => (FOREIGN_PART, place, segment),
        // No record brings a descriptor.
        SegmentPlace::Descriptor(_) => return writer.refuse(),
    };
    writer.word(Lead { format: format_number(block.format), ..Lead::of(kind) }.word());
    writer.pair(place, segment);
    writer.word(block.offset);
    writer.word(block.size);
}

impl Lead {
    /// The format that it names.
    #[inline]
    pub fn format(self) -> Result<Format, Malformed> {
        Format::ALL.get(usize::from(self.format)).copied().ok_or(Malformed("no format has that number"))
    }
}

impl<'a> Reader<'a> {
    /// The small block behind its lead.
    #[inline]
    pub fn block(&mut self, lead: Lead) -> Result<SmallBlock<'a>, Malformed> {
        let format = lead.format()?;
        let metadata = self.text(usize::from(lead.metadata))?;
        Ok(SmallBlock { format, metadata, payload: self.bytes(usize::from(lead.payload))? })
    }

    /// Where a block lies, behind its lead; nothing if that says something else.
    pub fn part(&mut self, lead: Lead) -> Result<Option<PartBlock>, Malformed> {
        let is_own = match lead.kind {
            OWN_PART => true,
            FOREIGN_PART => false,
            _ => return Ok(None),
        };
        let format = lead.format()?;
        let [place, segment] = self.pair()?;
        let place = if is_own { SegmentPlace::Own { segment } } else { SegmentPlace::Foreign { place, segment } };
        Ok(Some(PartBlock { format, place, offset: self.word()?, size: self.word()? }))
    }
}
