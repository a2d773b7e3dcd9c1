//! Reading a dataset's `options`.

use serde::de::DeserializeOwned;

use crate::problem::{Problem, Result};

/// Reads the options of a dataset of type `name`; none at all are the defaults.
pub fn parse<T: DeserializeOwned>(name: &str, options: &serde_json::Value) -> Result<T> {
    let options = if options.is_null() { &serde_json::Value::Object(serde_json::Map::new()) } else { options };
    T::deserialize(options).map_err(|error| Problem::new(format!("{name} options: {error}")))
}

/// For dataset types that take no options.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoOptions {}
