//! A text column that keeps each different value once.

use std::sync::Arc;

use ahash::RandomState;
use arrow_array::builder::{ArrayBuilder, StringBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray};
use hashbrown::HashTable;

use super::cell::Word;
use super::column::Column;
use super::options::Options;
use super::page::Cells;
use super::values::Values;

/// Collects text as a dictionary; values get their keys in the order of their first appearance.
#[derive(Default)]
pub struct DictionaryColumn {
    keys: Values<Int32Type>,
    values: StringBuilder,
    table: HashTable<i32>,
    hasher: RandomState,
    recent: Recent,
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

    fn push_key(&mut self, key: i32) {
        match key {
            MISSING => self.keys.push_missing(),
            key => self.keys.push(key),
        }
    }
}

/// Stands for no value.
const MISSING: i32 = -1;

/// Which keys short texts had lately that were not quoted: columns of codes are mostly made of few.
struct Recent(Box<[(u64, i32)]>);

impl Recent {
    /// A power of two; with 16 bytes each they stay in the cache.
    const PLACES: usize = 4096;

    fn place(short: u64) -> usize {
        // Fibonacci hashing: the upper bits depend on all others.
        (short.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - Self::PLACES.trailing_zeros())) as usize
    }

    #[inline]
    fn get(&self, short: u64) -> Option<i32> {
        let (known, key) = self.0[Self::place(short)];
        (known == short).then_some(key)
    }

    fn put(&mut self, short: u64, key: i32) {
        self.0[Self::place(short)] = (short, key);
    }
}

impl Default for Recent {
    fn default() -> Self {
        // No text has this number: its length would be 255.
        Self(vec![(u64::MAX, 0); Self::PLACES].into())
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
            self.keys.push(key);
        }
        key.is_some()
    }

    fn push_missing(&mut self) {
        self.keys.push_missing();
    }

    fn push_page(&mut self, cells: Cells<'_, '_>, options: &Options) -> Result<(), usize> {
        self.keys.reserve(cells.rows());
        for (row, cell) in cells.iter().enumerate() {
            let short = cell.word().and_then(Word::tagged);
            if let Some(key) = short.and_then(|short| self.recent.get(short)) {
                self.push_key(key);
                continue;
            }
            let value = cell.bytes();
            let key = if options.is_missing(value) { MISSING } else { self.key(value).ok_or(row)? };
            if let Some(short) = short {
                self.recent.put(short, key);
            }
            self.push_key(key);
        }
        Ok(())
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

    use super::*;

    #[test]
    fn many_values_are_told_apart() {
        let mut column = DictionaryColumn::default();
        let values: Vec<String> = (0..20_000).map(|n| format!("N{}", n % 9_000)).collect();
        for value in &values {
            assert!(column.push(value.as_bytes()));
        }
        let array = Column::finish(&mut column);
        let array = array.as_dictionary::<Int32Type>();
        assert_eq!(array.values().len(), 9_000);
        assert!(array.downcast_dict::<arrow_array::StringArray>().expect("text").into_iter().flatten().eq(&values));
    }

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
