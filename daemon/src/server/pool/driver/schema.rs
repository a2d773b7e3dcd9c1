//! A dataset's schema, held against what its block says of itself: after a load, before a save.
#![forbid(unsafe_code)]

use engine::failure::{Failure, FailureKind};
use protocol::LogSource;

use super::failure::Subject;
use super::request::Work;
use crate::block::Block;
use crate::server::logging::counted;
use crate::server::runs::{Origin, Run};

impl Work<'_> {
    /// Checks the block that is to be saved, or was loaded. Where the schema only warns, the run's log gets the warning.
    pub fn check_schema(&self, run: &Run, block: &Block, subject: &Subject) -> Result<(), Failure> {
        let (Work::Load(dataset, storage) | Work::Save(dataset, storage)) = self else { return Ok(()) };
        let Some(schema) = &storage.schema else { return Ok(()) };
        let wrong = schema.check(block.metadata());
        if wrong.is_empty() {
            return Ok(());
        }
        let name = dataset.name;
        if schema.warns {
            let origin = Origin { node: Some(name), plugin: "", worker: Some(subject.worker) };
            let message = format!("dataset `{name}` does not fit its schema: {}", wrong.join("; "));
            run.log_line(&origin, LogSource::Daemon, "warn", "schema".to_owned(), message);
            return Ok(());
        }
        let mut failure = subject.failure(
            FailureKind::Error,
            format!(
                "dataset `{name}` does not fit its schema in {} ({})",
                counted(wrong.len() as u64, "column"),
                subject.doing
            ),
        );
        failure.causes = wrong;
        failure
            .hints
            .push("mend the data, or `schema` in the catalog; `schema_severity = \"warn\"` lets it pass".to_owned());
        Err(failure)
    }
}
