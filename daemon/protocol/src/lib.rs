//! What clients share with the daemon: the JSON shapes of the control API, its paths, the address of its socket, and the
//! exit codes of the commands.
//!
//! Everything travels as JSON over HTTP/1.1 on a Unix socket. Times are microseconds since the Unix epoch and carry `_us`
//! in their name. Answers may grow fields in later versions, so readers ignore what they do not know; requests refuse
//! unknown fields, so that a misspelt option is never silently dropped.
//!
//! Reading order: [`Submission`] goes in, [`RunSummary`] comes back, [`RunEvent`]s tell what happens, [`RunDetail`] is the
//! report. [`ErrorBody`] is the answer whenever a request fails.
#![forbid(unsafe_code)]

pub mod address;
pub mod exit;
pub mod path;

mod block;
mod catalog;
mod credentials;
mod event;
mod failure;
mod filter;
mod graph;
mod input;
mod log;
mod output;
mod plugin;
mod problem;
mod reload;
mod run;
mod status;
mod submission;

pub use block::{BlockHolder, BlockInfo, BlockList, EvictRequest, Eviction};
pub use catalog::{
    CatalogDataset, CatalogList, CatalogRequest, DatasetExists, DatasetVersions, ExistsList, Resolution, VersionList,
};
pub use credentials::{Credentials, ResumeRequest};
pub use event::{DatasetOperation, EventKind, RunEvent};
pub use failure::{Failure, FailureKind};
pub use filter::Filter;
pub use graph::{Graph, GraphBinding, GraphDataset, GraphNode, GraphOutput, Validation};
pub use input::{InputBlock, InputData, UploadedBlock};
pub use log::{LogLine, LogList, LogSource};
pub use output::{OutputInfo, OutputList, OutputState, PipelineInfo, PipelineList};
pub use plugin::{
    DatasetTypeInfo, HookInfo, HookList, HookOrigin, NodeInfo, NodeList, OptionInfo, PluginInfo, PluginList, PortInfo,
    RefusedLibrary,
};
pub use problem::{ErrorBody, ErrorDetail, Place, Problem, RESTARTING};
pub use reload::{
    BrokenPipeline, GenerationChanges, GenerationInfo, GenerationState, NodeChange, PluginChange, PluginIdentity,
    ReloadOptions, ReloadReport,
};
pub use run::{
    BlockUse, DatasetDetail, NodeCounts, NodeDetail, NodeState, Progress, Resume, RunDetail, RunFilter, RunList,
    RunState, RunSummary,
};
pub use status::{BlockStatus, Health, RunCounts, Status, WorkerStatus};
pub use submission::{OnFailure, SourceText, Submission, Syntax};

/// The version of the API; the first segment of every path but `/openapi.json`.
pub const API_VERSION: &str = "v1";

/// The largest request body the daemon reads, in bytes; beyond it the answer is 413.
pub const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
