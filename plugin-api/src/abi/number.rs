//! Plain numbers and their bytes.

use std::slice;

mod sealed {
    pub trait Sealed {}
}

/// A plain number: any bit pattern is a value, no padding. The element types of [`Array`](crate::Array).
///
/// Sealed, because the casts below rest on those two properties.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the element of an `Array`",
    label = "not a plain number",
    note = "elements are: f64, f32, i64, i32, i16, i8, u64, u32, u16, u8"
)]
pub trait Number: sealed::Sealed + Copy + Default + PartialEq + std::fmt::Debug + Send + Sync + 'static {
    /// Its name (`f64`).
    const NAME: &'static str;
    /// The kind of a port of such numbers (`array<f64>`).
    const ARRAY_KIND: &'static str;
}

macro_rules! numbers {
    ($($number:ident $kind:literal),+) => {
        $(
            impl sealed::Sealed for $number {}
            impl Number for $number {
                const NAME: &'static str = stringify!($number);
                const ARRAY_KIND: &'static str = $kind;
            }
        )+
    };
}

numbers!(
    f64 "array<f64>", f32 "array<f32>", i64 "array<i64>", i32 "array<i32>", i16 "array<i16>", i8 "array<i8>",
    u64 "array<u64>", u32 "array<u32>", u16 "array<u16>", u8 "array<u8>"
);

/// The numbers that `bytes` are; `None` if they are not aligned for `T` or end amid a number.
pub(crate) fn from_bytes<T: Number>(bytes: &[u8]) -> Option<&[T]> {
    if bytes.is_empty() {
        return Some(&[]); // an empty slice may point anywhere
    }
    let fits = bytes.as_ptr().cast::<T>().is_aligned() && bytes.len().is_multiple_of(size_of::<T>());
    // SAFETY: aligned, in bounds, and any bits are a `T`, as `Number` is sealed to plain numbers.
    fits.then(|| unsafe { slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / size_of::<T>()) })
}

/// The same, to change.
pub(crate) fn from_bytes_mut<T: Number>(bytes: &mut [u8]) -> Option<&mut [T]> {
    if bytes.is_empty() {
        return Some(&mut []);
    }
    let fits = bytes.as_ptr().cast::<T>().is_aligned() && bytes.len().is_multiple_of(size_of::<T>());
    // SAFETY: as above; any `T` written is some bytes, as plain numbers have no padding; the borrow stays exclusive.
    fits.then(|| unsafe { slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), bytes.len() / size_of::<T>()) })
}

/// The bytes that `numbers` are.
pub(crate) fn to_bytes<T: Number>(numbers: &[T]) -> &[u8] {
    // SAFETY: plain numbers have no padding, so all their bytes are initialised; a byte is always aligned.
    unsafe { slice::from_raw_parts(numbers.as_ptr().cast(), size_of_val(numbers)) }
}

/// The same, to change: any bytes written are some number.
pub(crate) fn to_bytes_mut<T: Number>(numbers: &mut [T]) -> &mut [u8] {
    // SAFETY: as above, and any bits are a `T`; the borrow stays exclusive.
    unsafe { slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), size_of_val(numbers)) }
}
