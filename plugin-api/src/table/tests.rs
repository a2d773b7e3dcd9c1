#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Float32Array, Float64Array, Int8Array, Int64Array,
    LargeStringArray, RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray,
    types::{Int8Type, Int32Type},
};
use arrow_schema::{DataType, Field, Schema};

use super::{LazyTable, Table};
use crate::{
    Chunks,
    abi::{Call, CallHost, Failure, InputBlock, OutputBuffer, SharedBytes},
    context::Context,
    node::Input,
    output::Output,
    testing::{MemoryHost, block},
};

fn flights() -> Table {
    let delays = Float64Array::from(vec![Some(1.5), None, Some(-3.0)]);
    let origins = StringArray::from(vec![Some("EWR"), Some("JFK"), None]);
    let hours = Int64Array::from(vec![5, 6, 7]);
    Table::from_columns([
        ("delay", Arc::new(delays) as ArrayRef),
        ("origin", Arc::new(origins) as ArrayRef),
        ("hour", Arc::new(hours) as ArrayRef),
    ])
    .unwrap()
}

fn range(bytes: &[u8]) -> Range<usize> {
    let start = bytes.as_ptr() as usize;
    start..start + bytes.len()
}

#[test]
fn columns_lie_in_the_block_itself() {
    let block = block(flights()).unwrap();
    let mapped = range(&block.bytes);
    let table = Table::from_block(block).unwrap();
    let mut buffers = 0;
    for column in table.batches()[0].columns() {
        let data = column.to_data();
        let nulls = data.nulls().map(|nulls| nulls.buffer());
        for buffer in data.buffers().iter().chain(nulls) {
            assert!(mapped.contains(&(buffer.as_ptr() as usize)), "a buffer of {} was copied", column.data_type());
            buffers += 1;
        }
    }
    assert_eq!(buffers, 6); // values, nulls; offsets, values, nulls; values
    assert_eq!(table, flights());
}

#[test]
fn buffers_are_aligned_to_64_bytes_in_the_block() {
    let block = block(flights()).unwrap();
    let start = block.bytes.as_ptr() as usize;
    let table = Table::from_block(block).unwrap();
    for column in table.batches()[0].columns() {
        for buffer in column.to_data().buffers() {
            assert_eq!((buffer.as_ptr() as usize - start) % 64, 0);
        }
    }
}

#[test]
fn a_stashed_column_keeps_the_mapping() {
    struct Mapping(Vec<u8>, Arc<AtomicBool>);
    impl AsRef<[u8]> for Mapping {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    impl Drop for Mapping {
        fn drop(&mut self) {
            self.1.store(true, Ordering::Relaxed);
        }
    }
    let gone = Arc::new(AtomicBool::new(false));
    let bytes = block(flights()).unwrap().bytes.to_vec();
    let shared = SharedBytes::from_owner(Arc::new(Mapping(bytes, Arc::clone(&gone))));
    let table = Table::from_block(InputBlock::new(shared, "arrow", "")).unwrap();
    let hours = table.column("hour").unwrap();
    drop(table);
    assert!(!gone.load(Ordering::Relaxed));
    drop(hours);
    assert!(gone.load(Ordering::Relaxed));
}

#[test]
fn bytes_that_are_not_aligned_are_understood_too() {
    let good = block(flights()).unwrap();
    for shift in 1..16 {
        let mut bytes = vec![0; shift];
        bytes.extend_from_slice(&good.bytes);
        let length = bytes.len();
        let shifted = SharedBytes::from(bytes).slice(shift..length).unwrap();
        assert_eq!(Table::from_block(InputBlock::new(shifted, "arrow", "")).unwrap(), flights());
    }
}

/// Counts how often memory was asked for.
#[derive(Default)]
struct Counting {
    host: MemoryHost,
    asked: AtomicUsize,
}

impl CallHost for Counting {
    fn argument(&self) -> &str {
        "{}"
    }
    fn input(&self, port: u32) -> Result<Option<InputBlock>, Failure> {
        self.host.input(port)
    }
    fn allocate(&self, port: u32, capacity: u64) -> Result<OutputBuffer, Failure> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.host.allocate(port, capacity)
    }
    fn grow(&self, buffer: OutputBuffer, capacity: u64) -> Result<OutputBuffer, Failure> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.host.grow(buffer, capacity)
    }
    fn discard(&self, id: u64) {
        self.host.discard(id);
    }
    fn commit(&self, id: u64, length: u64, format: &str, metadata: &str) -> Result<(), Failure> {
        self.host.commit(id, length, format, metadata)
    }
    fn progress(&self, _done: u64, _total: u64) {}
    fn is_cancelled(&self) -> bool {
        false
    }
}

#[test]
fn memory_for_a_table_is_asked_for_once() {
    let host = Counting::default();
    let batch = flights().into_batches().remove(0);
    let table = Table::new(batch.schema(), vec![batch; 50]).unwrap();
    Context::scope(Call::new(&host), &["t"], |ctx| table.clone().write(&ctx.output(0, "t"))).unwrap();
    assert_eq!(host.asked.load(Ordering::Relaxed), 1);
    let block = host.host.take_output(0).unwrap();
    assert_eq!(Table::from_block(block).unwrap(), table);
}

#[test]
fn the_metadata_tells_rows_and_columns() {
    let block = block(flights()).unwrap();
    let metadata: serde_json::Value = serde_json::from_str(&block.metadata).unwrap();
    let columns = serde_json::json!([["delay", "Float64"], ["origin", "Utf8"], ["hour", "Int64"]]);
    assert_eq!(metadata, serde_json::json!({ "rows": 3, "columns": columns }));
}

#[test]
fn tables_of_every_shape_survive_the_way() {
    let keys: DictionaryArray<Int32Type> = ["a", "b", "a"].into_iter().collect();
    let rich = Table::from_columns([
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])) as ArrayRef),
        ("key", Arc::new(keys) as ArrayRef),
        (
            "view",
            Arc::new(StringViewArray::from(vec!["short", "a string that is longer than twelve bytes", ""])) as ArrayRef,
        ),
        ("time", Arc::new(TimestampMicrosecondArray::from(vec![1, 2, 3]).with_timezone("UTC")) as ArrayRef),
    ])
    .unwrap();
    let sliced = Table::from(flights().batches()[0].slice(1, 2));
    let schema = flights().schema().clone();
    let empty = Table::new(Arc::clone(&schema), vec![]).unwrap();
    let no_rows = Table::from(RecordBatch::new_empty(schema));
    let no_columns = Table::new(Arc::new(Schema::empty()), vec![]).unwrap();
    for table in [rich, sliced, empty, no_rows, no_columns] {
        let back = Table::from_block(block(table.clone()).unwrap()).unwrap();
        assert_eq!(back, table);
    }
}

#[test]
fn an_array_that_is_a_slice_takes_its_own_rows_along_only() {
    let numbers = Table::from_columns([("x", Arc::new(Int64Array::from_iter_values(0..100_000)) as ArrayRef)]).unwrap();
    let block = block(Table::from(numbers.batches()[0].slice(5, 10))).unwrap();
    assert!(block.bytes.len() < 2000, "{} bytes", block.bytes.len());
}

#[test]
fn batches_must_agree() {
    let one = flights().into_batches().remove(0);
    let other = Table::from_columns([("delay", Arc::new(Int64Array::from(vec![1])) as ArrayRef)])
        .unwrap()
        .into_batches()
        .remove(0);
    let error = Table::new(one.schema(), vec![one.clone(), other.clone()]).unwrap_err();
    assert!(
        error.to_string().contains("expected the column `delay` of type Float64, found `delay` of type Int64"),
        "{error}"
    );
    let failure = block(vec![one.clone(), other]).unwrap_err();
    assert!(failure.to_string().contains("differ"), "{failure}");
    let fewer = one.project(&[0]).unwrap();
    assert!(block(vec![one, fewer]).unwrap_err().to_string().contains("one has 3 columns, another 1"));
}

#[test]
fn chunks_make_one_table() {
    let batch = flights().into_batches().remove(0);
    let table = Table::from_block(block(Chunks(vec![batch.clone(), batch.clone()])).unwrap()).unwrap();
    assert_eq!((table.batches().len(), table.num_rows()), (2, 6));
    assert_eq!(table.strings("origin").unwrap().get(3), Some("EWR"));

    let none: Vec<Table> = Vec::new();
    assert!(block(Chunks(none)).unwrap_err().hint.contains("at least one batch"));
    let failing = vec![Ok(Table::from(batch)), Err(crate::Error::new("line 7 is ragged"))];
    assert_eq!(block(Chunks(failing)).unwrap_err().message, "line 7 is ragged");
}

#[test]
fn columns_of_any_numeric_type_are_numbers() {
    let table = Table::from_columns([
        ("f32", Arc::new(Float32Array::from(vec![Some(0.5), None])) as ArrayRef),
        ("i8", Arc::new(Int8Array::from(vec![-1, 1])) as ArrayRef),
        ("large", Arc::new(LargeStringArray::from(vec!["a", "b"])) as ArrayRef),
    ])
    .unwrap();
    let halves = table.numbers("f32").unwrap();
    assert_eq!(halves[0], 0.5);
    assert!(halves[1].is_nan());
    assert_eq!(table.numbers("i8").unwrap(), [-1.0, 1.0]);
    assert_eq!(table.strings("large").unwrap().iter().flatten().collect::<String>(), "ab");
    assert_eq!(
        table.numbers("large").unwrap_err().to_string(),
        "the column `large` is of type LargeUtf8, expected numbers"
    );
    assert_eq!(table.strings("i8").unwrap_err().to_string(), "the column `i8` is of type Int8, expected strings");
    assert!(table.typed::<StringArray>("nothing").unwrap_err().place().unwrap().contains("table/tests.rs"));
}

#[test]
fn a_dictionary_of_strings_is_strings() {
    let keys = vec![Some(1), None, Some(0), Some(1)].into_iter().collect::<arrow_array::Int8Array>();
    let dictionary = DictionaryArray::new(keys, Arc::new(LargeStringArray::from(vec!["EWR", "JFK"])));
    let empty: DictionaryArray<Int32Type> = vec![None::<&str>, None].into_iter().collect();
    let table = Table::from_columns([("origin", Arc::new(dictionary) as ArrayRef)]).unwrap();
    let origins = table.strings("origin").unwrap();
    assert_eq!(origins.iter().collect::<Vec<_>>(), [Some("JFK"), None, Some("EWR"), Some("JFK")]);
    assert_eq!(origins.get(4), None);
    let table = Table::from_columns([("nothing", Arc::new(empty) as ArrayRef)]).unwrap();
    assert_eq!(table.strings("nothing").unwrap().iter().collect::<Vec<_>>(), [None, None]);
}

#[test]
fn concatenating_nothing_gives_no_rows() {
    let schema = Arc::new(Schema::new(vec![Field::new("x", DataType::Int64, true)]));
    let table = Table::new(schema, vec![]).unwrap();
    assert_eq!(table.concat().unwrap().num_rows(), 0);
    assert_eq!(table.column("x").unwrap().len(), 0);
    assert!(table.numbers("x").unwrap().is_empty());
}

/// The block of `block` with its bytes changed.
fn changed(block: &InputBlock, change: impl FnOnce(&mut Vec<u8>)) -> InputBlock {
    let mut bytes = block.bytes.to_vec();
    change(&mut bytes);
    InputBlock::new(bytes.into(), "arrow", "")
}

#[test]
fn columns_that_are_selected_lie_in_the_block_in_the_order_asked_for() {
    let block = block(flights()).unwrap();
    let mapped = range(&block.bytes);
    let lazy = LazyTable::from_block(block).unwrap();
    assert_eq!(lazy.schema(), flights().schema());
    let selected = lazy.select(["hour", "delay"]).unwrap();
    assert_eq!(selected, Table::from(flights().batches()[0].project(&[2, 0]).unwrap()));
    for column in selected.batches()[0].columns() {
        assert!(mapped.contains(&(column.to_data().buffers()[0].as_ptr() as usize)));
    }
    assert_eq!(lazy.read().unwrap(), flights());
    assert_eq!(lazy.select::<&str>([]).unwrap().num_rows(), 3);
    let error = lazy.select(["hour", "origins"]).unwrap_err();
    assert_eq!(error.to_string(), "the table has no column `origins`");
    assert_eq!(error.hint(), Some("its columns are: delay, origin, hour"));
    assert!(error.place().unwrap().contains("table/tests.rs"));
}

#[test]
fn a_column_is_checked_before_it_is_given_and_no_other_is() {
    let keys = arrow_array::Int8Array::from(vec![1; 77]);
    let codes = DictionaryArray::<Int8Type>::new(keys, Arc::new(StringArray::from(vec!["EWR", "JFK"])));
    let table = Table::from_columns([
        ("code", Arc::new(codes) as ArrayRef),
        ("name", Arc::new(StringArray::from(vec!["caf\u{e9}"; 77])) as ArrayRef),
        ("hour", Arc::new(Int64Array::from_iter_values(0..77)) as ArrayRef),
    ])
    .unwrap();
    let hours = Table::from(table.batches()[0].project(&[2]).unwrap());
    let block = block(table).unwrap();
    let bad_keys = changed(&block, |bytes| {
        let place = bytes.windows(77).position(|window| window == [1; 77]).unwrap();
        bytes[place + 76] = 2;
    });
    let bad_text = changed(&block, |bytes| {
        let place = bytes.windows(5).rposition(|window| window == "caf\u{e9}".as_bytes()).unwrap();
        bytes[place + 3] = 0xff;
    });
    for (block, bad, good) in [(bad_keys, "code", "name"), (bad_text, "name", "code")] {
        assert!(Table::from_block(block.clone()).is_err());
        let lazy = LazyTable::from_block(block).unwrap();
        assert_eq!(lazy.select(["hour"]).unwrap(), hours);
        assert_eq!(lazy.select([good]).unwrap().num_rows(), 77);
        let failure = Failure::from(lazy.select(["hour", bad]).unwrap_err());
        assert_eq!(failure.message, "the block is no well-formed Arrow stream");
        assert!(lazy.select([bad]).is_err() && lazy.read().is_err());
    }
}

#[test]
fn of_a_block_that_was_cut_off_nothing_is_read() {
    let batch = flights().into_batches().remove(0);
    let block = block(vec![batch.clone(), batch]).unwrap();
    let whole = Table::from_block(block.clone()).unwrap();
    let mut fewer = Vec::new();
    for length in 0..block.bytes.len() {
        let cut = changed(&block, |bytes| bytes.truncate(length));
        match LazyTable::from_block(cut).and_then(|lazy| lazy.select(["hour"])) {
            Ok(table) => fewer.push(table.batches().len()),
            Err(error) => assert!(error.to_string().starts_with("the block "), "{error}"),
        }
    }
    // Between two messages a stream may end as well, without the mark that ends it.
    assert_eq!((fewer, whole.batches().len()), (vec![0, 1, 2], 2));
    let longer = changed(&block, |bytes| bytes.push(0));
    assert!(Table::from_block(longer).is_err());
}

#[test]
fn a_batch_has_the_dictionary_that_came_before_it() {
    let batch = |names: [&str; 2]| {
        let codes: DictionaryArray<Int32Type> = names.into_iter().collect();
        RecordBatch::try_from_iter([
            ("hour", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef),
            ("code", Arc::new(codes)),
        ])
        .unwrap()
    };
    let batches = vec![batch(["EWR", "JFK"]), batch(["LGA", "EWR"]), batch(["LGA", "EWR"])];
    let table = Table::new(batches[0].schema(), batches).unwrap();
    let lazy = LazyTable::from_block(block(table.clone()).unwrap()).unwrap();
    let codes = lazy.select(["code"]).unwrap();
    assert_eq!(
        codes.strings("code").unwrap().iter().flatten().collect::<Vec<_>>(),
        ["EWR", "JFK", "LGA", "EWR", "LGA", "EWR"]
    );
    assert_eq!(lazy.read().unwrap(), table);
}
