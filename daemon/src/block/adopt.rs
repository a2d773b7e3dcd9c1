//! From a worker's claim to a block: every byte of it is checked before the server relies on it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::Arc;

use super::held::{Accounts, Block, Bytes};
use super::layout::{Format, HEADER_BYTES, INLINE_BELOW, Layout, LayoutProblem, METADATA_MAX};
use super::segment::Segments;
use crate::ipc::message::BlockClaim;
pub use crate::ipc::message::ClaimedBytes;
use crate::sys::memfd;

/// An output as a worker says it is, with the files that came beside it; nothing of it is checked.
pub type ClaimedBlock = BlockClaim<OwnedFd>;

/// Why a claim was refused.
#[derive(Debug, thiserror::Error)]
pub enum BlockProblem {
    /// Format, header, offsets or lengths are wrong.
    #[error("{0}")]
    Layout(#[from] LayoutProblem),
    /// The file can still be changed, or is no memory file at all.
    #[error("the file is not sealed: found {found}, expected {:?}", memfd::IMMUTABLE)]
    Seals {
        /// Its seals.
        found: String,
    },
    /// The file has another size than claimed.
    #[error("the file has {found} bytes, {claimed} were claimed")]
    Size {
        /// What it has.
        found: u64,
        /// What it was said to have.
        claimed: u64,
    },
    /// Memory is missing behind some of its bytes.
    #[error("the file has {found} bytes of memory behind {size} bytes of contents")]
    Holes {
        /// What is there.
        found: u64,
        /// What should be.
        size: u64,
    },
    /// Claim and header tell different stories.
    #[error("the block's format is {found}, {claimed} was claimed")]
    FormatMismatch {
        /// As in the header.
        found: Format,
        /// As in the claim.
        claimed: Format,
    },
    /// Too large for a message.
    #[error("an inline block of {length} bytes, fewer than {INLINE_BELOW} are accepted")]
    Inline {
        /// Its length.
        length: usize,
    },
    /// The metadata are no text.
    #[error("the metadata are not UTF-8")]
    MetadataEncoding,
    /// A part of a segment is not what it should be.
    #[error("{0}")]
    Part(&'static str),
    /// The system refused.
    #[error("cannot examine the block: {0}")]
    System(#[from] io::Error),
}

impl ClaimedBlock {
    /// Checks the claim of somebody who has no segments.
    pub fn adopt(self, accounts: &Arc<Accounts>) -> Result<Block, BlockProblem> {
        self.adopt_of(accounts, None)
    }

    /// Checks the claim of a worker that has these segments. A block in a sealed file cannot change from now on, whoever made it; one in a
    /// part of a segment could be changed by a worker that does what this program does not do.
    pub fn adopt_of(self, accounts: &Arc<Accounts>, segments: Option<&Segments>) -> Result<Block, BlockProblem> {
        let claimed: Format = self.format.parse()?;
        match self.bytes {
            ClaimedBytes::Inline(payload) => {
                if payload.len() >= INLINE_BELOW {
                    return Err(BlockProblem::Inline { length: payload.len() });
                }
                if self.metadata.len() > METADATA_MAX {
                    return Err(LayoutProblem::Metadata { length: self.metadata.len() as u64 }.into());
                }
                Ok(Block::inline(accounts, claimed, self.metadata, payload))
            }
            ClaimedBytes::Memfd { file, size } => {
                let file = File::from(file);
                let (layout, metadata) = examine(&file, size)?;
                if layout.format() != claimed {
                    return Err(BlockProblem::FormatMismatch { found: layout.format(), claimed });
                }
                let bytes = Bytes::Shared { file, size, payload_length: layout.payload_length() };
                Ok(Block::new(accounts, claimed, metadata, bytes))
            }
            ClaimedBytes::Part { part, size } => {
                let segments = segments.ok_or(BlockProblem::Part("it has no segments"))?;
                let (part, layout, metadata) = segments.adopt(part, size)?;
                if layout.format() != claimed {
                    return Err(BlockProblem::FormatMismatch { found: layout.format(), claimed });
                }
                Ok(Block::new(accounts, claimed, metadata, Bytes::Part(part)))
            }
        }
    }
}

/// Looks at a file that is claimed to be a block of this size. Seals come first: once they are there nothing that is
/// read afterwards can change, and a pipe or a device, on which reading might wait for ever, has none.
fn examine(file: &File, claimed: u64) -> Result<(Layout, String), BlockProblem> {
    let seals = memfd::seals(file).map_err(|problem| BlockProblem::Seals { found: problem.to_string() })?;
    if !seals.contains(memfd::IMMUTABLE) {
        return Err(BlockProblem::Seals { found: format!("{seals:?}") });
    }
    let status = file.metadata()?;
    let size = status.len();
    if size != claimed {
        return Err(BlockProblem::Size { found: size, claimed });
    }
    // Reading a hole through a mapping would allocate memory at that moment, outside every account.
    let behind = status.blocks().saturating_mul(512);
    if behind < size {
        return Err(BlockProblem::Holes { found: behind, size });
    }
    let mut header = [0; HEADER_BYTES];
    if size < HEADER_BYTES as u64 {
        return Err(LayoutProblem::Magic { found: [0; 8] }.into());
    }
    file.read_exact_at(&mut header, 0)?;
    let layout = Layout::parse(&header, size)?;
    let mut metadata = vec![0; layout.metadata_length() as usize];
    file.read_exact_at(&mut metadata, layout.metadata_offset())?;
    let metadata = String::from_utf8(metadata).map_err(|_| BlockProblem::MetadataEncoding)?;
    Ok((layout, metadata))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn claim(bytes: &[u8], format: &str, size: u64, seal: bool) -> ClaimedBlock {
        let file = memfd::create("test", memfd::Purpose::Data).unwrap();
        let mut file = File::from(file);
        file.write_all(bytes).unwrap();
        if seal {
            memfd::seal(&file, memfd::IMMUTABLE).unwrap();
        }
        let bytes = ClaimedBytes::Memfd { file: file.into(), size };
        ClaimedBlock { port: 0, format: format.to_owned(), metadata: String::new(), bytes }
    }

    fn block(payload: &[u8], metadata: &str) -> Vec<u8> {
        let layout = Layout::new(Format::Text, payload.len() as u64, metadata.len()).unwrap();
        [&layout.header()[..], payload, metadata.as_bytes()].concat()
    }

    #[test]
    fn a_true_claim_becomes_a_block_and_is_counted() {
        let accounts = Arc::new(Accounts::default());
        let bytes = block(b"hello", "{\"a\":1}");
        let held = claim(&bytes, "text", bytes.len() as u64, true).adopt(&accounts).unwrap();
        assert_eq!((held.format(), held.metadata(), held.payload_length()), (Format::Text, "{\"a\":1}", 5));
        assert_eq!(held.read(5).unwrap(), b"hello");
        assert!(held.read(4).is_err());
        let other = held.clone();
        assert_eq!(accounts.usage().blocks, 1);
        assert_eq!(accounts.usage().bytes(), bytes.len() as u64);
        drop(held);
        let mut descriptors = Vec::new();
        assert!(matches!(
            other.reference(&mut descriptors).place,
            crate::ipc::message::BlockPlace::Memfd { descriptor: 0, .. }
        ));
        assert_eq!(descriptors.len(), 1);
        drop(other);
        assert_eq!(accounts.usage(), super::super::BlockUsage::default());
    }

    #[test]
    fn each_lie_is_named() {
        let accounts = Arc::new(Accounts::default());
        let bytes = block(b"hello", "");
        let size = bytes.len() as u64;
        let adopt = |claim: ClaimedBlock| claim.adopt(&accounts).unwrap_err();
        assert!(matches!(adopt(claim(&bytes, "text", size, false)), BlockProblem::Seals { .. }));
        assert!(matches!(adopt(claim(&bytes, "text", size + 1, true)), BlockProblem::Size { .. }));
        assert!(matches!(adopt(claim(&bytes, "json", size, true)), BlockProblem::FormatMismatch { .. }));
        assert!(matches!(adopt(claim(&bytes, "jsn", size, true)), BlockProblem::Layout(LayoutProblem::Format { .. })));
        assert!(matches!(
            adopt(claim(&bytes[..60], "text", 60, true)),
            BlockProblem::Layout(LayoutProblem::Magic { .. })
        ));
        assert!(matches!(
            adopt(claim(&bytes[..68], "text", 68, true)),
            BlockProblem::Layout(LayoutProblem::Extent { .. })
        ));
        assert!(matches!(adopt(claim(&[], "text", 0, true)), BlockProblem::Layout(LayoutProblem::Magic { .. })));

        let (read, _write) = nix::unistd::pipe().unwrap();
        let pipe = ClaimedBlock {
            port: 0,
            format: "text".to_owned(),
            metadata: String::new(),
            bytes: ClaimedBytes::Memfd { file: read, size },
        };
        assert!(matches!(adopt(pipe), BlockProblem::Seals { .. }));

        let inline = ClaimedBlock {
            port: 0,
            format: "text".to_owned(),
            metadata: String::new(),
            bytes: ClaimedBytes::Inline(vec![0; INLINE_BELOW]),
        };
        assert!(matches!(adopt(inline), BlockProblem::Inline { .. }));
        assert_eq!(accounts.usage(), super::super::BlockUsage::default());
    }

    #[test]
    fn a_file_with_a_hole_is_refused() {
        let file = memfd::create("test", memfd::Purpose::Data).unwrap();
        let layout = Layout::new(Format::Bytes, 1 << 20, 0).unwrap();
        let mut file = File::from(file);
        file.write_all(&layout.header()).unwrap();
        memfd::truncate(&file, layout.size()).unwrap();
        memfd::seal(&file, memfd::IMMUTABLE).unwrap();
        let bytes = ClaimedBytes::Memfd { file: file.into(), size: layout.size() };
        let claim = ClaimedBlock { port: 0, format: "bytes".to_owned(), metadata: String::new(), bytes };
        let problem = claim.adopt(&Arc::new(Accounts::default())).unwrap_err();
        assert!(matches!(problem, BlockProblem::Holes { .. }), "{problem}");
    }

    proptest! {
        #[test]
        fn random_files_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let size = bytes.len() as u64;
            prop_assert!(claim(&bytes, "text", size, true).adopt(&Arc::new(Accounts::default())).is_err());
        }

        /// Whatever is done to the header and the length, an adopted block lies within its file.
        #[test]
        fn damaged_blocks_are_refused_or_harmless(
            place in 0..64_usize, value in any::<[u8; 8]>(), cut in 0..80_usize, payload in prop::collection::vec(any::<u8>(), 0..50)
        ) {
            let mut bytes = block(&payload, "{}");
            let end = (place + 8).min(64);
            bytes[place..end].copy_from_slice(&value[..end - place]);
            bytes.truncate(bytes.len().saturating_sub(cut / 4));
            let size = bytes.len() as u64;
            if let Ok(held) = claim(&bytes, "text", size, true).adopt(&Arc::new(Accounts::default())) {
                prop_assert_eq!(held.read(1000).unwrap().len() as u64, held.payload_length());
                prop_assert_eq!(HEADER_BYTES as u64 + held.payload_length() + held.metadata().len() as u64, size);
            }
        }
    }
}
