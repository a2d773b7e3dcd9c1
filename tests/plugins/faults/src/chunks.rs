//! Generators: nodes that give their outputs chunk by chunk, and end as they are told.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use plugin_api::arrow::array::builder::StringBuilder;
use plugin_api::arrow::array::{ArrayRef, Int64Array};
use plugin_api::prelude::*;

/// Gives so many tables of so many bytes, in rows of a kilobyte: a number and a text.
#[node(outputs = ["table"])]
pub fn tables(chunks: i64, bytes: i64) -> Chunks<impl Iterator<Item = Result<Table>>> {
    let rows = (bytes / 1024).max(1);
    let text = "x".repeat(1016);
    Chunks((0..chunks).map(move |chunk| {
        let numbers = Int64Array::from_iter_values((0..rows).map(|row| chunk * rows + row));
        // As much memory as the table needs: a list that doubles takes three times that while it grows.
        let mut texts = StringBuilder::with_capacity(rows as usize, rows as usize * text.len());
        (0..rows).for_each(|_| texts.append_value(&text));
        Table::from_columns([("number", Arc::new(numbers) as ArrayRef), ("text", Arc::new(texts.finish()))])
    }))
}

/// Gives so many numbers, a table each.
#[node(outputs = ["table"])]
pub fn numbers(chunks: i64, rows: i64) -> Chunks<impl Iterator<Item = Result<Table>>> {
    Chunks((0..chunks).map(move |chunk| {
        // Not too well packed, so that a writer that holds its rows back holds their bytes.
        let values = (0..rows).map(|row| (chunk * rows + row).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64));
        Table::from_columns([("value", Arc::new(Int64Array::from_iter_values(values)) as ArrayRef)])
    }))
}

/// Two outputs that count together: who takes turns with the other gets every second number.
#[node(outputs = ["left", "right", "count"])]
pub fn turns(count: i64) -> (Chunks<impl Iterator<Item = Text>>, Chunks<impl Iterator<Item = Text>>, i64) {
    let next = Rc::new(Cell::new(0));
    let numbers = |next: Rc<Cell<i64>>| {
        (0..count).map(move |_| {
            let number = next.get();
            next.set(number + 1);
            Text::from(format!("{number}\n"))
        })
    };
    (Chunks(numbers(Rc::clone(&next))), Chunks(numbers(next)), count)
}

/// Gives three lines and then ends by `error`, `panic`, `abort`, `hang`, or well; by `later` well from the second attempt on.
#[node(outputs = ["lines"])]
pub fn ends(end: String, ctx: &Context) -> Chunks<impl Iterator<Item = Result<Text>>> {
    let attempt = ctx.attempt();
    Chunks((1..=4).map_while(move |line| {
        if line < 4 {
            return Some(Ok(Text::from(format!("line {line} of attempt {attempt}\n"))));
        }
        match end.as_str() {
            "error" => Some(Err(Error::new("there is no fourth line"))),
            "later" if attempt < 2 => Some(Err(Error::new("there is no fourth line yet"))),
            "panic" => panic!("there is no fourth line"),
            "abort" => std::process::abort(),
            "hang" => loop {
                std::thread::park();
            },
            _ => None,
        }
    }))
}

/// Gives lines without end, and never asks whether it should.
#[node(outputs = ["lines"])]
pub fn endless(start: i64) -> Chunks<impl Iterator<Item = Text>> {
    Chunks((start..).map(|number| Text::from(format!("{number}\n"))))
}
