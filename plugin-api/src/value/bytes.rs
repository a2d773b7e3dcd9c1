//! Bytes, and any block as it is.

use std::ops::Deref;

use super::expect_format;
use crate::{
    Result,
    abi::{InputBlock, SharedBytes, format},
    node::Input,
    output::{Output, OutputPort},
};

/// Bytes without further meaning; as an input, those of the block itself, without a copy.
///
/// ```
/// use plugin_api::prelude::*;
/// let bytes = Bytes::from(vec![1, 2, 3]);
/// assert_eq!(bytes.len(), 3);
/// ```
#[derive(Clone, Debug)]
pub struct Bytes {
    bytes: SharedBytes,
}

impl Bytes {
    /// The shared bytes behind it.
    pub fn shared(&self) -> &SharedBytes {
        &self.bytes
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes { bytes: bytes.into() }
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl From<SharedBytes> for Bytes {
    fn from(bytes: SharedBytes) -> Self {
        Bytes { bytes }
    }
}

impl Input for Bytes {
    const KIND: &'static str = "bytes";

    fn from_block(block: InputBlock) -> Result<Self> {
        expect_format(&block, &[format::BYTES, format::TEXT])?;
        Ok(Bytes { bytes: block.bytes })
    }
}

impl Output for Bytes {
    const KIND: &'static str = "bytes";

    fn write(self, port: &OutputPort<'_>) -> Result<()> {
        port.write(&self, format::BYTES, "")
    }
}

/// Any block, as it is: for nodes that do not care what they pass on. Its port's kind is `any`.
pub type Block = InputBlock;

impl Input for Block {
    const KIND: &'static str = "any";

    fn from_block(block: InputBlock) -> Result<Self> {
        Ok(block)
    }
}

impl Output for Block {
    const KIND: &'static str = "any";

    fn write(self, port: &OutputPort<'_>) -> Result<()> {
        port.write(&self.bytes, &self.format, &self.metadata)
    }
}
