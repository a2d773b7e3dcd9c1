//! Tests that hold for every format of tables.

use std::path::Path;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::SchemaRef;
use plugin_api::{Bytes, Json, Table, Text, testing};
use serde_json::{Value, json};

use crate::arrow_file::ArrowFile;
use crate::bytes::BytesFile;
use crate::csv::Csv;
use crate::json::JsonFile;
use crate::ndjson::Ndjson;
use crate::parquet::Parquet;
use crate::problem::Result;
use crate::text::TextFile;
use crate::{arrow_file, ndjson, parquet};

type Load = fn(&Path, &Value) -> Result<(SchemaRef, Vec<RecordBatch>)>;
type Save = fn(&Path, &Value, &SchemaRef, &[RecordBatch]) -> Result<()>;

const TYPED: [(&str, Load, Save); 2] =
    [("t.parquet", parquet::load, parquet::save), ("t.arrow", arrow_file::load, arrow_file::save)];

fn batch() -> RecordBatch {
    let origin: DictionaryArray<Int32Type> = [Some("EWR"), None, Some("JFK"), Some("EWR")].into_iter().collect();
    let columns: [(&str, ArrayRef); 5] = [
        ("text", Arc::new(StringArray::from(vec![Some("a"), Some(""), None, Some("é")]))),
        ("float", Arc::new(Float64Array::from(vec![Some(0.1), None, Some(-0.0), Some(1e300)]))),
        ("integer", Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(0), Some(7)]))),
        ("boolean", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true)]))),
        ("origin", Arc::new(origin)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).expect("batch")
}

fn united(schema: &SchemaRef, batches: &[RecordBatch]) -> RecordBatch {
    arrow_select::concat::concat_batches(schema, batches).expect("one batch")
}

#[test]
fn what_is_saved_loads_equal_with_its_schema() {
    let directory = tempfile::tempdir().expect("directory");
    let whole = batch();
    let cases = [vec![whole.clone()], vec![whole.slice(0, 1), whole.slice(1, 3)], vec![whole.slice(0, 0)], vec![]];
    for (name, load, save) in TYPED {
        let path = directory.path().join(name);
        for batches in &cases {
            save(&path, &Value::Null, &whole.schema(), batches).expect(name);
            let (schema, loaded) = load(&path, &Value::Null).expect(name);
            assert_eq!(schema, whole.schema(), "{name}");
            assert_eq!(united(&schema, &loaded), united(&schema, batches), "{name}");
        }
    }
}

#[test]
fn batches_with_different_dictionaries_become_one_file() {
    let directory = tempfile::tempdir().expect("directory");
    let origin = |value: &str| -> RecordBatch {
        let column: DictionaryArray<Int32Type> = [value].into_iter().collect();
        RecordBatch::try_from_iter([("origin", Arc::new(column) as ArrayRef)]).expect("batch")
    };
    let batches = [origin("EWR"), origin("JFK")];
    for (name, load, save) in TYPED {
        let path = directory.path().join(name);
        save(&path, &Value::Null, &batches[0].schema(), &batches).expect(name);
        let (schema, loaded) = load(&path, &Value::Null).expect(name);
        assert_eq!(united(&schema, &loaded).num_rows(), 2, "{name}");
    }
}

#[test]
fn a_file_of_another_format_is_named() {
    let directory = tempfile::tempdir().expect("directory");
    for (name, load, _) in TYPED {
        let path = directory.path().join(name);
        for content in ["", "a,b\n1,2\n", "ARROW1", "PAR1PAR1"] {
            std::fs::write(&path, content).expect("file");
            let problem = load(&path, &Value::Null).expect_err("another format");
            assert!(problem.to_string().contains(name), "{problem}");
        }
        let missing = load(&directory.path().join("none"), &Value::Null).expect_err("missing");
        assert!(missing.to_string().ends_with("there is no such file"), "{missing}");
        let directory = load(directory.path(), &Value::Null).expect_err("a directory");
        assert!(directory.to_string().ends_with("it is a directory"), "{directory}");
    }
}

#[test]
fn a_full_disk_is_called_so_whoever_writes() {
    let whole = batch();
    for (name, _, save) in TYPED {
        let problem = save(Path::new("/dev/full"), &Value::Null, &whole.schema(), std::slice::from_ref(&whole));
        assert_eq!(problem.expect_err(name).to_string(), "cannot write `/dev/full`: the disk is full");
    }
    let problem = ndjson::save(Path::new("/dev/full"), &Value::Null, &[whole]).expect_err("full");
    assert_eq!(problem.to_string(), "cannot write `/dev/full`: the disk is full");
}

#[test]
fn parquet_loads_only_the_wanted_columns() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("t.parquet");
    parquet::save(&path, &json!({ "compression": "zstd" }), &batch().schema(), &[batch()]).expect("saved");
    let (schema, _) = parquet::load(&path, &json!({ "columns": ["integer", "text"] })).expect("loaded");
    assert_eq!(schema.fields().len(), 2);
    let problem = parquet::load(&path, &json!({ "columns": ["nothing"] })).expect_err("no such column");
    assert!(problem.to_string().contains("there is no column `nothing`"), "{problem}");
}

#[test]
fn parquet_takes_a_name_with_a_dot_for_one_column() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("t.parquet");
    let lengths = || Arc::new(Float64Array::from(vec![1.5])) as ArrayRef;
    let batch = RecordBatch::try_from_iter(["Sepal", "Sepal.Length", "Sepal.Width"].map(|name| (name, lengths())));
    let batch = batch.expect("batch");
    parquet::save(&path, &Value::Null, &batch.schema(), std::slice::from_ref(&batch)).expect("saved");
    let (schema, loaded) = parquet::load(&path, &json!({ "columns": ["Sepal.Length"] })).expect("loaded");
    assert_eq!(united(&schema, &loaded), batch.project(&[1]).expect("one column"));
}

#[test]
fn ndjson_loses_nothing_of_late_rows() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("t.ndjson");
    let write = |last: &str| std::fs::write(&path, "{\"a\":1}\n".repeat(1500) + last).expect("file");
    write("{\"a\":1.9,\"b\":true}\n");
    let (schema, loaded) = ndjson::load(&path, &Value::Null).expect("loaded");
    let loaded = united(&schema, &loaded);
    let last = loaded.slice(1500, 1);
    assert_eq!(last.column_by_name("a").expect("a").as_ref(), &Float64Array::from(vec![1.9]));
    assert_eq!(last.column_by_name("b").expect("b").as_ref(), &BooleanArray::from(vec![true]));

    let check = |options: Value, expected: &str| {
        let problem = ndjson::load(&path, &options).expect_err(expected);
        let message =
            format!("{problem} {}", std::error::Error::source(&problem).map_or_else(String::new, ToString::to_string));
        assert!(message.contains(expected), "{message}");
        assert!(problem.hint_text().is_some(), "{message}");
    };
    check(json!({ "types": { "a": "int64" } }), "line 1501, column `a`: 1.9 is no int64");
    check(json!({ "types": { "a": "timestamp_s" } }), "line 1501, column `a`: 1.9 is no timestamp_s");
    check(json!({ "infer_rows": 1000 }), "line 1501, column `a`: 1.9 is no int64");
    write("\n{\"b\":2}\n");
    check(json!({ "infer_rows": 1000 }), "line 1502 does not fit the columns");
    check(json!({ "infer_rows": 1000 }), "column 'b' missing from schema");
    write("{\"a\":300}\n");
    check(json!({ "types": { "a": "uint8" } }), "line 1501 does not fit the columns");
    write("{\"a\":18446744073709551615}\n");
    check(json!({ "types": { "a": "int64" } }), "line 1501, column `a`: 18446744073709551615 is no int64");
    write("{\"a\":2.0}\n");
    let (_, loaded) = ndjson::load(&path, &json!({ "types": { "a": "uint8" } })).expect("2.0 is whole");
    assert_eq!(loaded.iter().map(RecordBatch::num_rows).sum::<usize>(), 1501);
    let nested = "{\"a\":{\"b\":[1]}}\n{\"a\":{\"b\":[1,2.5]}}\n";
    std::fs::write(&path, nested).expect("file");
    check(json!({ "infer_rows": 1 }), "line 2, column `a`: 2.5 is no int64");
}

#[test]
fn ndjson_without_rows_has_the_declared_columns() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("t.ndjson");
    let dataset = testing::dataset::<Ndjson>().path(&path);
    dataset.save(Table::from(batch().slice(0, 0))).expect("saved");
    let nothing = dataset.load::<Table>().expect("no columns, no rows");
    assert_eq!((nothing.num_columns(), nothing.num_rows()), (0, 0));
    let dataset = dataset.options(json!({ "types": { "float": "float64", "text": "string" } }));
    let declared = dataset.load::<Table>().expect("no rows");
    assert_eq!((declared.num_columns(), declared.num_rows()), (2, 0));
    assert!(declared.schema().field_with_name("float").is_ok());
}

#[test]
fn a_failure_names_the_file_and_no_place_in_the_source() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("t.csv");
    std::fs::write(&path, "a,b\n1\n").expect("file");
    let failure = testing::dataset::<Csv>().path(&path).load_block().expect_err("ragged");
    let text = failure.to_string();
    assert!(text.contains("t.csv") && text.contains("line 2"), "{text}");
    assert_eq!(failure.place, "");
    assert!(!failure.hint.is_empty());
}

#[test]
fn ndjson_round_trips_and_names_the_broken_line() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("t.ndjson.gz");
    let batch = batch().project(&[0, 1, 2, 3]).expect("without the dictionary");
    ndjson::save(&path, &Value::Null, std::slice::from_ref(&batch)).expect("saved");
    let (schema, loaded) = ndjson::load(&path, &Value::Null).expect("loaded");
    let loaded = united(&schema, &loaded);
    for (index, field) in batch.schema().fields().iter().enumerate() {
        assert_eq!(loaded.column_by_name(field.name()).expect("column"), batch.column(index));
    }

    let path = directory.path().join("t.ndjson");
    let check = |text: &str, options: Value, expected: &str| {
        std::fs::write(&path, text).expect("file");
        let message = ndjson::load(&path, &options).expect_err(expected).to_string();
        assert!(message.contains("t.ndjson") && message.contains(expected), "{message}");
    };
    check("{\"a\":1}\n\n{\"a\":}\n", json!(null), "line 3 is not JSON");
    check("{\"a\":1}\n[1]\n", json!(null), "line 2 is no JSON object");
    check("{\"a\":1}\n", json!({ "types": { "a": "number" } }), "unknown type `number`");
    std::fs::write(&path, "").expect("file");
    let (schema, batches) = ndjson::load(&path, &json!({ "types": { "a": "date" } })).expect("empty");
    assert_eq!((schema.fields().len(), united(&schema, &batches).num_rows()), (1, 0));
}

#[test]
fn csv_goes_through_the_dataset_type() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("made/t.csv.gz");
    let dataset = testing::dataset::<Csv>().path(&path).options(json!({ "types": { "origin": "dictionary" } }));
    assert!(!dataset.exists().expect("looked"));
    let batch = batch();
    let table = Table::from(batch.project(&[4, 1, 2]).expect("columns"));
    dataset.save(table.clone()).expect("saved");
    assert!(dataset.exists().expect("looked"));
    assert_eq!(dataset.load::<Table>().expect("loaded").concat().expect("rows"), table.concat().expect("rows"));

    let wrong = dataset.options(json!({ "types": { "nothing": "int8" } })).load_block().expect_err("no such column");
    assert!(wrong.to_string().contains("there is no column `nothing`"), "{wrong}");
    assert!(wrong.hint.contains("the columns are"), "{}", wrong.hint);
}

#[test]
fn json_text_and_bytes_go_through_their_dataset_types() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("file.gz");
    let json = testing::dataset::<JsonFile>().path(&path);
    json.save(Json(json!({ "a": [1, 2.5] }))).expect("saved");
    assert_eq!(json.load::<Json<Value>>().expect("loaded").0, json!({ "a": [1, 2.5] }));
    json.save(7_i64).expect("a scalar is JSON");
    assert_eq!(json.load::<i64>().expect("loaded"), 7);

    let text = testing::dataset::<TextFile>().path(&path);
    text.save(Text::from("é\n")).expect("saved");
    assert_eq!(&*text.load::<Text>().expect("loaded"), "é\n");
    let bytes = testing::dataset::<BytesFile>().path(&path);
    assert_eq!(&bytes.load::<Bytes>().expect("loaded")[..], "é\n".as_bytes());
    bytes.save(Text::from("any text is bytes")).expect("saved");
    bytes.save(Bytes::from(vec![b'\n', 0xff])).expect("saved");
    let failure = text.load_block().expect_err("not UTF-8");
    assert!(format!("{failure}").contains("line 2 is not UTF-8"), "{failure}");
    let failure = text.options(json!({ "header": true })).load_block().expect_err("no options");
    assert!(format!("{failure}").contains("unknown field `header`"), "{failure}");
}

/// Saved chunk by chunk a table reads back as when it is saved whole; what fails on the way leaves the old file and nothing else.
#[test]
fn chunks_become_one_file() {
    fn check<D: plugin_api::Dataset>(name: &str) {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join(name);
        let dataset = testing::dataset::<D>().path(&path);
        let batch = batch().project(&[0, 1, 2, 3]).expect("without the dictionary");
        let part = |from: usize, rows: usize| Ok(Table::from(batch.slice(from, rows)));
        let rest = batch.num_rows() - 1;
        dataset.save_chunks([part(0, 1), part(1, 0), part(1, rest)]).expect(name);
        // By name: what JSON is read into has its columns in an order of its own.
        let expect_whole = || {
            let loaded = dataset.load::<Table>().expect(name).concat().expect("rows");
            for field in batch.schema().fields() {
                assert_eq!(loaded.column_by_name(field.name()), batch.column_by_name(field.name()), "{name}");
            }
        };
        expect_whole();

        let failed = dataset.save_chunks([part(0, 1), Err(plugin_api::Error::new("enough"))]).expect_err(name);
        assert!(failed.to_string().contains("enough"), "{failed}");
        let narrow = || Ok(Table::from(batch.project(&[1]).expect("a column")));
        let failed = dataset.save_chunks([part(0, 1), narrow()]).expect_err("other columns");
        assert!(failed.to_string().contains(name) && failed.to_string().contains("other columns"), "{failed}");
        let failed = dataset.save_chunks(Vec::<plugin_api::Result<Table>>::new()).expect_err("no columns");
        assert!(failed.to_string().contains("no chunk was given"), "{failed}");
        expect_whole();
        assert_eq!(std::fs::read_dir(directory.path()).expect("directory").count(), 1);
    }
    for name in ["t.csv", "t.csv.gz", "t.csv.zst"] {
        check::<Csv>(name);
    }
    check::<Parquet>("t.parquet");
    check::<Ndjson>("t.ndjson");
    check::<ArrowFile>("t.arrow");
}

#[test]
fn chunks_of_text_and_bytes_follow_each_other() {
    let directory = tempfile::tempdir().expect("directory");
    for name in ["file.txt", "file.txt.gz"] {
        let text = testing::dataset::<TextFile>().path(directory.path().join(name));
        text.save_chunks(["a", "", "é\n"].map(|chunk| Ok(Text::from(chunk)))).expect("saved");
        assert_eq!(&*text.load::<Text>().expect("loaded"), "aé\n");
        text.save_chunks(Vec::<plugin_api::Result<Text>>::new()).expect("no chunk is an empty file");
        assert_eq!(&*text.load::<Text>().expect("loaded"), "");
    }
    let bytes = testing::dataset::<BytesFile>().path(directory.path().join("file.bin"));
    bytes.save_chunks([Ok(Bytes::from(vec![1, 2])), Ok(Bytes::from(vec![3]))]).expect("saved");
    assert_eq!(&bytes.load::<Bytes>().expect("loaded")[..], [1, 2, 3]);
}

#[test]
fn a_dataset_without_a_path_says_so() {
    let failure = testing::dataset::<Csv>().named("flights").load_block().expect_err("no path");
    assert!(failure.to_string().contains("the dataset `flights` has no path"), "{failure}");
}
