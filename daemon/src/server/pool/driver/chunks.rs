//! A call's outputs that its worker saves chunk by chunk: what the worker is told of them, and what hooks see of each chunk.
#![forbid(unsafe_code)]

use engine::failure::Failure;
use engine::id::{Attempt, DatasetId};
use engine::plan::{Dataset, Persisted};

use super::Driver;
use super::attempt::Shown;
use super::conversation::{End, Topic, channel_end};
use super::request::Work;
use super::worker::Worker;
use crate::block::adopt::ClaimedBlock;
use crate::ipc::client::Input;
use crate::ipc::message::{ChunkPort, SavedChunks};
use crate::server::hooks::HookEventName;
use crate::server::json::JsonObject;
use crate::server::runs::Run;

/// The ports of one call whose chunks are saved, and how far that is.
#[derive(Default)]
pub struct ChunkDesk<'a> {
    ports: Vec<(u32, Dataset<'a>, &'a Persisted)>,
    /// The chunk that is being saved, with its port.
    current: Option<(u32, Shown)>,
    /// Why a hook would not have a chunk.
    pub refused: Option<Failure>,
    /// The port whose chunks could not be saved, as the worker says.
    pub failed: Option<u32>,
    /// What the worker says of those that were.
    pub saved: Vec<SavedChunks>,
}

impl<'a> ChunkDesk<'a> {
    /// Looks up what of a task's outputs is saved in chunks.
    pub fn of(run: &'a Run, work: &Work<'_>) -> ChunkDesk<'a> {
        let Work::Call(node) = work else { return ChunkDesk::default() };
        let chunked = |(port, dataset): (u32, &Option<DatasetId>)| {
            let dataset = run.plan.dataset((*dataset)?).filter(|dataset| dataset.chunked)?;
            Some((port, dataset, dataset.storage?))
        };
        ChunkDesk { ports: (0..).zip(node.outputs).filter_map(chunked).collect(), ..ChunkDesk::default() }
    }

    /// The numbers of the ports.
    pub fn ports(&self) -> impl Iterator<Item = u32> + '_ {
        self.ports.iter().map(|(port, ..)| *port)
    }

    /// What the worker is told.
    pub fn describe(&self, run: &Run, token: u64, attempt: Attempt, worker: u32) -> Vec<ChunkPort> {
        let hooks = &run.generation.hooks;
        let announced = [HookEventName::BeforeDatasetSaved, HookEventName::AfterDatasetSaved]
            .into_iter()
            .any(|event| hooks.wants(event));
        let describe = |(port, dataset, storage): &(u32, Dataset<'a>, &'a Persisted)| ChunkPort {
            port: *port,
            plugin: storage.plugin,
            dataset_type: storage.dataset_type,
            // Tokens are not used twice in a worker, so a second attempt begins anew.
            argument: Work::Save(*dataset, storage).argument_in(
                run,
                attempt,
                worker,
                Some(format!("{token}.{port}").as_str()),
            ),
            announced,
            suffix: storage.partition_suffix.clone(),
        };
        self.ports.iter().map(describe).collect()
    }

    /// The dataset that a port makes.
    pub fn dataset(&self, port: u32) -> Option<DatasetId> {
        self.work(port).map(|(dataset, _)| dataset.id)
    }

    fn work(&self, port: u32) -> Option<(Dataset<'a>, &'a Persisted)> {
        self.ports.iter().find(|(known, ..)| *known == port).map(|(_, dataset, storage)| (*dataset, *storage))
    }
}

impl Driver {
    /// A chunk is about to be saved: hooks see it, and may refuse it.
    pub(super) fn chunk_came(&self, worker: &Worker, topic: &Topic<'_>, chunk: ClaimedBlock) -> Option<End> {
        let mut desk = topic.chunks.borrow_mut();
        let port = chunk.port;
        let Some((dataset, storage)) = desk.work(port) else {
            let lie = format!("it handed in a chunk of output {port}, which is not saved in chunks");
            return Some(End::Unusable(topic.subject.protocol(lie)));
        };
        let services = &self.shared.services;
        let block = match chunk.adopt(&services.accounts) {
            Ok(block) => block,
            Err(problem) => {
                let lie = format!("a chunk of output {port} was refused: {problem}");
                return Some(End::Unusable(topic.subject.protocol(lie)));
            }
        };
        let now = services.clock.unix_us_now();
        let shown = Shown { inputs: vec![(0, block.clone())], times_us: (now, now), ..Shown::default() };
        let (run, save) = (&topic.job.run, Work::Save(dataset, storage));
        let told = if run.generation.hooks.wants(HookEventName::BeforeDatasetSaved) {
            let describe = |event: &mut JsonObject| save.describe_start(event, run, self.number, &shown);
            let blocks = &mut [Input::Block(block)];
            run.generation.hooks.call(HookEventName::BeforeDatasetSaved, Some(run), describe, blocks)
        } else {
            Ok(())
        };
        desk.current = Some((port, shown));
        desk.let_go(worker, topic, told)
    }

    /// The chunk that came last was saved: hooks hear of it.
    pub(super) fn chunk_was_saved(&self, worker: &Worker, topic: &Topic<'_>) -> Option<End> {
        let mut desk = topic.chunks.borrow_mut();
        let current = desk.current.take().and_then(|(port, shown)| Some((desk.work(port)?, shown)));
        let Some(((dataset, storage), mut shown)) = current else {
            return Some(End::Unusable(topic.subject.protocol("it saved a chunk that it had not handed in")));
        };
        shown.times_us.1 = self.shared.services.clock.unix_us_now();
        let (run, save) = (&topic.job.run, Work::Save(dataset, storage));
        let told = if run.generation.hooks.wants(HookEventName::AfterDatasetSaved) {
            let describe = |event: &mut JsonObject| save.describe_end(event, run, self.number, &shown, &[]);
            let blocks = &mut save.blocks_at_end(&shown, &[]);
            run.generation.hooks.call(HookEventName::AfterDatasetSaved, Some(run), describe, blocks)
        } else {
            Ok(())
        };
        desk.let_go(worker, topic, told)
    }
}

impl ChunkDesk<'_> {
    fn let_go(&mut self, worker: &Worker, topic: &Topic<'_>, told: Result<(), Failure>) -> Option<End> {
        let go = told.map_err(|failure| {
            let reason = failure.to_string();
            self.refused.get_or_insert(failure);
            reason
        });
        worker.channel.proceed(topic.token, go).err().map(|error| channel_end(error, topic))
    }
}
