//! Port types for plain values: bytes, text, JSON, parameters, scalars, and any block as it is.

mod bytes;
mod json;
mod scalar;
mod text;

#[cfg(feature = "json")]
pub use self::json::{Json, Params};
pub use self::{
    bytes::{Block, Bytes},
    text::Text,
};

use crate::{
    Error, Result,
    abi::{InputBlock, format},
};

/// Checks that a block has one of the formats that a port type understands.
pub(crate) fn expect_format(block: &InputBlock, expected: &[&str]) -> Result<()> {
    if expected.contains(&block.format.as_str()) {
        return Ok(());
    }
    let expected = expected.join("` or `");
    Err(Error::input(format!("expected a block of format `{expected}`, found `{}`", block.format))
        .with_hint("bind a dataset of the port's kind; `ctl nodes` shows the kinds"))
}

/// Reads a block of JSON.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(block: &InputBlock, what: &str) -> Result<T> {
    expect_format(block, &[format::JSON])?;
    serde_json::from_slice(&block.bytes).map_err(|error| Error::input(format!("expected {what}")).because(error))
}
