//! Bytes that keep their owner alive, across the library boundary.

use std::{
    ffi::c_void,
    fmt,
    ops::{Deref, Range},
    slice,
    sync::Arc,
};

use abi_stable::StableAbi;

/// Immutable bytes kept alive by their owner; cheap to clone and to cut, `Send + Sync`.
///
/// The owner may live in another library (a mapping held by the worker, say): it is retained and released through
/// functions of the side that made it, so two copies of the standard library never meet.
///
/// ```
/// use std::sync::Arc;
/// use plugin_api::abi::SharedBytes;
///
/// let bytes = SharedBytes::from_owner(Arc::new(b"hello".to_vec()));
/// let tail = bytes.slice(3..5).unwrap();
/// drop(bytes);
/// assert_eq!(&*tail, b"lo");
/// ```
#[repr(C)]
#[derive(StableAbi)]
pub struct SharedBytes {
    pointer: *const u8,
    length: usize,
    owner: *const c_void,
    retain: unsafe extern "C" fn(*const c_void),
    release: unsafe extern "C" fn(*const c_void),
}

// SAFETY: the bytes are immutable for as long as the owner lives, and every constructor asks for an owner that is
// `Send + Sync`, whose count is atomic; so sharing and moving between threads is sound.
unsafe impl Send for SharedBytes {}
// SAFETY: see `Send`.
unsafe impl Sync for SharedBytes {}

impl SharedBytes {
    /// Shares the bytes of `owner`, which lives until the last clone is dropped.
    pub fn from_owner<T: AsRef<[u8]> + Send + Sync + 'static>(owner: Arc<T>) -> Self {
        // The slice is borrowed from the value inside the Arc, which stays put and is never borrowed mutably while
        // we hold a count: so it may be used until the release.
        let bytes: &[u8] = (*owner).as_ref();
        let (pointer, length) = (bytes.as_ptr(), bytes.len());
        SharedBytes {
            pointer,
            length,
            owner: Arc::into_raw(owner).cast(),
            retain: retain_arc::<T>,
            release: release_arc::<T>,
        }
    }

    /// Bytes that live as long as the library does.
    pub fn from_static(bytes: &'static [u8]) -> Self {
        extern "C" fn nothing(_owner: *const c_void) {}
        SharedBytes {
            pointer: bytes.as_ptr(),
            length: bytes.len(),
            owner: std::ptr::null(),
            retain: nothing,
            release: nothing,
        }
    }

    /// The same bytes, narrowed to `range`; `None` if it does not lie within them.
    pub fn slice(&self, range: Range<usize>) -> Option<Self> {
        let part = self.get(range)?;
        let (pointer, length) = (part.as_ptr(), part.len());
        let mut narrowed = self.clone();
        (narrowed.pointer, narrowed.length) = (pointer, length);
        Some(narrowed)
    }
}

impl Deref for SharedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        if self.length == 0 {
            return &[];
        }
        // SAFETY: constructors take pointer and length from one slice borrowed from the owner; the owner is retained by
        // this value, so the bytes stay valid and unchanged for as long as `self` is borrowed.
        unsafe { slice::from_raw_parts(self.pointer, self.length) }
    }
}

impl AsRef<[u8]> for SharedBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for SharedBytes {
    fn from(bytes: Vec<u8>) -> Self {
        SharedBytes::from_owner(Arc::new(bytes))
    }
}

impl Clone for SharedBytes {
    fn clone(&self) -> Self {
        // SAFETY: `owner` came with `retain` from the constructor, and this value holds one count, so it is alive.
        unsafe { (self.retain)(self.owner) };
        SharedBytes { ..*self }
    }
}

impl Drop for SharedBytes {
    fn drop(&mut self) {
        // SAFETY: `owner` came with `release` from the constructor; this gives back the one count of this value.
        unsafe { (self.release)(self.owner) };
    }
}

impl fmt::Debug for SharedBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SharedBytes({} bytes)", self.length)
    }
}

/// # Safety
/// `owner` is the pointer of an `Arc<T>` of which the caller holds a count.
unsafe extern "C" fn retain_arc<T>(owner: *const c_void) {
    // SAFETY: by this function's contract.
    unsafe { Arc::increment_strong_count(owner.cast::<T>()) };
}

/// # Safety
/// `owner` is the pointer of an `Arc<T>` of which the caller gives back a count.
unsafe extern "C" fn release_arc<T>(owner: *const c_void) {
    // SAFETY: by this function's contract.
    unsafe { Arc::decrement_strong_count(owner.cast::<T>()) };
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn the_owner_lives_as_long_as_the_last_clone() {
        let owner = Arc::new(vec![1, 2, 3]);
        let bytes = SharedBytes::from_owner(Arc::clone(&owner));
        let part = bytes.slice(1..3).unwrap();
        assert_eq!(Arc::strong_count(&owner), 3);
        drop(bytes);
        assert_eq!(Arc::strong_count(&owner), 2);
        assert_eq!(&*part, &[2, 3]);
        assert_eq!(part.as_ptr(), owner[1..].as_ptr());
        drop(part);
        assert_eq!(Arc::strong_count(&owner), 1);
    }

    #[test]
    fn a_slice_outside_is_none() {
        let bytes = SharedBytes::from(vec![1, 2, 3]);
        assert!(bytes.slice(2..4).is_none());
        #[expect(clippy::reversed_empty_ranges, reason = "that is the case under test")]
        let reversed = bytes.slice(2..1);
        assert!(reversed.is_none());
        assert!(bytes.slice(3..3).unwrap().is_empty());
    }

    #[test]
    fn empty_and_static_bytes() {
        assert!(SharedBytes::from(Vec::new()).is_empty());
        assert_eq!(&*SharedBytes::from_static(b"abc").clone(), b"abc");
    }
}
