//! One column being built, value by value.

use std::sync::Arc;

use ahash::RandomState;
use arrow_array::ArrayRef;
use arrow_array::builder::{BooleanBuilder, StringBuilder};
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_cast::parse::Parser;
use arrow_schema::{DataType, TimeUnit};

use super::cell::Cell;
use super::dictionary::DictionaryColumn;
use super::kind::{Kind, UTC};
use super::number;
use super::options::Options;
use super::page::Cells;
use super::values::Values;

/// Collects the values of one column.
pub trait Column {
    /// Adds a value; false if it is not of the column's type.
    fn push(&mut self, value: &[u8]) -> bool;
    /// Adds a missing value.
    fn push_missing(&mut self);
    /// Adds the fields of a page, which were not quoted; or gives the first row whose field is not of the column's type.
    fn push_page(&mut self, cells: Cells<'_, '_>, options: &Options) -> Result<(), usize> {
        for (row, value) in cells.iter().map(Cell::bytes).enumerate() {
            if options.is_missing(value) {
                self.push_missing();
            } else if !self.push(value) {
                return Err(row);
            }
        }
        Ok(())
    }
    /// Gives what was collected and starts anew.
    fn finish(&mut self) -> ArrayRef;
}

/// Makes the collector of a type.
pub fn column(kind: Kind) -> Box<dyn Column> {
    #[inline]
    fn signed<T: ArrowPrimitiveType<Native: TryFrom<i64>>>(cell: Cell<'_>) -> Option<T::Native> {
        match cell.word().and_then(number::short_integer) {
            Some(short) => short.try_into().ok(),
            None => number::integer(cell.bytes())?.try_into().ok(),
        }
    }
    #[inline]
    fn unsigned<T: ArrowPrimitiveType<Native: TryFrom<u64>>>(cell: Cell<'_>) -> Option<T::Native> {
        number::unsigned(cell.bytes())?.try_into().ok()
    }
    match kind {
        Kind::Boolean => Box::new(BooleanBuilder::new()),
        Kind::Int8 => primitive::<Int8Type>(signed::<Int8Type>),
        Kind::Int16 => primitive::<Int16Type>(signed::<Int16Type>),
        Kind::Int32 => primitive::<Int32Type>(signed::<Int32Type>),
        Kind::Int64 => primitive::<Int64Type>(signed::<Int64Type>),
        Kind::UInt8 => primitive::<UInt8Type>(unsigned::<UInt8Type>),
        Kind::UInt16 => primitive::<UInt16Type>(unsigned::<UInt16Type>),
        Kind::UInt32 => primitive::<UInt32Type>(unsigned::<UInt32Type>),
        Kind::UInt64 => primitive::<UInt64Type>(unsigned::<UInt64Type>),
        Kind::Float32 => primitive::<Float32Type>(|cell| std::str::from_utf8(cell.bytes()).ok()?.parse().ok()),
        Kind::Float64 => primitive::<Float64Type>(|cell| number::float(cell.bytes())),
        Kind::Text => Box::new(StringBuilder::new()),
        Kind::Dictionary => Box::new(DictionaryColumn::default()),
        Kind::Date => parsed::<Date32Type>(None),
        Kind::Timestamp(TimeUnit::Second) => parsed::<TimestampSecondType>(Some(UTC)),
        Kind::Timestamp(TimeUnit::Millisecond) => parsed::<TimestampMillisecondType>(Some(UTC)),
        Kind::Timestamp(TimeUnit::Microsecond) => parsed::<TimestampMicrosecondType>(Some(UTC)),
        Kind::Timestamp(TimeUnit::Nanosecond) => parsed::<TimestampNanosecondType>(Some(UTC)),
    }
}

impl Column for BooleanBuilder {
    fn push(&mut self, value: &[u8]) -> bool {
        let is_true = value.eq_ignore_ascii_case(b"true") || value == b"1";
        let is_false = value.eq_ignore_ascii_case(b"false") || value == b"0";
        if is_true || is_false {
            self.append_value(is_true);
        }
        is_true || is_false
    }

    fn push_missing(&mut self) {
        self.append_null();
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.finish())
    }
}

impl Column for StringBuilder {
    fn push(&mut self, value: &[u8]) -> bool {
        let text = std::str::from_utf8(value);
        if let Ok(text) = text {
            self.append_value(text);
        }
        text.is_ok()
    }

    fn push_missing(&mut self) {
        self.append_null();
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.finish())
    }
}

/// Numbers, each read by `parse`.
struct Primitive<T: ArrowPrimitiveType, P> {
    values: Values<T>,
    parse: P,
}

fn primitive<T: ArrowPrimitiveType>(parse: impl Fn(Cell<'_>) -> Option<T::Native> + 'static) -> Box<dyn Column> {
    Box::new(Primitive::<T, _> { values: Values::default(), parse })
}

impl<T: ArrowPrimitiveType, P: Fn(Cell<'_>) -> Option<T::Native>> Column for Primitive<T, P> {
    fn push(&mut self, value: &[u8]) -> bool {
        let value = (self.parse)(Cell::whole(value));
        if let Some(value) = value {
            self.values.push(value);
        }
        value.is_some()
    }

    fn push_missing(&mut self) {
        self.values.push_missing();
    }

    fn push_page(&mut self, cells: Cells<'_, '_>, options: &Options) -> Result<(), usize> {
        // Where no number stands for a missing value, what is a number is not missing.
        let is_clear = options.null_values.iter().all(|value| (self.parse)(Cell::whole(value.as_bytes())).is_none());
        self.values.reserve(cells.rows());
        for (row, cell) in cells.iter().enumerate() {
            match (self.parse)(cell) {
                Some(number) if is_clear || !options.is_missing(cell.bytes()) => self.values.push(number),
                _ if options.is_missing(cell.bytes()) => self.values.push_missing(),
                _ => return Err(row),
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.values.finish())
    }
}

/// Dates and moments, read by Arrow's parser. The same ones tend to follow each other, so those read lately are remembered.
struct Parsed<T: ArrowPrimitiveType> {
    values: Values<T>,
    data_type: DataType,
    recent: Vec<(Vec<u8>, Option<T::Native>)>,
    hasher: RandomState,
}

/// How many moments are remembered, each in the place that its text chooses.
const RECENT: u64 = 256;

fn parsed<T: ArrowPrimitiveType + Parser>(zone: Option<&str>) -> Box<dyn Column> {
    let data_type = match (T::DATA_TYPE, zone) {
        (DataType::Timestamp(unit, _), Some(zone)) => DataType::Timestamp(unit, Some(zone.into())),
        (other, _) => other,
    };
    let recent = vec![(Vec::new(), None); RECENT as usize];
    Box::new(Parsed::<T> { values: Values::default(), data_type, recent, hasher: RandomState::new() })
}

impl<T: ArrowPrimitiveType + Parser> Column for Parsed<T> {
    fn push(&mut self, value: &[u8]) -> bool {
        let (text, known) = &mut self.recent[(self.hasher.hash_one(value) % RECENT) as usize];
        if known.is_none() || text != value {
            *known = std::str::from_utf8(value).ok().and_then(T::parse);
            value.clone_into(text);
        }
        known.inspect(|parsed| self.values.push(*parsed)).is_some()
    }

    fn push_missing(&mut self) {
        self.values.push_missing();
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.values.finish().with_data_type(self.data_type.clone()))
    }
}
