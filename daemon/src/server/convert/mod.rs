//! Between the engine's types and those of the control API.
//!
//! The engine speaks in ids and in time since a run's start; clients get names and times of day. Nothing is decided here.
#![forbid(unsafe_code)]

mod asked;
mod event;
mod graph;
mod names;
mod report;
#[cfg(test)]
mod tests;

use engine::action;
use engine::source::{HandedIn, HandedInFile, Source, Sources};
use protocol::{FailureKind, Place, Problem, RunState, Submission};

pub use asked::run_params;
pub use event::{happening, skip_reason};
pub use graph::{graph, validation};
pub use report::{RunFacts, detail, first_cause, node_counts, node_detail, resume, summary};

/// What the server knows of a dataset of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DatasetFacts {
    /// Size of its block, once it was there.
    pub bytes: Option<u64>,
    /// What its block says of itself: a JSON object, or empty.
    pub metadata_json: String,
    /// How long loading took.
    pub load_us: Option<i64>,
    /// How long saving took.
    pub save_us: Option<i64>,
}

/// The texts of a submission, for the engine.
pub fn sources(submission: &Submission) -> Sources {
    let source = |text: &protocol::SourceText| Source {
        name: text.name.clone(),
        text: text.text.clone(),
        syntax: match text.syntax {
            protocol::Syntax::Toml => engine::source::Syntax::Toml,
            protocol::Syntax::Json => engine::source::Syntax::Json,
        },
    };
    Sources {
        pipeline: source(&submission.pipeline),
        summed: submission.summed.iter().map(source).collect(),
        includes: submission.includes.iter().map(source).collect(),
        catalogs: submission.catalogs.iter().map(source).collect(),
        default_patterns: submission.default_patterns.iter().map(source).collect(),
        credentials: submission.credentials.files.iter().map(source).collect(),
        credentials_environment: submission.credentials.environment.clone(),
        credentials_withheld: false,
        load_versions: submission.load_versions.clone(),
        parameters: submission.parameters.iter().map(source).collect(),
        overrides: submission.overrides.clone(),
        environment: submission.environment.clone(),
        base_directory: submission.base_directory.clone(),
        inputs: submission.inputs.iter().map(|(name, input)| (name.clone(), handed_in(input))).collect(),
    }
}

/// Which nodes shall run, for the engine.
pub fn filter(filter: &protocol::Filter) -> engine::filter::Filter {
    let protocol::Filter { tags, from_nodes, to_nodes, nodes, from_inputs, to_outputs, namespaces } = filter.clone();
    engine::filter::Filter { tags, from_nodes, to_nodes, nodes, from_inputs, to_outputs, namespaces }
}

fn handed_in(input: &protocol::InputData) -> HandedIn {
    match input {
        protocol::InputData::Value(value) => HandedIn::Value(value.to_string()),
        protocol::InputData::Block(block) => HandedIn::File(HandedInFile {
            name: block.name.clone(),
            type_name: block.dataset_type.clone(),
            options_json: block.options.clone().map(|options| serde_json::Value::Object(options).to_string()),
        }),
    }
}

/// What a failure means, for the engine.
pub fn on_failure(policy: protocol::OnFailure) -> engine::policy::OnFailure {
    match policy {
        protocol::OnFailure::Stop => engine::policy::OnFailure::Stop,
        protocol::OnFailure::Continue => engine::policy::OnFailure::Continue,
    }
}

/// A problem of the engine's, for clients.
pub fn problem(problem: engine::problem::Problem) -> Problem {
    Problem {
        code: problem.code.to_owned(),
        message: problem.message,
        place: problem.place.map(|place| Place { file: place.file, line: place.line, column: place.column }),
        causes: problem.causes,
        hints: problem.hints,
    }
}

/// A run's final state, for clients.
pub fn run_state(state: action::RunState) -> RunState {
    match state {
        action::RunState::Succeeded => RunState::Succeeded,
        action::RunState::Failed => RunState::Failed,
        action::RunState::Cancelled => RunState::Cancelled,
    }
}

/// What a dataset task does, for clients.
pub fn operation(operation: action::DatasetOperation) -> protocol::DatasetOperation {
    match operation {
        action::DatasetOperation::Load => protocol::DatasetOperation::Load,
        action::DatasetOperation::Save => protocol::DatasetOperation::Save,
        action::DatasetOperation::Confirm => protocol::DatasetOperation::Confirm,
    }
}

/// A failure, for clients; the caller adds node, dataset and attempt.
pub fn failure(failure: &engine::failure::Failure) -> protocol::Failure {
    use engine::failure::FailureKind as Kind;
    let (kind, signal, exit_code) = match failure.kind {
        Kind::Error => (FailureKind::Error, None, None),
        Kind::Panic => (FailureKind::Panic, None, None),
        Kind::Signal { number } => (FailureKind::Signal, Some(number), None),
        Kind::Exit { code } => (FailureKind::Exit, None, Some(code)),
        Kind::Timeout => (FailureKind::Timeout, None, None),
        Kind::MemoryLimit => (FailureKind::MemoryLimit, None, None),
        Kind::Protocol => (FailureKind::Protocol, None, None),
        Kind::Hook => (FailureKind::Hook, None, None),
        Kind::Budget => (FailureKind::Budget, None, None),
        Kind::Cancelled => (FailureKind::Cancelled, None, None),
        Kind::Spawn => (FailureKind::Spawn, None, None),
    };
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    protocol::Failure {
        signal,
        exit_code,
        place: given(&failure.place),
        causes: failure.causes.clone(),
        hints: failure.hints.clone(),
        plugin: given(&failure.plugin),
        worker: failure.worker,
        ..protocol::Failure::new(kind, failure.message.clone())
    }
}
