//! Plain numbers with a shape.

use std::{marker::PhantomData, ops::Deref, ops::DerefMut};

use serde_json::json;

pub use crate::abi::Number;
use crate::{
    Error, Result,
    abi::{InputBlock, SharedBytes, format, number},
    node::Input,
    output::{Output, OutputPort, OutputWriter, Written},
    value::expect_format,
};

/// Plain numbers in row-major order; as an input, those of the block itself, without a copy.
///
/// ```
/// use plugin_api::prelude::*;
/// let matrix = Array::new(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3]).unwrap();
/// assert_eq!(matrix.shape(), [2, 3]);
/// assert_eq!(matrix.at(&[1, 0]), Some(4.0));
/// assert_eq!(matrix.iter().sum::<f64>(), 21.0); // it is a slice, too
/// ```
#[derive(Clone, Debug)]
pub struct Array<T: Number> {
    numbers: Numbers<T>,
    shape: Vec<usize>,
}

#[derive(Clone, Debug)]
enum Numbers<T> {
    /// Checked to be aligned and of whole numbers.
    Shared(SharedBytes),
    Owned(Vec<T>),
}

impl<T: Number> Array<T> {
    /// Numbers of this shape; an error if there are more or fewer than it says.
    pub fn new(numbers: Vec<T>, shape: &[usize]) -> Result<Self> {
        let count = count(shape).unwrap_or(usize::MAX);
        if count != numbers.len() {
            return Err(Error::output(format!(
                "an array of shape {shape:?} has {count} numbers, these are {}",
                numbers.len()
            )));
        }
        Ok(Array { numbers: Numbers::Owned(numbers), shape: shape.to_vec() })
    }

    /// The lengths of its axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number at a position, one index an axis; `None` outside.
    pub fn at(&self, position: &[usize]) -> Option<T> {
        if position.len() != self.shape.len() {
            return None;
        }
        let mut offset = 0;
        for (index, length) in position.iter().zip(&self.shape) {
            if index >= length {
                return None;
            }
            offset = offset * length + index;
        }
        self.get(offset).copied()
    }

    pub(crate) fn byte_length(shape: &[usize]) -> Result<usize> {
        count(shape)
            .and_then(|count| count.checked_mul(size_of::<T>()))
            .ok_or_else(|| Error::output(format!("an array of shape {shape:?} is too large")))
    }

    pub(crate) fn metadata(shape: &[usize]) -> String {
        json!({ "element": T::NAME, "shape": shape }).to_string()
    }
}

impl<T: Number> Deref for Array<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.numbers {
            Numbers::Shared(bytes) => number::from_bytes(bytes).unwrap_or(&[]),
            Numbers::Owned(numbers) => numbers,
        }
    }
}

impl<T: Number> PartialEq for Array<T> {
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape && **self == **other
    }
}

impl<T: Number> From<Vec<T>> for Array<T> {
    fn from(numbers: Vec<T>) -> Self {
        let shape = vec![numbers.len()];
        Array { numbers: Numbers::Owned(numbers), shape }
    }
}

impl<T: Number> Input for Array<T> {
    const KIND: &'static str = T::ARRAY_KIND;

    fn from_block(block: InputBlock) -> Result<Self> {
        expect_format(&block, &[format::ARRAY])?;
        let metadata: Metadata = serde_json::from_str(&block.metadata)
            .map_err(|error| Error::input("the array's element type and shape cannot be read").because(error))?;
        if metadata.element != T::NAME {
            return Err(Error::input(format!("expected an array of {}, found one of {}", T::NAME, metadata.element)));
        }
        let expected = Self::byte_length(&metadata.shape)?;
        if expected != block.bytes.len() {
            let message = format!(
                "an array of {} of shape {:?} has {expected} bytes, found {}",
                T::NAME,
                metadata.shape,
                block.bytes.len()
            );
            return Err(Error::input(message));
        }
        let numbers = match number::from_bytes::<T>(&block.bytes) {
            Some(_) => Numbers::Shared(block.bytes),
            // Not aligned, as a small block that came inside a message may be: copied, since it is small.
            None => Numbers::Owned(copy(&block.bytes)),
        };
        Ok(Array { numbers, shape: metadata.shape })
    }
}

impl<T: Number> Output for Array<T> {
    const KIND: &'static str = T::ARRAY_KIND;

    fn write(self, port: &OutputPort<'_>) -> Result<()> {
        port.write(number::to_bytes(&self), format::ARRAY, &Self::metadata(&self.shape))
    }
}

#[derive(serde::Deserialize)]
struct Metadata {
    element: String,
    shape: Vec<usize>,
}

fn count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |count, length| count.checked_mul(*length))
}

fn copy<T: Number>(bytes: &[u8]) -> Vec<T> {
    let mut numbers = vec![T::default(); bytes.len() / size_of::<T>()];
    if let Some(target) = number::to_bytes_mut(&mut numbers).get_mut(..bytes.len()) {
        target.copy_from_slice(bytes);
    }
    numbers
}

/// An array under construction in the block that will be an output; a slice of numbers, zero at first.
///
/// See [`Context::output_array`](crate::Context::output_array).
pub struct ArrayBuilder<'a, T: Number> {
    writer: OutputWriter<'a>,
    shape: Vec<usize>,
    element: PhantomData<T>,
}

impl<'a, T: Number> ArrayBuilder<'a, T> {
    pub(crate) fn new(mut writer: OutputWriter<'a>, shape: &[usize], byte_length: usize) -> Result<Self> {
        let filled = writer.fill(byte_length)?;
        if number::from_bytes::<T>(filled).is_none() {
            return Err(Error::output("the host gave memory that is not aligned"));
        }
        Ok(ArrayBuilder { writer, shape: shape.to_vec(), element: PhantomData })
    }

    /// Makes it the output; gives the value to return for it.
    pub fn finish(self) -> Result<Written<Array<T>>> {
        self.writer.finish_array(&self.shape)
    }
}

impl<T: Number> Deref for ArrayBuilder<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        number::from_bytes(self.writer.written()).unwrap_or(&[])
    }
}

impl<T: Number> DerefMut for ArrayBuilder<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        number::from_bytes_mut(self.writer.filled_mut()).unwrap_or(&mut [])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::testing::block;

    #[test]
    fn numbers_lie_in_the_block_itself() {
        let block = block(Array::new(vec![1.0, 2.0, 3.0, 4.0], &[2, 2]).unwrap()).unwrap();
        let start = block.bytes.as_ptr();
        let array = Array::<f64>::from_block(block).unwrap();
        assert_eq!(array.as_ptr().cast(), start);
        assert_eq!((array.shape(), &array[..]), (&[2, 2][..], &[1.0, 2.0, 3.0, 4.0][..]));
    }

    #[test]
    fn numbers_that_are_not_aligned_are_copied() {
        let good = block(Array::from(vec![7_i64, 8])).unwrap();
        let mut bytes = vec![0];
        bytes.extend_from_slice(&good.bytes);
        let shifted = SharedBytes::from(bytes).slice(1..17).unwrap();
        let array = Array::<i64>::from_block(InputBlock { bytes: shifted, ..good }).unwrap();
        assert_eq!(&array[..], [7, 8]);
    }

    #[test]
    fn arrays_without_numbers_are_arrays() {
        let array = Array::<f64>::from_block(block(Array::<f64>::new(vec![], &[0, 3]).unwrap()).unwrap()).unwrap();
        assert_eq!((array.shape(), array.len()), (&[0, 3][..], 0));
    }

    #[test]
    fn blocks_that_lie_are_refused() {
        let good = block(Array::from(vec![1.0_f64, 2.0])).unwrap();
        let with = |metadata: &str| InputBlock { metadata: metadata.into(), ..good.clone() };
        let message = |metadata: &str| Array::<f64>::from_block(with(metadata)).unwrap_err().to_string();
        assert_eq!(message(r#"{"element":"f32","shape":[2]}"#), "expected an array of f64, found one of f32");
        assert_eq!(message(r#"{"element":"f64","shape":[3]}"#), "an array of f64 of shape [3] has 24 bytes, found 16");
        let huge = format!(r#"{{"element":"f64","shape":[{0},{0}]}}"#, u32::MAX);
        assert!(message(&huge).contains("too large"));
        assert!(message("").contains("cannot be read"));
        let text = InputBlock { format: "text".into(), ..good };
        assert!(Array::<f64>::from_block(text).unwrap_err().to_string().contains("found `text`"));
    }

    #[test]
    fn a_shape_must_fit_its_numbers() {
        assert!(Array::new(vec![1_u8, 2, 3], &[2, 2]).is_err());
        assert!(Array::<u8>::new(vec![], &[usize::MAX, 2]).is_err());
        let array = Array::new(vec![1_u8, 2, 3, 4], &[2, 2]).unwrap();
        assert_eq!((array.at(&[1, 1]), array.at(&[2, 0]), array.at(&[1])), (Some(4), None, None));
    }
}
