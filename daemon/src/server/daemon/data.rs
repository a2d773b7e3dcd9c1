//! The daemon's answers about data: blocks in memory, what goes into runs and comes out of them, which pipelines have run.
#![forbid(unsafe_code)]

use super::Daemon;
use crate::server::blocks::{self, EvictError};
use crate::server::outputs::{FetchError, Fetched, Means, fetch};
use crate::server::uploads::{Arriving, UploadError};
use crate::server::wanted;

impl Daemon {
    /// What a run has made and nobody in it read; nothing where nothing is known of it.
    pub fn outputs(&self, id: &str) -> Result<protocol::OutputList, FetchError> {
        match self.services.outputs.list(id) {
            Some(outputs) => Ok(outputs),
            None => match self.registry.find(id) {
                Some(run) => Ok(wanted::list_of_running(&run)),
                None => Err(FetchError::NoRun { run: id.to_owned(), is_known: self.stored(id).is_some() }),
            },
        }
    }

    /// Fetches an output; with `file_name`, in the format that its ending tells. Blocks for as long as a load and a save take.
    pub fn output(&self, id: &str, name: &str, file_name: Option<&str>) -> Result<Fetched, FetchError> {
        let found = self.services.outputs.find(id, name).or_else(|| {
            let run = self.registry.find(id)?;
            Some(run.plan.find_dataset(name).and_then(|dataset| run.output_so_far(dataset)))
        });
        let Some(Some(output)) = found else {
            let known = self.outputs(id)?.outputs.into_iter().map(|output| output.name).collect();
            return Err(FetchError::NoOutput { run: id.to_owned(), name: name.to_owned(), known });
        };
        let generation = self.generation();
        let folder = self.generations.config().exports_directory().unwrap_or_else(std::env::temp_dir);
        let means = Means { generation: &generation, services: &self.services, folder: &folder };
        fetch(id, name, &output, file_name, &means)
    }

    /// An output has arrived where it was wanted.
    pub fn output_fetched(&self, id: &str, name: &str) {
        self.services.outputs.fetched(id, name);
    }

    /// The pipelines that have run, with the last run of each, by name.
    pub fn pipelines(&self) -> Result<protocol::PipelineList, String> {
        let all = protocol::RunFilter { limit: Some(u32::MAX), ..protocol::RunFilter::default() };
        let mut pipelines: Vec<protocol::PipelineInfo> = Vec::new();
        for run in self.runs(&all)?.runs {
            match pipelines.iter_mut().find(|pipeline| pipeline.name == run.pipeline) {
                Some(pipeline) => pipeline.runs += 1,
                None => pipelines.push(protocol::PipelineInfo { name: run.pipeline.clone(), runs: 1, last_run: run }),
            }
        }
        pipelines.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(protocol::PipelineList { pipelines })
    }

    /// Makes room for bytes that a client sends ahead of a run; `announced` says how many, if that is known.
    pub fn begin_upload(&self, announced: Option<u64>) -> Result<Arriving, UploadError> {
        self.services.uploads.begin(announced)
    }

    /// Every block in memory.
    pub fn blocks(&self) -> protocol::BlockList {
        let residents = self.services.residents.list().into_iter().map(blocks::resident);
        let runs = self.registry.active().into_iter().flat_map(|run| blocks::of_run(&run));
        let uploads = self.services.uploads.list().into_iter().map(|upload| blocks::upload(&upload));
        let outputs = self.services.outputs.blocks().into_iter().map(blocks::output);
        blocks::list(residents.chain(runs).chain(uploads).chain(outputs).collect())
    }

    /// How many blocks there are: those that the accounts count, and the small ones that only their holders do.
    pub(super) fn block_count(&self) -> u64 {
        let of_runs: u64 = self.registry.active().iter().map(|run| run.uncounted_blocks()).sum();
        self.services.accounts.usage().blocks + of_runs + self.services.outputs.uncounted_blocks()
    }

    /// Drops resident datasets, at once or with their last reader.
    pub fn evict(&self, request: &protocol::EvictRequest) -> Result<protocol::Eviction, EvictError> {
        blocks::evict(&self.services.residents, request)
    }
}
