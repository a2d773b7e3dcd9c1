//! Values of a fixed size, some of which may be missing.

use arrow_array::builder::NullBufferBuilder;
use arrow_array::{ArrowPrimitiveType, PrimitiveArray};

/// Collects values for an array.
#[derive(Debug)]
pub struct Values<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
    nulls: NullBufferBuilder,
    /// How many of the last were not missing and are not noted yet: noted together, they cost a bit each.
    given: usize,
}

impl<T: ArrowPrimitiveType> Default for Values<T> {
    fn default() -> Self {
        Self { values: Vec::new(), nulls: NullBufferBuilder::new(0), given: 0 }
    }
}

impl<T: ArrowPrimitiveType> Values<T> {
    /// Adds a value.
    #[inline]
    pub fn push(&mut self, value: T::Native) {
        self.values.push(value);
        self.given += 1;
    }

    /// Adds a missing one.
    #[inline]
    pub fn push_missing(&mut self) {
        self.values.push(T::Native::default());
        self.nulls.append_n_non_nulls(std::mem::take(&mut self.given));
        self.nulls.append_null();
    }

    /// Makes room for so many more.
    pub fn reserve(&mut self, count: usize) {
        self.values.reserve(count);
    }

    /// Gives what was collected and starts anew.
    pub fn finish(&mut self) -> PrimitiveArray<T> {
        let Self { values, mut nulls, given } = std::mem::take(self);
        nulls.append_n_non_nulls(given);
        PrimitiveArray::new(values.into(), nulls.finish())
    }
}
