//! One job, top to bottom: may it begin, hooks, message, conversation, adoption, hooks, and the engine is told.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::sync::Arc;

use engine::event::Event;
use engine::failure::{Failure, FailureKind};
use engine::id::DatasetId;
use engine::plan::TaskKind;

use super::chunks::ChunkDesk;
use super::conversation::Topic;
use super::failure::Subject;
use super::request::Work;
use super::{Driver, Job, Local};
use crate::block::Block;
use crate::block::adopt::ClaimedBlock;
use crate::ipc::channel::ChannelError;
use crate::ipc::client::{Input, TaskRequest};
use crate::ipc::message::SavedChunks;
use crate::server::budget::{Allowance, Charge};
use crate::server::hooks::HookEventName;
use crate::server::json::JsonObject;
use crate::server::residents::{Entered, Share};
use crate::server::runs::{Keep, Origin};

/// An output that was checked, and the dataset it is bound to.
pub struct Output {
    /// The output port.
    pub port: usize,
    /// The dataset; nothing if the port is not bound.
    pub dataset: Option<DatasetId>,
    /// The bytes.
    pub block: Block,
    charge: Charge,
}

/// What hooks are shown of a task: its blocks and its times.
#[derive(Default)]
pub struct Shown {
    /// The blocks it reads, with their input ports.
    pub inputs: Vec<(usize, Block)>,
    /// When it started and finished, in microseconds since 1970.
    pub times_us: (i64, i64),
    /// The output whose chunks could not be saved, if that is why a call failed.
    pub unsaved: Option<DatasetId>,
    /// What a call saved chunk by chunk: how many chunks, of how many bytes.
    pub saved: Vec<(DatasetId, SavedChunks)>,
}

impl Driver {
    /// Carries out a job and tells its run how it ended.
    pub fn attempt(&mut self, job: Job, local: &Local<Job>) {
        // One that waits for another run's load is not begun: it holds no worker, and its run can take it back.
        let Entered::Begin(job, share) = self.shared.services.residents.enter(job) else {
            self.shared.services.budget.job_ended(&self.shared.party);
            return;
        };
        let Job { task, attempt, .. } = job;
        let worker = self.number;
        // First the slot, then the engine: an abort is ordered only after the engine has heard of the beginning.
        self.slot().begin(&job.run, task, attempt);
        if job.run.begin(task, attempt, worker, local) {
            let services = &self.shared.services;
            let bell = Arc::clone(self.slot().bell());
            let mut allowance = Allowance::new(Arc::clone(&services.budget), Arc::clone(&self.shared.party), bell);
            let result = self.carry_out(&job, share, &mut allowance);
            self.slot().end();
            let event = match result {
                Ok(()) => Event::Finished { task, attempt, worker },
                Err(failure) => Event::Failed { task, attempt, worker, failure: Box::new(failure) },
            };
            job.run.step(event, Some(local));
        } else {
            self.slot().end();
            // Given back before the job is counted as ended, as whatever follows from its end.
            drop(share);
        }
        // After everything that follows from the end: what it released, and what it made ready.
        self.shared.services.budget.job_ended(&self.shared.party);
    }

    fn carry_out(&mut self, job: &Job, share: Share, allowance: &mut Allowance) -> Result<(), Failure> {
        let run = &job.run;
        if let (Share::There(lease), Some(TaskKind::Load(dataset))) = (&share, run.plan.task(job.task)) {
            run.hold(dataset, lease.block(), Keep::Lease(lease.clone()));
            return Ok(());
        }
        let Some(work) = run.plan.task(job.task).and_then(|kind| Work::of(run, kind)) else {
            let message = format!("task {} is not in the plan; this is a mistake in dagd", job.task);
            return Err(Failure::new(FailureKind::Protocol, message));
        };
        let subject = work.subject(self.number);
        let hooks = &run.generation.hooks;
        let [_, after, _] = work.events();
        let mut shown = Shown::default();
        shown.times_us.0 = self.shared.services.clock.unix_us_now();
        let mut share = share;
        let result = self.execute(job, &work, &subject, allowance, &mut shown);
        shown.times_us.1 = self.shared.services.clock.unix_us_now();
        let result = result.and_then(|outputs| {
            if hooks.wants(after) {
                let describe = |event: &mut JsonObject| work.describe_end(event, run, self.number, &shown, &outputs);
                hooks.call(after, Some(run), describe, &mut work.blocks_at_end(&shown, &outputs))?;
            }
            Ok(outputs)
        });
        match result {
            Ok(outputs) => {
                for Output { dataset, block, charge, .. } in outputs {
                    let Some(dataset) = dataset else { continue };
                    let keep = match share.take_loading() {
                        Some(loading) => Keep::Lease(loading.finish(block.clone(), charge)),
                        None => Keep::Charge(charge),
                    };
                    run.hold(dataset, block, keep);
                }
                for (dataset, SavedChunks { chunks, bytes, .. }) in shown.saved {
                    run.note_chunks(dataset, chunks, bytes);
                }
                Ok(())
            }
            Err(failure) => {
                let failure = run.redacted(failure);
                // A save within a call is told as one.
                let save = shown.unsaved.and_then(|dataset| Work::of(run, TaskKind::Save(dataset)));
                let work = save.as_ref().unwrap_or(&work);
                let [_, _, error] = work.events();
                // A hook that refused the task has spoken already, and a task that was told to stop did not err.
                if hooks.wants(error) && !matches!(failure.kind, FailureKind::Hook | FailureKind::Cancelled) {
                    let describe =
                        |event: &mut JsonObject| work.describe_error(event, run, self.number, &shown, &failure);
                    let told = hooks.call(error, Some(run), describe, &mut work.blocks_at_error(&shown));
                    if let Err(second) = told {
                        // The task has failed already; that a hook failed over it must not hide why.
                        log::warn!("{}: {second}", run.id);
                    }
                }
                Err(failure)
            }
        }
    }

    fn execute(
        &mut self,
        job: &Job,
        work: &Work<'_>,
        subject: &Subject,
        allowance: &mut Allowance,
        shown: &mut Shown,
    ) -> Result<Vec<Output>, Failure> {
        let run = &job.run;
        self.ensure_worker().map_err(|reason| subject.no_worker(reason))?;
        let mut inputs = work.inputs(run, subject)?;
        let hooks = &run.generation.hooks;
        let [before, after, error] = work.events();
        if [before, after, error].into_iter().any(|event| hooks.wants(event)) {
            shown.inputs = blocks_of(&inputs);
        }
        if hooks.wants(before) {
            let mut blocks: Vec<Input> = shown.inputs.iter().map(|(_, block)| Input::Block(block.clone())).collect();
            let describe = |event: &mut JsonObject| work.describe_start(event, run, self.number, shown);
            hooks.call(before, Some(run), describe, &mut blocks)?;
            // A hook may have put others in their place.
            for ((port, _), block) in shown.inputs.iter().zip(blocks) {
                if let (Some(input), Input::Block(_)) = (inputs.get_mut(*port), &block) {
                    *input = block;
                }
            }
            shown.inputs = blocks_of(&inputs);
        }
        if let (Work::Save(..), Some(Input::Block(block))) = (work, inputs.first()) {
            work.check_schema(run, block, subject)?;
        }
        self.last_token += 1;
        let token = self.last_token;
        let desk = ChunkDesk::of(run, work);
        let in_chunks: Vec<u32> = desk.ports().collect();
        let request = TaskRequest {
            token,
            plugin: work.plugin(),
            argument: work.argument(run, job.attempt, self.number),
            operation: work.operation(
                run,
                inputs,
                desk.describe(run, token, job.attempt, self.number),
                work.partitions(run, job.attempt, self.number),
            ),
        };
        self.send(&request, subject)?;
        if let (Work::Load(dataset, storage) | Work::Save(dataset, storage), Some(worker)) = (work, &self.worker)
            && storage.releases
        {
            run.note_keeper(dataset.id, self.number, worker.process.pid);
        }
        // The message keeps the blocks alive until here; from now on the run does, as their reader is under way.
        drop(request);
        let topic = Topic {
            job,
            token,
            subject,
            origin: Origin { node: Some(work.name()), plugin: &subject.plugin, worker: Some(self.number) },
            node: work.node(),
            chunks: RefCell::new(desk),
        };
        let claims = self.converse(&topic, allowance);
        let mut desk = topic.chunks.into_inner();
        let claims = claims.map_err(|failure| {
            shown.unsaved = desk.failed.and_then(|port| desk.dataset(port));
            match desk.refused.take() {
                // The worker only passes on what a hook said.
                Some(refused) if failure.kind == FailureKind::Error => refused,
                _ => failure,
            }
        })?;
        let saved = desk.saved.iter().filter_map(|saved| Some((desk.dataset(saved.port)?, *saved)));
        shown.saved = saved.collect();
        let outputs = self.adopt(&work.outputs(), &in_chunks, claims, subject, allowance)?;
        if let Work::Load(..) = work {
            outputs.iter().try_for_each(|output| work.check_schema(run, &output.block, subject))?;
        }
        Ok(outputs)
    }

    /// Sends a task. A worker that died idle is found out here at the latest, and is no fault of the task.
    fn send(&mut self, request: &TaskRequest, subject: &Subject) -> Result<(), Failure> {
        for _ in 0..2 {
            let worker = self.ensure_worker().map_err(|reason| subject.no_worker(reason))?;
            // A process it left behind may hold its channel open: then nobody would read the task.
            if worker.process.has_ended() {
                self.discard_worker();
                continue;
            }
            match worker.channel.send_task(request) {
                Ok(()) => return Ok(()),
                // One that has not even read what belonged to earlier tasks is no better.
                Err(ChannelError::Closed | ChannelError::Behind) => self.discard_worker(),
                Err(error) => {
                    let mut failure =
                        subject.failure(FailureKind::Error, format!("the task could not be sent: {error}"));
                    failure
                        .hints
                        .push("a node with very many inputs can be split, or its inputs collected into one".to_owned());
                    return Err(failure);
                }
            }
        }
        Err(subject.no_worker("it ended twice before it could take the task".to_owned()))
    }

    /// Checks what the worker claims to have made. A worker that claims what is not true is not used again.
    fn adopt(
        &mut self,
        expected: &[Option<DatasetId>],
        in_chunks: &[u32],
        claims: Vec<ClaimedBlock>,
        subject: &Subject,
        allowance: &mut Allowance,
    ) -> Result<Vec<Output>, Failure> {
        let services = Arc::clone(&self.shared.services);
        let mut outputs: Vec<Option<Output>> = expected.iter().map(|_| None).collect();
        let mut lie = None;
        for claim in claims {
            let port = usize::try_from(claim.port).unwrap_or(usize::MAX);
            match outputs.get_mut(port) {
                Some(_) if in_chunks.contains(&claim.port) => {
                    lie = Some(format!("output {port} was handed in whole, and is saved in chunks"));
                }
                Some(place @ None) => match claim.adopt(&services.accounts) {
                    Ok(block) => {
                        let charge = allowance.settle_block(block.size());
                        *place = Some(Output { port, dataset: expected.get(port).copied().flatten(), block, charge });
                    }
                    Err(problem) => lie = Some(format!("the block of output {port} was refused: {problem}")),
                },
                Some(Some(_)) => lie = Some(format!("output {port} was handed in twice")),
                None => lie = Some(format!("output {port} was handed in, the task has {}", expected.len())),
            }
        }
        let made = outputs.iter().flatten().count() + in_chunks.len();
        if lie.is_none() && made < expected.len() {
            lie = Some(format!("{made} outputs were handed in, expected {}", expected.len()));
        }
        if let Some(lie) = lie {
            self.discard_worker();
            return Err(subject.protocol(lie));
        }
        let files = services.accounts.usage().files;
        if files > services.block_files_max {
            let mut failure = subject.failure(
                FailureKind::Budget,
                format!("{files} datasets have a file of their own, and no more than {} may", services.block_files_max),
            );
            failure
                .hints
                .push("raise the daemon's limit on open files (LimitNOFILE= in the unit, ulimit -n)".to_owned());
            return Err(failure);
        }
        Ok(outputs.into_iter().flatten().collect())
    }
}

/// The inputs that are datasets, with their ports.
fn blocks_of(inputs: &[Input]) -> Vec<(usize, Block)> {
    let block = |(port, input): (usize, &Input)| match input {
        Input::Block(block) => Some((port, block.clone())),
        Input::Absent | Input::Json(_) => None,
    };
    inputs.iter().enumerate().filter_map(block).collect()
}

impl Work<'_> {
    /// The hook events of this kind of work: before, after, on error.
    pub fn events(&self) -> [HookEventName; 3] {
        use HookEventName as Name;
        match self {
            Work::Call(_) => [Name::BeforeNodeRun, Name::AfterNodeRun, Name::OnNodeError],
            Work::Load(..) => [Name::BeforeDatasetLoaded, Name::AfterDatasetLoaded, Name::OnDatasetError],
            Work::Save(..) => [Name::BeforeDatasetSaved, Name::AfterDatasetSaved, Name::OnDatasetError],
        }
    }
}
