//! Workbooks as another library writes them, read back.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int8Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, BooleanArray, Float64Array, Int64Array, StringArray};
use rust_xlsxwriter::{ExcelDateTime, Format, Formula, Workbook, Worksheet};
use serde_json::json;

use super::*;
use crate::problem::Result;

fn read(options: Value, fill: impl FnOnce(&mut Worksheet)) -> Result<RecordBatch> {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("book.xlsx");
    let mut workbook = Workbook::new();
    fill(workbook.add_worksheet().set_name("data").expect("a name"));
    workbook.add_worksheet().set_name("notes").expect("a name").write(0, 0, "remark").expect("a cell");
    workbook.save(&path).expect("saved");
    load(&path, &options)
}

/// Writes rows of texts, numbers and booleans.
fn rows(sheet: &mut Worksheet, first: u32, rows: &[&[Value]]) {
    for (row, cells) in (first..).zip(rows) {
        for (column, cell) in (0..).zip(*cells) {
            match cell {
                Value::String(text) => sheet.write(row, column, text.as_str()),
                Value::Bool(value) => sheet.write(row, column, *value),
                Value::Number(number) => sheet.write(row, column, number.as_f64().expect("a number")),
                _ => continue,
            }
            .expect("a cell");
        }
    }
}

#[test]
fn types_follow_from_the_cells() {
    let table = read(json!(null), |sheet| {
        rows(
            sheet,
            0,
            &[
                &[json!("id"), json!("price"), json!("name"), json!("ok"), json!("mixed")],
                &[json!(1), json!(1.5), json!("one"), json!(true), json!(1)],
                &[json!(null), json!(2), json!("NA"), json!(null), json!("x")],
                &[json!(3), json!(null), json!("three"), json!(false), json!(2.5)],
            ],
        );
    });
    let table = table.expect("table");
    assert_eq!(table.column(0).as_primitive::<Int64Type>(), &Int64Array::from(vec![Some(1), None, Some(3)]));
    assert_eq!(table.column(1).as_primitive::<Float64Type>(), &Float64Array::from(vec![Some(1.5), Some(2.0), None]));
    assert_eq!(table.column(2).as_string::<i32>(), &StringArray::from(vec![Some("one"), None, Some("three")]));
    assert_eq!(table.column(3).as_boolean(), &BooleanArray::from(vec![Some(true), None, Some(false)]));
    assert_eq!(table.column(4).as_string::<i32>(), &StringArray::from(vec!["1", "x", "2.5"]));
}

#[test]
fn days_and_moments() {
    let table = read(json!({ "types": { "text": "string" } }), |sheet| {
        rows(sheet, 0, &[&[json!("day"), json!("moment"), json!("text")]]);
        let format = Format::new().set_num_format("yyyy-mm-dd hh:mm");
        let day = ExcelDateTime::from_ymd(2013, 1, 1).expect("a day");
        let moment = ExcelDateTime::from_ymd(2013, 1, 1).expect("a day").and_hms(10, 0, 0).expect("a time");
        for row in 1..3 {
            sheet.write_with_format(row, 0, &day, &format).expect("a cell");
            sheet.write_with_format(row, 1, if row == 1 { &moment } else { &day }, &format).expect("a cell");
            sheet.write_with_format(row, 2, &day, &format).expect("a cell");
        }
    });
    let table = table.expect("table");
    assert_eq!(table.column(0).as_primitive::<Date32Type>().values(), &[15_706, 15_706]);
    let moments = table.column(1).as_primitive::<TimestampMicrosecondType>();
    assert_eq!(moments.values(), &[1_357_034_400_000_000, 1_356_998_400_000_000]);
    assert_eq!(table.column(2).as_string::<i32>().value(0), "2013-01-01");
}

#[test]
fn sheet_header_row_columns_and_types_are_chosen() {
    let fill = |sheet: &mut Worksheet| {
        rows(sheet, 0, &[&[json!("Made by us")], &[json!(null)], &[json!("a"), json!("b")], &[json!(1), json!(2)]]);
    };
    let options = json!({ "sheet": "data", "header_row": 3, "columns": ["b", "a"], "types": { "b": "int8" } });
    let table = read(options, fill).expect("table");
    assert_eq!((table.num_rows(), table.schema().field(0).name().as_str()), (1, "b"));
    assert_eq!(table.column(0).as_primitive::<Int8Type>().values(), &[2]);

    let notes = read(json!({ "sheet": 2, "header": false }), fill).expect("table");
    assert_eq!(notes.column_by_name("column_1").expect("a column").as_string::<i32>().value(0), "remark");
    assert_eq!(read(json!({ "sheet": 2 }), fill).expect("a header alone").num_rows(), 0);
}

#[test]
fn says_what_is_wrong_and_where() {
    let check = check_book;
    check(
        json!({ "types": { "a": "int64" } }),
        "cell A3, column `a`: \"oops\" is no int64",
        "declare the column's type",
    );
    check(json!({ "sheet": "other" }), "there is no sheet `other`", "data, notes");
    check(json!({ "sheet": 7 }), "there is no sheet number 7", "data, notes");
    check(json!({ "columns": ["c"] }), "there is no column `c`", "a, b");
    check(json!({ "header_row": 9 }), "row 9 is empty", "header_row");
    check(json!({ "types": { "a": "integer" } }), "column `a` has the unknown type `integer`", "int64");

    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("book.xlsx");
    std::fs::write(&path, "no workbook").expect("file");
    let problem = load(&path, &json!(null)).expect_err("no workbook");
    assert!(problem.to_string().contains("it is no workbook"), "{problem}");
    let problem = load(&directory.path().join("none.xlsx"), &json!(null)).expect_err("missing");
    assert!(problem.to_string().contains("there is no such file"), "{problem}");
}

fn check_book(options: Value, expected: &str, hint: &str) {
    let problem = read(options, |sheet| {
        rows(sheet, 0, &[&[json!("a"), json!("b")], &[json!(1), json!("x")], &[json!("oops"), json!(null)]]);
    })
    .expect_err(expected);
    assert!(problem.to_string().contains(expected), "{problem}");
    assert!(problem.hint_text().is_some_and(|text| text.contains(hint)), "{problem:?}");
}

#[test]
fn a_failed_formula_is_no_value() {
    let fill = |result: &'static str| {
        move |sheet: &mut Worksheet| {
            rows(sheet, 0, &[&[json!("a")], &[json!(1)]]);
            sheet.write_formula(2, 0, Formula::new("=1/0").set_result(result)).expect("a cell");
        }
    };
    let missing = read(json!(null), fill("#N/A")).expect("missing");
    assert_eq!((missing.num_rows(), missing.column(0).null_count()), (2, 1));
    let problem = read(json!(null), fill("#DIV/0!")).expect_err("failed");
    assert!(problem.to_string().contains("cell A3, column `a` holds #DIV/0!"), "{problem}");
}
