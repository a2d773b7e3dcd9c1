//! UTF-8 text.

use std::{fmt, ops::Deref};

use super::expect_format;
use crate::{
    Error, Result,
    abi::{InputBlock, SharedBytes, SharedText, format},
    node::Input,
    output::{Output, OutputPort},
};

/// UTF-8 text; as an input, that of the block itself, without a copy.
///
/// For a large text. A short one may as well be a `String`, which travels as JSON and may come from a parameter.
///
/// ```
/// use plugin_api::prelude::*;
/// let text = Text::from("<svg/>");
/// assert!(text.starts_with("<svg"));
/// ```
#[derive(Clone, Debug)]
pub struct Text {
    text: SharedText,
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self)
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        let checked = SharedText::new(text.into_bytes().into());
        Text { text: checked.unwrap_or_else(|_| unreachable!("a String is UTF-8")) }
    }
}

impl TryFrom<SharedBytes> for Text {
    type Error = Error;

    fn try_from(bytes: SharedBytes) -> Result<Self> {
        match SharedText::new(bytes) {
            Ok(text) => Ok(Text { text }),
            Err(error) => Err(Error::input("expected UTF-8 text").because(error)),
        }
    }
}

impl Input for Text {
    const KIND: &'static str = "text";

    fn from_block(block: InputBlock) -> Result<Self> {
        expect_format(&block, &[format::TEXT])?;
        block.bytes.try_into()
    }
}

impl Output for Text {
    const KIND: &'static str = "text";

    fn write(self, port: &OutputPort<'_>) -> Result<()> {
        port.write(self.as_bytes(), format::TEXT, "")
    }
}
