//! dagd's built-in dataset types: `csv`, `parquet`, `json`, `ndjson`, `text`, `bytes`, `arrow` and `excel`.
//!
//! One file per format. Each comes in two halves: functions over a path, options and Arrow batches, which know nothing of
//! dagd, and the dataset type in front of them. What they share: [`source`] reads and unpacks, [`beside`] writes so that no
//! reader ever sees half a file, [`problem`] explains what went wrong with which file.
//!
//! Limits: a file is a local path; a load reads all of it.

#![deny(unsafe_code)] // `plugin!` exports the one symbol that needs an exception, so this cannot be `forbid`

mod arrow_file;
mod beside;
mod bytes;
mod compression;
mod csv;
mod excel;
mod json;
mod ndjson;
mod options;
mod parquet;
mod problem;
mod row_groups;
mod session;
mod source;
#[cfg(test)]
mod tables;
mod text;

use plugin_api::plugin;

use self::arrow_file::ArrowFile;
use self::bytes::BytesFile;
use self::csv::Csv;
use self::excel::Excel;
use self::json::JsonFile;
use self::ndjson::Ndjson;
use self::parquet::Parquet;
use self::text::TextFile;

plugin! {
    nodes: [],
    datasets: [Csv, Parquet, JsonFile, Ndjson, TextFile, BytesFile, ArrowFile, Excel],
}
