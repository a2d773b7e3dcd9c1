//! Arguments about datasets in memory.

use std::path::PathBuf;

use serde_json::Value;

pub(super) const DATASETS_EXAMPLES: &str = "\
Examples:
  ctl datasets                    what is in memory, who keeps it, who reads it
  ctl datasets evict companies    the next run loads it anew
  ctl datasets evict --all

Resident datasets (`resident = true` in the catalog) are loaded once for all runs, and anew when their file has changed.
One that is being read is dropped with its last reader.";

/// Arguments of `ctl datasets`.
#[derive(Debug, clap::Args)]
pub struct DatasetsCommand {
    /// What to do with them; without it they are listed.
    #[command(subcommand)]
    pub action: Option<DatasetsAction>,
}

/// What to do with datasets in memory.
#[derive(Debug, clap::Subcommand)]
pub enum DatasetsAction {
    /// Drop resident datasets, so that the next run loads them anew
    Evict {
        /// Their names, or the paths they were loaded from
        #[arg(value_name = "NAME", required_unless_present = "all")]
        names: Vec<String>,
        /// All of them
        #[arg(long, conflicts_with = "names")]
        all: bool,
    },
}

pub(super) const OUTPUT_EXAMPLES: &str = "\
Examples:
  ctl output \"$id\"                          what the run has made, and where it is
  ctl output \"$id\" metrics                  to standard output, as it is
  ctl output \"$id\" delays --to delays.csv   a table in the format that the ending tells

A table comes as an Arrow IPC stream unless the file's ending asks for another format.";

/// Which outputs to fetch when the run is over.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct OutputArgs {
    /// Fetch an output when the run is over: to standard output, or into a file as in metrics=metrics.csv
    ///
    /// The file's ending tells the format of a table: .csv, .parquet and what else there are dataset types for. Without it a table
    /// comes as an Arrow IPC stream.
    #[arg(long, value_name = "NAME[=FILE]", value_parser = wanted)]
    pub output: Vec<Wanted>,
}

/// An output to fetch, and the file to put it into; none for standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The output.
    pub name: String,
    /// The file.
    pub file: Option<PathBuf>,
}

/// Arguments of `ctl output`.
#[derive(Debug, clap::Args)]
pub struct OutputCommand {
    /// The run's id, as `ctl submit` and `ctl runs` print it
    #[arg(value_name = "RUN")]
    pub id: String,
    /// The output; without it all are listed
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Put it into this file instead of standard output
    #[arg(long, short, value_name = "FILE", requires = "name")]
    pub to: Option<PathBuf>,
}

/// `name` or `name=file`.
fn wanted(text: &str) -> Result<Wanted, String> {
    let (name, file) = match text.split_once('=') {
        Some((_, "")) => return Err("the file after = is missing, as in metrics=metrics.csv".to_owned()),
        Some((name, file)) => (name, Some(PathBuf::from(file))),
        None => (text, None),
    };
    if name.trim().is_empty() {
        return Err("it should be NAME or NAME=FILE, as in metrics=metrics.csv".to_owned());
    }
    Ok(Wanted { name: name.trim().to_owned(), file: file.filter(|file| file != std::path::Path::new("-")) })
}

/// Data handed in as a dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct HandedIn {
    /// The dataset's name.
    pub name: String,
    /// What it is.
    pub data: HandedInData,
}

/// What is handed in.
#[derive(Debug, Clone, PartialEq)]
pub enum HandedInData {
    /// A value.
    Value(Value),
    /// A file, and its dataset type if that was said.
    File {
        /// Where it is; `-` for standard input.
        path: PathBuf,
        /// Its dataset type.
        dataset_type: Option<String>,
    },
}

/// `name=@file`, `name=@file:type=csv`, or `name=value`: JSON where it can be read as that, else a text.
pub(super) fn handed_in(text: &str) -> Result<HandedIn, String> {
    let Some((name, data)) = text.split_once('=').filter(|(name, _)| !name.trim().is_empty()) else {
        return Err("it should be NAME=@FILE or NAME=VALUE, as in companies=@companies.csv or threshold=0.5".to_owned());
    };
    let name = name.trim().to_owned();
    let Some(file) = data.strip_prefix('@') else {
        let value = serde_json::from_str(data).unwrap_or_else(|_| Value::String(data.to_owned()));
        return Ok(HandedIn { name, data: HandedInData::Value(value) });
    };
    let (path, dataset_type) = match file.rsplit_once(":type=") {
        Some((_, "")) => return Err("the dataset type after :type= is missing, as in :type=csv".to_owned()),
        Some((path, dataset_type)) => (path, Some(dataset_type.to_owned())),
        None => (file, None),
    };
    if path.is_empty() {
        return Err("the file after @ is missing, as in companies=@companies.csv".to_owned());
    }
    Ok(HandedIn { name, data: HandedInData::File { path: PathBuf::from(path), dataset_type } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_go_to_a_file_or_to_standard_output() {
        let output =
            |name: &str, file: Option<&str>| Ok(Wanted { name: name.to_owned(), file: file.map(PathBuf::from) });
        assert_eq!(wanted("m"), output("m", None));
        assert_eq!(wanted("m=-"), output("m", None));
        assert_eq!(wanted("m=a=b.csv"), output("m", Some("a=b.csv")));
        assert!(wanted("=x").is_err() && wanted("m=").is_err() && wanted("").is_err());
    }

    #[test]
    fn data_is_a_value_or_a_file() {
        let value = |text: &str| handed_in(text).map(|input| input.data);
        assert_eq!(value("a=0.5"), Ok(HandedInData::Value(serde_json::json!(0.5))));
        assert_eq!(value("a={\"b\": [1]}"), Ok(HandedInData::Value(serde_json::json!({ "b": [1] }))));
        assert_eq!(value("a=some words"), Ok(HandedInData::Value(serde_json::json!("some words"))));
        let file = |path: &str, dataset_type: Option<&str>| {
            Ok(HandedInData::File { path: path.into(), dataset_type: dataset_type.map(str::to_owned) })
        };
        assert_eq!(value("a=@x:y.csv"), file("x:y.csv", None));
        assert_eq!(value("a=@x:type=formats::csv"), file("x", Some("formats::csv")));
        assert_eq!(handed_in("a.b=1").map(|input| input.name), Ok("a.b".to_owned()));
        for wrong in ["a", "=1", "a=@", "a=@x:type=", ""] {
            assert!(handed_in(wrong).is_err(), "{wrong}");
        }
    }
}
