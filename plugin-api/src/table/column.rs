//! Columns by name, with errors that say which column, what was expected and what was found.

use arrow_array::{
    Array, ArrayRef, Float16Array, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array,
    LargeStringArray, StringArray, StringViewArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array, cast::AsArray,
};
use arrow_schema::{DataType, Schema};

use super::Table;
use crate::{Error, Result};

impl Table {
    /// The column `name` of all rows: as it is if the table has one batch, else copied together.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use plugin_api::arrow::array::{ArrayRef, Int64Array};
    /// # use plugin_api::prelude::*;
    /// let table = Table::from_columns([("hour", Arc::new(Int64Array::from(vec![6, 7])) as ArrayRef)]).unwrap();
    /// assert_eq!(table.column("hour").unwrap().len(), 2);
    /// let error = table.column("hours").unwrap_err();
    /// assert_eq!(error.to_string(), "the table has no column `hours`");
    /// assert_eq!(error.hint(), Some("its columns are: hour"));
    /// ```
    #[track_caller]
    pub fn column(&self, name: &str) -> Result<ArrayRef> {
        let index = self.column_index(name)?;
        match self.batches.as_slice() {
            [] => Ok(arrow_array::new_empty_array(self.schema.field(index).data_type())),
            [batch] => Ok(batch.column(index).clone()),
            batches => {
                let parts: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(index).as_ref()).collect();
                Ok(arrow_select::concat::concat(&parts)?)
            }
        }
    }

    /// The column `name` as an array of a certain type (`Float64Array`, …).
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use plugin_api::arrow::array::{ArrayRef, Float64Array, Int64Array};
    /// # use plugin_api::prelude::*;
    /// # let table = Table::from_columns([("hour", Arc::new(Int64Array::from(vec![6, 7])) as ArrayRef)]).unwrap();
    /// let hours: Int64Array = table.typed("hour").unwrap();
    /// assert_eq!(hours.value(1), 7);
    /// let error = table.typed::<Float64Array>("hour").unwrap_err();
    /// assert!(error.to_string().starts_with("the column `hour` is of type Int64, expected"));
    /// ```
    #[track_caller]
    pub fn typed<A: Array + Clone + 'static>(&self, name: &str) -> Result<A> {
        let column = self.column(name)?;
        match column.as_any().downcast_ref::<A>() {
            Some(array) => Ok(array.clone()),
            None => Err(Error::new(format!(
                "the column `{name}` is of type {}, expected a {}",
                column.data_type(),
                crate::short_type_name::<A>()
            ))),
        }
    }

    /// The column `name` as numbers, from any numeric type; what is missing is `NaN`.
    #[track_caller]
    pub fn numbers(&self, name: &str) -> Result<Vec<f64>> {
        let index = self.column_index(name)?;
        let mut numbers = Vec::with_capacity(self.num_rows());
        for batch in &self.batches {
            if append_numbers(batch.column(index), &mut numbers).is_none() {
                let found = batch.column(index).data_type();
                return Err(Error::new(format!("the column `{name}` is of type {found}, expected numbers")));
            }
        }
        Ok(numbers)
    }

    /// The column `name` as strings, from any string type.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use plugin_api::arrow::array::{ArrayRef, StringArray};
    /// # use plugin_api::prelude::*;
    /// let names = StringArray::from(vec![Some("EWR"), None]);
    /// let table = Table::from_columns([("origin", Arc::new(names) as ArrayRef)]).unwrap();
    /// let origins = table.strings("origin").unwrap();
    /// assert_eq!(origins.get(0), Some("EWR"));
    /// assert_eq!(origins.iter().flatten().count(), 1);
    /// ```
    #[track_caller]
    pub fn strings(&self, name: &str) -> Result<Strings> {
        let column = self.column(name)?;
        Strings::of(&column).ok_or_else(|| {
            Error::new(format!("the column `{name}` is of type {}, expected strings", column.data_type()))
        })
    }

    #[track_caller]
    fn column_index(&self, name: &str) -> Result<usize> {
        index_of(&self.schema, name)
    }
}

/// Where the column `name` stands.
#[track_caller]
pub(super) fn index_of(schema: &Schema, name: &str) -> Result<usize> {
    match schema.column_with_name(name) {
        Some((index, _)) => Ok(index),
        None => {
            let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            Err(Error::new(format!("the table has no column `{name}`"))
                .with_hint(format!("its columns are: {}", columns.join(", "))))
        }
    }
}

/// A column of strings, whichever way Arrow holds them: plain, large, as views, or as a dictionary of any of these.
#[derive(Clone, Debug)]
pub struct Strings {
    values: Values,
    /// Of a dictionary: for each row, which value; `None` where it is missing.
    keys: Option<Vec<Option<usize>>>,
}

#[derive(Clone, Debug)]
enum Values {
    Utf8(StringArray),
    LargeUtf8(LargeStringArray),
    View(StringViewArray),
}

impl Strings {
    fn of(column: &ArrayRef) -> Option<Self> {
        let Some(dictionary) = column.as_any_dictionary_opt() else {
            return Some(Strings { values: Values::of(column)?, keys: None });
        };
        let values = Values::of(dictionary.values())?;
        if values.len() == 0 {
            return Some(Strings { values, keys: Some(vec![None; column.len()]) }); // then every row is missing
        }
        let keys = dictionary.normalized_keys().into_iter().enumerate();
        let keys = keys.map(|(row, key)| column.is_valid(row).then_some(key)).collect();
        Some(Strings { values, keys: Some(keys) })
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.keys.as_ref().map_or_else(|| self.values.len(), Vec::len)
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The string of a row; `None` if it is missing or the row is.
    pub fn get(&self, row: usize) -> Option<&str> {
        match &self.keys {
            Some(keys) => self.values.get((*keys.get(row)?)?),
            None => self.values.get(row),
        }
    }

    /// The strings of all rows.
    pub fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        (0..self.len()).map(|row| self.get(row))
    }
}

impl Values {
    fn of(array: &ArrayRef) -> Option<Self> {
        match array.data_type() {
            DataType::Utf8 => array.as_string_opt().cloned().map(Values::Utf8),
            DataType::LargeUtf8 => array.as_string_opt().cloned().map(Values::LargeUtf8),
            DataType::Utf8View => array.as_string_view_opt().cloned().map(Values::View),
            _ => None,
        }
    }

    fn len(&self) -> usize {
        match self {
            Values::Utf8(array) => array.len(),
            Values::LargeUtf8(array) => array.len(),
            Values::View(array) => array.len(),
        }
    }

    fn get(&self, row: usize) -> Option<&str> {
        if row >= self.len() {
            return None;
        }
        match self {
            Values::Utf8(array) => array.is_valid(row).then(|| array.value(row)),
            Values::LargeUtf8(array) => array.is_valid(row).then(|| array.value(row)),
            Values::View(array) => array.is_valid(row).then(|| array.value(row)),
        }
    }
}

/// Appends a column's numbers; `None` if it holds none.
fn append_numbers(column: &ArrayRef, numbers: &mut Vec<f64>) -> Option<()> {
    macro_rules! append {
        ($array:ty, $convert:expr) => {{
            let array = column.as_any().downcast_ref::<$array>()?;
            let convert = $convert;
            if array.null_count() == 0 {
                numbers.extend(array.values().iter().copied().map(convert));
            } else {
                numbers.extend(array.iter().map(|value| value.map_or(f64::NAN, convert)));
            }
        }};
    }
    match column.data_type() {
        DataType::Float64 => append!(Float64Array, |value: f64| value),
        DataType::Float32 => append!(Float32Array, f64::from),
        DataType::Float16 => append!(Float16Array, f64::from),
        DataType::Int64 => append!(Int64Array, |value: i64| value as f64),
        DataType::Int32 => append!(Int32Array, f64::from),
        DataType::Int16 => append!(Int16Array, f64::from),
        DataType::Int8 => append!(Int8Array, f64::from),
        DataType::UInt64 => append!(UInt64Array, |value: u64| value as f64),
        DataType::UInt32 => append!(UInt32Array, f64::from),
        DataType::UInt16 => append!(UInt16Array, f64::from),
        DataType::UInt8 => append!(UInt8Array, f64::from),
        DataType::Null => numbers.extend(std::iter::repeat_n(f64::NAN, column.len())),
        _ => return None,
    }
    Some(())
}
