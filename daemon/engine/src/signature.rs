//! What nodes take and give and which formats there are, as the plugins of a generation announce them.

use std::fmt;

/// All plugins of one generation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Manifest {
    /// The plugins; a plan names them by their position here.
    pub plugins: Vec<PluginSignature>,
}

/// One plugin.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PluginSignature {
    /// Its name, as pipelines call it.
    pub name: String,
    /// Its version, for messages.
    pub version: String,
    /// The nodes it exports; a plan names them by their position here.
    pub nodes: Vec<NodeSignature>,
    /// The dataset types it exports; a plan names them by their position here.
    pub dataset_types: Vec<DatasetTypeSignature>,
}

/// One node of a plugin.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NodeSignature {
    /// Its name within the plugin; may hold `::` where the function lives in a module.
    pub name: String,
    /// What it takes, in order.
    pub inputs: Vec<Port>,
    /// What it gives, in order.
    pub outputs: Vec<Port>,
}

/// One input or output of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// What passes through it.
    pub kind: PortKind,
    /// Whether it may stay unbound.
    pub optional: bool,
    /// Whether it takes parameters only (`Params<T>`).
    pub parameter: bool,
    /// The JSON schema of the parameters it takes, where the plugin announces one.
    pub schema: Option<serde_json::Value>,
    /// Whether what it gives comes chunk by chunk (`Chunks<I>`), so that a dataset type can save it as it comes.
    pub chunks: bool,
}

/// One dataset type of a plugin.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DatasetTypeSignature {
    /// Its name, as catalogs call it: `csv`.
    pub name: String,
    /// What a load may give.
    pub loads: Vec<PortKind>,
    /// What a save accepts.
    pub saves: Vec<PortKind>,
    /// Whether it must not be used by several workers at once.
    pub single_process: bool,
    /// Whether it is to be told when a run needs a dataset no more.
    pub releases: bool,
    /// Whether it can save chunk by chunk.
    pub appends: bool,
}

/// What passes through a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PortKind {
    /// Arrow record batches.
    Table,
    /// Bytes without further meaning.
    Bytes,
    /// UTF-8 text.
    Text,
    /// Any JSON value.
    Json,
    /// A floating-point number.
    Number,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// A short text, as a JSON string.
    String,
    /// Plain numbers of the named element type: `array<f64>`.
    Array(std::string::String),
    /// Whatever there is.
    Any,
    /// A kind that this engine does not know; it fits its own name only.
    Other(std::string::String),
}

impl PortKind {
    /// Reads a kind as it is written on every wire. Never fails: an unknown word is [`PortKind::Other`].
    pub fn parse(word: &str) -> Self {
        match word {
            "table" => Self::Table,
            "bytes" => Self::Bytes,
            "text" => Self::Text,
            "json" => Self::Json,
            "number" => Self::Number,
            "integer" => Self::Integer,
            "boolean" => Self::Boolean,
            "string" => Self::String,
            "any" => Self::Any,
            _ => match word.strip_prefix("array<").and_then(|rest| rest.strip_suffix('>')) {
                Some(element) => Self::Array(element.to_owned()),
                None => Self::Other(word.to_owned()),
            },
        }
    }

    /// Says whether what `self` gives can be read as `reader`.
    pub fn fits(&self, reader: &PortKind) -> bool {
        use PortKind::{Any, Boolean, Bytes, Integer, Json, Number, String, Text};
        match (self, reader) {
            (Any, _) | (_, Any) => true,
            (Number | Integer | Boolean | String, Json) | (Json, Number | Integer | Boolean | String) => true,
            (Integer, Number) | (Text, Bytes) => true,
            (given, wanted) => given == wanted,
        }
    }

    /// Says whether a value of this kind is JSON in its block, so that a parameter can stand for it.
    pub fn is_json(&self) -> bool {
        matches!(self, Self::Json | Self::Number | Self::Integer | Self::Boolean | Self::String | Self::Any)
    }
}

impl fmt::Display for PortKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table => f.write_str("table"),
            Self::Bytes => f.write_str("bytes"),
            Self::Text => f.write_str("text"),
            Self::Json => f.write_str("json"),
            Self::Number => f.write_str("number"),
            Self::Integer => f.write_str("integer"),
            Self::Boolean => f.write_str("boolean"),
            Self::String => f.write_str("string"),
            Self::Array(element) => write!(f, "array<{element}>"),
            Self::Any => f.write_str("any"),
            Self::Other(word) => f.write_str(word),
        }
    }
}
