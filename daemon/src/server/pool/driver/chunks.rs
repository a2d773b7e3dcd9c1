//! A call's outputs that its worker saves chunk by chunk: what the worker is told of them, and what hooks see of each chunk.
#![forbid(unsafe_code)]

use std::sync::Arc;

use engine::failure::Failure;
use engine::id::{Attempt, DatasetId};
use engine::plan::{Dataset, Partitions, Persisted};

use super::Driver;
use super::attempt::Shown;
use super::loss::End;
use super::request::Work;
use crate::block::adopt::ClaimedBlock;
use crate::ipc::client::Input;
use crate::ipc::message::{ChunkPort, PartitionFiles};
use crate::server::hooks::HookEventName;
use crate::server::json::JsonObject;
use crate::server::runs::Run;

/// The ports of one call whose chunks are saved, and how far that is.
#[derive(Debug)]
pub struct ChunkDesk {
    ports: Vec<(u32, DatasetId)>,
    /// The chunk that is being saved, with its port.
    current: Option<(u32, Shown)>,
    /// Why a hook would not have a chunk.
    pub refused: Option<Failure>,
}

impl ChunkDesk {
    /// Looks up what of a task's outputs is saved in chunks; nothing if none is.
    pub fn of(run: &Run, work: &Work<'_>) -> Option<ChunkDesk> {
        let Work::Call(node) = work else { return None };
        let chunked = |(port, dataset): (u32, &Option<DatasetId>)| {
            let dataset = run.plan.dataset((*dataset)?).filter(|dataset| dataset.chunked)?;
            dataset.storage.is_some().then_some((port, dataset.id))
        };
        let ports: Vec<(u32, DatasetId)> = (0..).zip(node.outputs).filter_map(chunked).collect();
        if ports.is_empty() { None } else { Some(ChunkDesk { ports, current: None, refused: None }) }
    }

    /// How many ports there are.
    pub fn len(&self) -> usize {
        self.ports.len()
    }

    /// What the worker is told.
    pub fn describe(&self, run: &Run, token: u64, attempt: Attempt, worker: u32) -> Vec<ChunkPort> {
        let hooks = &run.generation.hooks;
        let announced = [HookEventName::BeforeDatasetSaved, HookEventName::AfterDatasetSaved]
            .into_iter()
            .any(|event| hooks.wants(event));
        let describe = |(port, id): &(u32, DatasetId)| {
            let (dataset, storage) = storage(run, *id)?;
            // Tokens are not used twice in a worker, so a second attempt begins anew.
            let session = format!("{token}.{port}");
            Some(ChunkPort {
                port: *port,
                plugin: storage.plugin,
                dataset_type: storage.dataset_type,
                argument: Work::Save(dataset, storage).argument_in(run, attempt, worker, Some(&session)),
                announced,
                partitions: storage.partitions.as_ref().map(partition_files),
            })
        };
        self.ports.iter().filter_map(describe).collect()
    }

    /// The dataset that a port makes.
    pub fn dataset(&self, port: u32) -> Option<DatasetId> {
        self.ports.iter().find(|(known, _)| *known == port).map(|(_, dataset)| *dataset)
    }
}

fn storage(run: &Run, id: DatasetId) -> Option<(Dataset<'_>, &Persisted)> {
    let dataset = run.plan.dataset(id)?;
    let storage = dataset.storage?;
    Some((dataset, storage))
}

fn partition_files(partitions: &Partitions) -> PartitionFiles {
    PartitionFiles {
        suffix: partitions.suffix.clone(),
        overwrite: partitions.overwrite,
        checkpoint: partitions.checkpoint.as_ref().map(|checkpoint| checkpoint.path.clone()).unwrap_or_default(),
    }
}

impl Driver {
    /// A chunk is about to be saved: hooks see it, and may refuse it.
    pub(super) fn chunk_came(&mut self, token: u64, chunk: ClaimedBlock) -> Result<(), End> {
        let port = chunk.port;
        let Some(flight) = self.flights.find(token) else {
            return Err(self.unusable(format!("it handed in a chunk for task {token}, which is not under way")));
        };
        let run = Arc::clone(&flight.job.run);
        let id = flight.desk.as_ref().and_then(|desk| desk.dataset(port));
        let Some((dataset, storage)) = id.and_then(|id| storage(&run, id)) else {
            let lie = format!("it handed in a chunk of output {port}, which is not saved in chunks");
            return Err(self.unusable(lie));
        };
        let services = &self.shared.services;
        let block = match chunk.adopt(&services.accounts) {
            Ok(block) => block,
            Err(problem) => return Err(self.unusable(format!("a chunk of output {port} was refused: {problem}"))),
        };
        let now = services.clock.unix_us_now();
        let shown = Shown { inputs: vec![(0, block.clone())], times_us: (now, now), ..Shown::default() };
        let save = Work::Save(dataset, storage);
        let told = if run.generation.hooks.wants(HookEventName::BeforeDatasetSaved) {
            let describe = |event: &mut JsonObject| save.describe_start(event, &run, self.number, &shown.inputs);
            let blocks = &mut [Input::Block(block)];
            run.generation.hooks.call(HookEventName::BeforeDatasetSaved, Some(&run), describe, blocks)
        } else {
            Ok(())
        };
        if let Some(desk) = self.flights.find(token).and_then(|flight| flight.desk.as_mut()) {
            desk.current = Some((port, shown));
        }
        self.let_go(token, told)
    }

    /// The chunk that came last was saved: hooks hear of it.
    pub(super) fn chunk_was_saved(&mut self, token: u64) -> Result<(), End> {
        let flight = self.flights.find(token);
        let current = flight.and_then(|flight| {
            let (port, shown) = flight.desk.as_mut()?.current.take()?;
            Some((Arc::clone(&flight.job.run), flight.desk.as_ref()?.dataset(port)?, shown))
        });
        let Some((run, id, mut shown)) = current else {
            return Err(self.unusable("it saved a chunk that it had not handed in".to_owned()));
        };
        let Some((dataset, storage)) = storage(&run, id) else { return Ok(()) };
        shown.times_us.1 = self.shared.services.clock.unix_us_now();
        let save = Work::Save(dataset, storage);
        let told = if run.generation.hooks.wants(HookEventName::AfterDatasetSaved) {
            let describe = |event: &mut JsonObject| save.describe_end(event, &run, self.number, &shown, &[]);
            let blocks = &mut save.blocks_at_end(&shown, &[]);
            run.generation.hooks.call(HookEventName::AfterDatasetSaved, Some(&run), describe, blocks)
        } else {
            Ok(())
        };
        self.let_go(token, told)
    }

    fn let_go(&mut self, token: u64, told: Result<(), Failure>) -> Result<(), End> {
        let go = told.map_err(|failure| {
            let reason = failure.to_string();
            if let Some(desk) = self.flights.find(token).and_then(|flight| flight.desk.as_mut()) {
                desk.refused.get_or_insert(failure);
            }
            reason
        });
        match &self.worker {
            Some(worker) => worker.channel.proceed(token, go).map_err(|error| self.channel_end(error)),
            None => Ok(()),
        }
    }
}
