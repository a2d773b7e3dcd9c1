//! Shared bytes that are known to be UTF-8.

use std::{ops::Deref, str::Utf8Error};

use super::SharedBytes;

/// [`SharedBytes`] that were checked to be UTF-8 once.
///
/// ```
/// use plugin_api::abi::{SharedBytes, SharedText};
/// let text = SharedText::new(SharedBytes::from_static("Zürich".as_bytes())).unwrap();
/// assert_eq!(&*text, "Zürich");
/// assert!(SharedText::new(SharedBytes::from_static(&[0xff])).is_err());
/// ```
#[derive(Clone, Debug)]
pub struct SharedText {
    bytes: SharedBytes,
}

impl SharedText {
    /// Checks the bytes.
    pub fn new(bytes: SharedBytes) -> Result<Self, Utf8Error> {
        std::str::from_utf8(&bytes)?;
        Ok(SharedText { bytes })
    }

    /// The bytes behind the text.
    pub fn bytes(&self) -> &SharedBytes {
        &self.bytes
    }
}

impl Deref for SharedText {
    type Target = str;

    fn deref(&self) -> &str {
        // SAFETY: `new`, the only constructor, checked these bytes, which never change.
        unsafe { std::str::from_utf8_unchecked(&self.bytes) }
    }
}
