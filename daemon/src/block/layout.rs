//! What a block's file looks like: pure, checked arithmetic, no IO.
//!
//! ```text
//! 0        64-byte header: magic, format tag, where payload and metadata are, version
//! 64       payload, aligned for any vector instruction
//! …        metadata, a JSON object or nothing, directly after the payload; the file ends with it
//! ```

use std::fmt;
use std::str::FromStr;

/// Size of the header, and offset of the payload.
pub const HEADER_BYTES: usize = 64;
/// A payload below this size travels inline rather than in a file of its own.
pub const INLINE_BELOW: usize = 4096;
/// No metadata is larger than this.
pub const METADATA_MAX: usize = 4 * 1024 * 1024;
/// The header's version.
const VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"DAGDBLK1";
const FORMAT_BYTES: usize = 16;

/// How the bytes of a payload are to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// An Arrow IPC stream.
    Arrow,
    /// Any bytes.
    Bytes,
    /// UTF-8.
    Text,
    /// JSON, also of every scalar.
    Json,
    /// Plain numbers; type and shape are in the metadata.
    Array,
}

impl Format {
    /// All there are.
    pub const ALL: [Format; 5] = [Format::Arrow, Format::Bytes, Format::Text, Format::Json, Format::Array];

    /// The tag on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Format::Arrow => "arrow",
            Format::Bytes => "bytes",
            Format::Text => "text",
            Format::Json => "json",
            Format::Array => "array",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = LayoutProblem;

    fn from_str(tag: &str) -> Result<Format, LayoutProblem> {
        Format::ALL
            .into_iter()
            .find(|format| format.as_str() == tag)
            .ok_or_else(|| LayoutProblem::Format { found: tag.chars().take(40).collect() })
    }
}

/// What is wrong with a block's file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutProblem {
    /// It is no block at all.
    #[error("the header begins with {found:02x?}, expected {MAGIC:02x?}")]
    Magic {
        /// Its first bytes.
        found: [u8; 8],
    },
    /// It is a block of another time.
    #[error("the header's version is {found}, expected {VERSION}")]
    Version {
        /// The version there.
        found: u32,
    },
    /// Nobody knows such a format.
    #[error("unknown format {found:?}, expected arrow, bytes, text, json or array")]
    Format {
        /// The tag there.
        found: String,
    },
    /// Offsets and lengths do not describe the file.
    #[error(
        "payload at {payload_offset}+{payload_length} and metadata at {metadata_offset}+{metadata_length} \
         do not fill a file of {size} bytes with a header of {HEADER_BYTES}"
    )]
    Extent {
        /// As the header says.
        payload_offset: u64,
        /// As the header says.
        payload_length: u64,
        /// As the header says.
        metadata_offset: u64,
        /// As the header says.
        metadata_length: u32,
        /// As the file has it.
        size: u64,
    },
    /// The metadata are too large.
    #[error("{length} bytes of metadata, at most {METADATA_MAX} are accepted")]
    Metadata {
        /// How many there are.
        length: u64,
    },
    /// The payload cannot be counted.
    #[error("a payload of {length} bytes is too large for a block")]
    TooLarge {
        /// How many bytes there are.
        length: u64,
    },
}

/// Where everything is in a block's file. A value of this type is consistent: made by [`Layout::new`], or checked by
/// [`Layout::parse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    format: Format,
    payload_length: u64,
    metadata_length: u32,
}

impl Layout {
    /// The layout for a payload and metadata of these lengths.
    pub fn new(format: Format, payload_length: u64, metadata_length: usize) -> Result<Layout, LayoutProblem> {
        let metadata = u32::try_from(metadata_length)
            .ok()
            .filter(|_| metadata_length <= METADATA_MAX)
            .ok_or(LayoutProblem::Metadata { length: metadata_length as u64 })?;
        // Sizes of files are signed in the kernel.
        payload_length
            .checked_add(HEADER_BYTES as u64 + u64::from(metadata))
            .filter(|size| *size <= i64::MAX as u64)
            .ok_or(LayoutProblem::TooLarge { length: payload_length })?;
        Ok(Layout { format, payload_length, metadata_length: metadata })
    }

    /// Reads and checks the header of a file of this size.
    pub fn parse(header: &[u8; HEADER_BYTES], size: u64) -> Result<Layout, LayoutProblem> {
        let mut fields = Fields(header);
        let found = fields.take::<8>();
        if found != MAGIC {
            return Err(LayoutProblem::Magic { found });
        }
        let tag = fields.take::<FORMAT_BYTES>();
        let payload_offset = u64::from_le_bytes(fields.take());
        let payload_length = u64::from_le_bytes(fields.take());
        let metadata_offset = u64::from_le_bytes(fields.take());
        let metadata_length = u32::from_le_bytes(fields.take());
        let version = u32::from_le_bytes(fields.take());
        if version != VERSION {
            return Err(LayoutProblem::Version { found: version });
        }
        let format = parse_tag(&tag)?;
        let layout = Layout::new(format, payload_length, metadata_length as usize)?;
        if payload_offset != HEADER_BYTES as u64 || metadata_offset != layout.metadata_offset() || size != layout.size()
        {
            return Err(LayoutProblem::Extent {
                payload_offset,
                payload_length,
                metadata_offset,
                metadata_length,
                size,
            });
        }
        Ok(layout)
    }

    /// The header of such a file.
    pub fn header(&self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[0..8].copy_from_slice(&MAGIC);
        let tag = self.format.as_str().as_bytes();
        header[8..8 + tag.len()].copy_from_slice(tag);
        header[24..32].copy_from_slice(&(HEADER_BYTES as u64).to_le_bytes());
        header[32..40].copy_from_slice(&self.payload_length.to_le_bytes());
        header[40..48].copy_from_slice(&self.metadata_offset().to_le_bytes());
        header[48..52].copy_from_slice(&self.metadata_length.to_le_bytes());
        header[52..56].copy_from_slice(&VERSION.to_le_bytes());
        header
    }

    /// How the payload is to be understood.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Length of the payload.
    pub fn payload_length(&self) -> u64 {
        self.payload_length
    }

    /// Length of the metadata.
    pub fn metadata_length(&self) -> u32 {
        self.metadata_length
    }

    /// Where the metadata begin. Cannot overflow: [`Layout::new`] has added it all up.
    pub fn metadata_offset(&self) -> u64 {
        HEADER_BYTES as u64 + self.payload_length
    }

    /// The whole file's size.
    pub fn size(&self) -> u64 {
        self.metadata_offset() + u64::from(self.metadata_length)
    }
}

/// A format tag, padded with zeroes to its full width.
fn parse_tag(tag: &[u8; FORMAT_BYTES]) -> Result<Format, LayoutProblem> {
    let end = tag.iter().position(|byte| *byte == 0).unwrap_or(FORMAT_BYTES);
    let (text, padding) = tag.split_at(end);
    let found = String::from_utf8_lossy(text);
    if padding.iter().any(|byte| *byte != 0) {
        return Err(LayoutProblem::Format { found: found.into_owned() });
    }
    found.parse()
}

/// The header's bytes, field by field.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        // The fields add up to less than the header, so there is always a chunk; zeroes otherwise are never read.
        let Some((field, rest)) = self.0.split_first_chunk::<N>() else { return [0; N] };
        self.0 = rest;
        *field
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(index in 0..5_usize, payload in 0..u64::MAX / 4, metadata in 0..METADATA_MAX) {
            let layout = Layout::new(Format::ALL[index], payload, metadata).unwrap();
            prop_assert_eq!(Layout::parse(&layout.header(), layout.size()).unwrap(), layout);
            prop_assert!(Layout::parse(&layout.header(), layout.size() + 1).is_err());
            prop_assert!(Layout::parse(&layout.header(), layout.size() - 1).is_err());
        }

        #[test]
        fn random_headers_are_refused(header in prop::array::uniform32(any::<[u8; 2]>()), size in any::<u64>()) {
            let bytes: Vec<u8> = header.into_iter().flatten().collect();
            let _ = Layout::parse(&bytes.try_into().unwrap(), size).unwrap_err();
        }

        /// A header that is ours but for some bytes is either refused or describes exactly a file of that size.
        #[test]
        fn damaged_headers_never_reach_beyond_the_file(
            payload in 0..1_u64 << 40, metadata in 0..1000_usize, place in 8..56_usize, value in any::<[u8; 8]>(), size in any::<u64>()
        ) {
            let layout = Layout::new(Format::Arrow, payload, metadata).unwrap();
            let mut header = layout.header();
            let end = (place + 8).min(HEADER_BYTES);
            header[place..end].copy_from_slice(&value[..end - place]);
            for size in [size, layout.size()] {
                if let Ok(found) = Layout::parse(&header, size) {
                    prop_assert_eq!(found.size(), size);
                    prop_assert!(found.metadata_offset() >= HEADER_BYTES as u64);
                    prop_assert!(found.metadata_offset() <= size);
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        for length in [u64::MAX, i64::MAX as u64, u64::MAX - 63] {
            assert!(matches!(Layout::new(Format::Bytes, length, 0), Err(LayoutProblem::TooLarge { .. })));
        }
        assert!(matches!(Layout::new(Format::Bytes, 0, METADATA_MAX + 1), Err(LayoutProblem::Metadata { .. })));
        assert_eq!("arow".parse::<Format>(), Err(LayoutProblem::Format { found: "arow".to_owned() }));
    }
}
