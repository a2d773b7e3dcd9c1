//! CSV files as tables.

mod cell;
mod column;
mod dictionary;
mod kind;
mod layout;
mod number;
mod options;
mod page;
mod read;
mod token;
mod values;
mod write;

use std::path::Path;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use plugin_api::prelude::*;
use serde_json::Value;

pub use self::column::column;
pub use self::kind::Kind;
use self::options::Options;
use self::read::Batches;
use crate::beside::{self, Replacement};
use crate::problem::{self, Problem};
use crate::session::{TableSession, TableWriter};
use crate::source::Pieces;

/// CSV files, plain or packed.
#[derive(Default)]
pub struct Csv;

impl Dataset for Csv {
    const NAME: &'static str = "csv";
    const DOC: &'static str = "A table in a CSV file; packed if the path ends in .gz or .zst.";
    const LOADS: &'static [&'static str] = &["table"];
    const SAVES: &'static [&'static str] = &["table"];
    const APPENDS: bool = true;

    fn options() -> Vec<OptionManifest> {
        options::manifest()
    }

    fn load(&self, request: &LoadRequest) -> Result<()> {
        let batches = load(request.path()?, &request.options()?).map_err(Problem::into_error)?;
        let mut batches = batches.map(|batch| batch.map_err(Problem::into_error)).peekable();
        let first = batches.next();
        match (first, batches.peek()) {
            // The usual case, which knows how much memory it needs.
            (Some(first), None) => request.give(first?),
            (first, _) => request.give(Chunks(first.into_iter().chain(batches))),
        }
    }

    fn save(&self, request: &SaveRequest) -> Result<()> {
        let table: Table = request.take()?;
        save(request.path()?, &request.options()?, table.schema(), table.batches()).map_err(Problem::into_error)
    }

    fn begin(&self, request: &DatasetRequest) -> Result<Box<dyn ChunkSession>> {
        let options = Options::parse(&request.options()?).map_err(Problem::into_error)?;
        TableSession::begin(request, |schema, mut file| {
            write::header(schema, &options, &mut file)?;
            Ok(Box::new(Appending { options, file }))
        })
    }
}

/// A file that rows are added to.
struct Appending {
    options: Options,
    file: Replacement,
}

impl TableWriter for Appending {
    fn write(&mut self, batch: &RecordBatch) -> problem::Result<()> {
        write::rows(&batch.schema(), std::slice::from_ref(batch), &self.options, &mut self.file)
    }

    fn finish(self: Box<Self>) -> problem::Result<Replacement> {
        Ok(self.file)
    }
}

/// Opens the file at `path` and gives its table batch by batch.
fn load(path: &Path, options: &Value) -> problem::Result<impl Iterator<Item = problem::Result<RecordBatch>> + use<>> {
    let options = Options::parse(options)?;
    let path = path.to_owned();
    let batches = Batches::new(Pieces::open(&path)?, options).map_err(|problem| problem.while_reading(&path))?;
    Ok(batches.map(move |batch| batch.map_err(|problem| problem.while_reading(&path))))
}

/// Replaces the file at `path` by a table.
fn save(path: &Path, options: &Value, schema: &Schema, batches: &[RecordBatch]) -> problem::Result<()> {
    let options = Options::parse(options)?;
    beside::replace(path, |out| write::write(schema, batches, &options, out))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
    use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, TimestampSecondArray};
    use serde_json::json;

    use super::*;
    use crate::problem::Result;

    fn table(path: &Path, options: &Value) -> Result<RecordBatch> {
        let mut batches = load(path, options)?.collect::<Result<Vec<_>>>()?;
        assert_eq!(batches.len(), 1);
        Ok(batches.remove(0))
    }

    fn read(text: &str, options: Value) -> Result<RecordBatch> {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("file.csv");
        std::fs::write(&path, text).expect("file");
        table(&path, &options)
    }

    #[test]
    fn guesses_types_and_takes_na_for_missing() {
        let table = read("a,b,c,d\n1,x,1.5,true\nNA,NA,,false\n", json!(null)).expect("table");
        assert_eq!(table.column(0).as_primitive::<Int64Type>(), &Int64Array::from(vec![Some(1), None]));
        assert_eq!(table.column(1).as_string::<i32>(), &StringArray::from(vec![Some("x"), None]));
        assert_eq!(table.column(2).as_primitive::<Float64Type>(), &Float64Array::from(vec![Some(1.5), None]));
        assert_eq!(table.column(3).as_boolean(), &BooleanArray::from(vec![true, false]));
    }

    #[test]
    fn takes_declared_types_and_wanted_columns_in_order() {
        let options = json!({
            "delimiter": ";", "columns": ["when", "n"], "types": { "n": "int8", "when": "timestamp_s" },
        });
        let table = read("n;x;when\n1;a;2013-01-01T10:00:00Z\n-7;b;2013-01-01T10:00:00Z\n", options).expect("table");
        assert_eq!(table.num_columns(), 2);
        assert_eq!(table.column(1).as_primitive::<Int8Type>().values(), &[1, -7]);
        let when = table.column(0).as_any().downcast_ref::<TimestampSecondArray>().expect("timestamp");
        assert_eq!(when.values(), &[1_357_034_400, 1_357_034_400]);
    }

    #[test]
    fn what_is_quoted_is_not_missing_whatever_came_before() {
        let options = json!({ "types": { "a": "dictionary" } });
        let table = read("a,b\nNA,1\nx,2\n\"NA\",3\nNA,4\n\"x\",5\n,6\n", options).expect("table");
        let texts = table.column(0).as_dictionary::<Int32Type>();
        let texts: Vec<_> = texts.downcast_dict::<StringArray>().expect("text").into_iter().collect();
        assert_eq!(texts, [None, Some("x"), Some("NA"), None, Some("x"), None]);
    }

    #[test]
    fn what_can_be_read_is_missing_all_the_same_if_the_options_say_so() {
        let options = json!({ "null_values": ["-999", "1970-01-01T00:00:00Z"], "types": { "when": "timestamp_s", "n": "int16" } });
        let text = "when,n\n1970-01-01T00:00:00Z,-999\n1970-01-01T00:00:01Z,-998\n1970-01-01T00:00:00Z,0\n";
        let table = read(text, options).expect("table");
        let when = table.column(0).as_any().downcast_ref::<TimestampSecondArray>().expect("timestamp");
        assert_eq!(when.iter().collect::<Vec<_>>(), [None, Some(1), None]);
        let numbers = table.column(1).as_primitive::<Int16Type>();
        assert_eq!(numbers.iter().collect::<Vec<_>>(), [None, Some(-998), Some(0)]);
    }

    #[test]
    fn reads_files_without_header_or_rows() {
        let table = read("1,2\n3,4\n", json!({ "header": false })).expect("table");
        assert_eq!((table.num_rows(), table.schema().field(1).name().as_str()), (2, "column_2"));
        let table = read("a,b\n", json!({ "types": { "a": "float64" } })).expect("table");
        assert_eq!((table.num_rows(), table.num_columns()), (0, 2));
        assert_eq!(table.column(0).data_type(), &arrow_schema::DataType::Float64);
    }

    #[test]
    fn a_last_line_without_an_end_is_read_once_and_so_are_those_before_it() {
        // Types that are declared need no look ahead, so that the end of the file is met while rows are read.
        let options = json!({ "types": { "a": "int64" } });
        for (end, rows) in [("", 2), ("\n", 2), ("\r\n", 2), ("\r", 2), ("\n\"3\"", 3), ("\n\"3\"\r", 3)] {
            let table = read(&format!("a\n1\n2{end}"), options.clone()).expect(end);
            let expected = Int64Array::from_iter_values(1..=rows);
            assert_eq!(table.column(0).as_primitive::<Int64Type>(), &expected, "{end:?}");
        }
        let message = read("a\n1\nx", options).expect_err("no number").to_string();
        assert!(message.contains("line 3, column `a`: \"x\""), "{message}");
    }

    #[test]
    fn says_where_a_file_is_wrong() {
        let check = |text: &str, options: Value, expected: &str| {
            let message = read(text, options).expect_err(expected).to_string();
            assert!(message.contains("file.csv") && message.contains(expected), "{message}");
        };
        check("a,b\n1,2\n\n1,2,3\n", json!(null), "line 4: 3 fields where the header has 2");
        check("a,b\n\"x\ny\",2\n1\n", json!(null), "line 4: 1 field where the header has 2");
        check("a,b\n1,2\nx,2\n", json!({ "infer_rows": 1 }), "line 3, column `a`: \"x\" is no int64");
        check("a\n300\n", json!({ "types": { "a": "uint8" } }), "line 2, column `a`: \"300\" is no uint8");
        check("", json!(null), "the file is empty");
        check("a,a\n", json!(null), "two columns are named `a`");
        check("a,b\n", json!({ "columns": ["c"] }), "there is no column `c`");
        check("a\n\"x\n", json!(null), "line 2: a quoted field is never closed");
    }

    #[test]
    fn explains_a_missing_file() {
        let problem = table(Path::new("/nowhere/at-all.csv"), &json!(null)).expect_err("missing");
        assert_eq!(problem.to_string(), "cannot read `/nowhere/at-all.csv`: there is no such file");
        assert!(problem.hint_text().is_some_and(|hint| hint.contains("`/nowhere` does not exist")));
    }

    #[test]
    fn what_is_saved_reads_back_equal() {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("text", Arc::new(StringArray::from(vec![Some("a,\"b\"\n"), Some(""), None, Some("NA"), Some("é")]))),
            ("float", Arc::new(Float64Array::from(vec![Some(0.1), None, Some(1e300), Some(-0.0), Some(1.0 / 3.0)]))),
            ("integer", Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(0), Some(1), Some(i64::MAX)]))),
            (
                "when",
                Arc::new(
                    TimestampSecondArray::from(vec![Some(0), None, Some(1), Some(2), Some(3)]).with_timezone(kind::UTC),
                ),
            ),
        ];
        let batch = RecordBatch::try_from_iter(columns).expect("batch");
        let options = json!({ "types": { "when": "timestamp_s" } });
        let directory = tempfile::tempdir().expect("directory");
        for name in ["t.csv", "t.csv.gz", "t.csv.zst"] {
            let path = directory.path().join(name);
            save(&path, &options, &batch.schema(), std::slice::from_ref(&batch)).expect(name);
            let read = table(&path, &options).expect(name);
            assert_eq!(read.columns(), batch.columns(), "{name}");
        }
    }

    #[test]
    fn a_damaged_packed_file_is_no_shorter_table() {
        let directory = tempfile::tempdir().expect("directory");
        let batch = RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from_iter_values(0..100_000)) as ArrayRef)]);
        let batch = batch.expect("batch");
        for name in ["t.csv.gz", "t.csv.zst"] {
            let path = directory.path().join(name);
            save(&path, &json!(null), &batch.schema(), std::slice::from_ref(&batch)).expect(name);
            let whole = std::fs::read(&path).expect(name);
            for length in [whole.len() / 2, whole.len() - 1] {
                std::fs::write(&path, &whole[..length]).expect(name);
                let problem = table(&path, &json!(null)).expect_err("cut short");
                assert!(problem.to_string().contains(name), "{problem}");
            }
        }
    }

    #[test]
    fn one_column_with_missing_values_and_no_rows_at_all_survive() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("t.csv");
        let batch = RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(vec![None, Some(1)])) as ArrayRef)])
            .expect("batch");
        for batch in [batch.clone(), batch.slice(0, 0)] {
            let options = json!({ "types": { "a": "int64" } });
            save(&path, &options, &batch.schema(), std::slice::from_ref(&batch)).expect("saved");
            assert_eq!(table(&path, &options).expect("table").columns(), batch.columns());
        }
    }

    #[test]
    fn one_column_never_makes_a_blank_line() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("t.csv");
        let text = |values: Vec<Option<&str>>| {
            RecordBatch::try_from_iter([("a", Arc::new(StringArray::from(values)) as ArrayRef)]).expect("batch")
        };
        let batch = text(vec![Some("x"), Some(""), None, Some("")]);
        let options = json!({ "null_values": ["NA"] });
        save(&path, &options, &batch.schema(), std::slice::from_ref(&batch)).expect("saved");
        assert_eq!(std::fs::read_to_string(&path).expect("file"), "a\nx\n\"\"\nNA\n\"\"\n");
        assert_eq!(table(&path, &options).expect("table").columns(), batch.columns());

        let only_empty = json!({ "null_values": [""] });
        let problem = save(&path, &only_empty, &batch.schema(), &[batch]).expect_err("a missing value");
        assert!(problem.to_string().contains("column `a` is the only one"), "{problem}");
        assert!(problem.hint_text().is_some_and(|hint| hint.contains("null_values")));
        let whole = text(vec![Some("")]);
        save(&path, &only_empty, &whole.schema(), std::slice::from_ref(&whole)).expect("nothing is missing");
        assert_eq!(table(&path, &only_empty).expect("table").columns(), whole.columns());
    }

    #[test]
    fn nested_columns_do_not_fit() {
        let list = arrow_array::ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1)])]);
        let batch = RecordBatch::try_from_iter([("a", Arc::new(list) as ArrayRef)]).expect("batch");
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("t.csv");
        let problem = save(&path, &json!(null), &batch.schema(), &[batch]).expect_err("nested");
        assert!(problem.to_string().contains("column `a`"), "{problem}");
        assert!(!path.exists());
    }
}
