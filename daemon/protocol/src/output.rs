//! What comes out of runs, and which pipelines have run.

use serde::{Deserialize, Serialize};

use crate::RunSummary;

/// Answer of `GET /v1/runs/{id}/outputs`: by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputList {
    /// The outputs.
    pub outputs: Vec<OutputInfo>,
}

/// What a run has made and no node of it reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputInfo {
    /// Its name.
    pub name: String,
    /// Whether it can be fetched.
    pub state: OutputState,
    /// What it is: `table`, `json`, `text`, `bytes` or `array`; none while that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// How its bytes are to be understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Its size in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// `memory`, or the name of its dataset type.
    pub storage: String,
    /// Where it was saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Why it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Until when it can be fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_us: Option<i64>,
}

/// Where an output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputState {
    /// In memory, or where it was saved.
    Ready,
    /// Not made: the run is under way, or ended before.
    Pending,
    /// It was there.
    Gone,
}

/// Answer of `GET /v1/pipelines`: the pipelines that have run, by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PipelineList {
    /// The pipelines.
    pub pipelines: Vec<PipelineInfo>,
}

/// A pipeline that has run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PipelineInfo {
    /// Its name.
    pub name: String,
    /// How many of its runs are kept.
    pub runs: u64,
    /// The last of them.
    pub last_run: RunSummary,
}
