//! Takes what was written off the front of bytes that nobody vouches for.

use super::Head;

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record in the ring is malformed: {0}")]
pub struct Malformed(pub &'static str);

/// The bytes that are left.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    #[inline]
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed("it ends too early"))?;
        self.0 = rest;
        Ok(*taken)
    }

    #[inline]
    pub fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    #[inline]
    pub fn number(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    #[inline]
    pub fn numbers<const N: usize>(&mut self) -> Result<[u32; N], Malformed> {
        let mut numbers = [0; N];
        for number in &mut numbers {
            *number = self.number()?;
        }
        Ok(numbers)
    }

    #[inline]
    pub fn large(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    #[inline]
    pub fn head(&mut self) -> Result<Head, Malformed> {
        Ok(Head { token: self.large()?, messages: self.large()? })
    }

    #[inline]
    pub fn short(&mut self) -> Result<&'a [u8], Malformed> {
        let length = u16::from_le_bytes(self.array()?);
        self.take(usize::from(length))
    }

    #[inline]
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        as_text(self.short()?)
    }
}

/// Bytes that are to be a text.
#[inline]
pub fn as_text(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed("a text is not UTF-8"))
}

/// Reads one thing off the front of `bytes`; after a malformed one there are no more.
pub fn take_one<'a, T>(
    bytes: &mut &'a [u8],
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, Malformed>,
) -> Option<Result<T, Malformed>> {
    if bytes.is_empty() {
        return None;
    }
    let mut reader = Reader(bytes);
    let result = read(&mut reader);
    *bytes = if result.is_ok() { reader.0 } else { &[] };
    Some(result)
}
