//! A text column that keeps each different value once.

use std::sync::Arc;

use ahash::RandomState;
use arrow_array::builder::{ArrayBuilder, Int32Builder, StringBuilder};
use arrow_array::{ArrayRef, DictionaryArray};
use hashbrown::HashTable;

use super::column::Column;

/// Collects text as a dictionary; values get their keys in the order of their first appearance.
#[derive(Default)]
pub struct DictionaryColumn {
    keys: Int32Builder,
    values: StringBuilder,
    table: HashTable<i32>,
    hasher: RandomState,
}

impl DictionaryColumn {
    fn key(&mut self, value: &[u8]) -> Option<i32> {
        let Self { values, table, hasher, .. } = self;
        let hash = hasher.hash_one(value);
        if let Some(key) = table.find(hash, |key| stored(values, *key) == value) {
            return Some(*key);
        }
        let text = std::str::from_utf8(value).ok()?;
        let key = i32::try_from(values.len()).ok()?;
        table.insert_unique(hash, key, |key| hasher.hash_one(stored(values, *key)));
        values.append_value(text);
        Some(key)
    }
}

/// The bytes of the value that `key` stands for.
fn stored(values: &StringBuilder, key: i32) -> &[u8] {
    let offsets = values.offsets_slice();
    let key = key as usize;
    &values.values_slice()[offsets[key] as usize..offsets[key + 1] as usize]
}

impl Column for DictionaryColumn {
    fn push(&mut self, value: &[u8]) -> bool {
        let key = self.key(value);
        if let Some(key) = key {
            self.keys.append_value(key);
        }
        key.is_some()
    }

    fn push_missing(&mut self) {
        self.keys.append_null();
    }

    fn finish(&mut self) -> ArrayRef {
        let built = std::mem::take(self);
        let Self { mut keys, mut values, .. } = built;
        Arc::new(DictionaryArray::new(keys.finish(), Arc::new(values.finish())))
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int32Type;

    use super::*;

    #[test]
    fn keeps_each_value_once() {
        let mut column = DictionaryColumn::default();
        for value in ["EWR", "JFK", "", "EWR"] {
            assert!(column.push(value.as_bytes()));
        }
        column.push_missing();
        assert!(!column.push(b"\xff"));
        let array = Column::finish(&mut column);
        let array = array.as_dictionary::<Int32Type>();
        assert_eq!(array.values().as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["EWR", "JFK", ""]);
        assert_eq!(array.keys().iter().collect::<Vec<_>>(), [Some(0), Some(1), Some(2), Some(0), None]);
        assert_eq!(Column::finish(&mut column).len(), 0);
    }
}
