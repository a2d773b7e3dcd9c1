//! From a task to what lies in the worker's ring: a record that tells all of it, or a message, and a record that says so.
#![forbid(unsafe_code)]

use engine::failure::{Failure, FailureKind};
use engine::id::{DatasetId, NodeId};
use engine::plan::InputBinding;

use super::attempt::Shown;
use super::chunks::ChunkDesk;
use super::failure::Subject;
use super::flight::Flight;
use super::request::Work;
use super::{Driver, Job};
use crate::block::Block;
use crate::ipc::channel::ChannelError;
use crate::ipc::client::{Input, TaskRequest};
use crate::ipc::message::SegmentPlace;
use crate::ipc::ring::record::{self, Head, Inputs, PartBlock};
use crate::server::pool::pace::Kind;
use crate::server::runs::Run;

/// A task that is in the record, about to go into the ring.
#[derive(Debug)]
pub struct Sent {
    /// Blocks that it reads in memory that is used again.
    pub held: Vec<Block>,
    /// Its number between driver and worker.
    pub token: u64,
    /// Its place in the ring.
    pub index: u32,
    /// What it has in common with others that take as long.
    pub kind: Kind,
    /// Its outputs that are saved chunk by chunk.
    pub desk: Option<Box<ChunkDesk>>,
}

/// Why a task did not go out.
pub enum NotSent {
    /// It failed.
    Failed(Failure),
    /// The worker has gone, or does not listen: the task is for another one.
    WorkerLost,
}

impl Driver {
    /// Writes a task into the record, or into a message and a pointer to it into the record. It goes into the ring with
    /// [`Driver::fly`].
    pub fn send(&mut self, job: &Job, shown: &mut Option<Box<Shown>>) -> Result<Sent, NotSent> {
        let Some(work) = Work::of_job(job) else {
            let message = format!("task {} is not in the plan; this is a mistake in dagd", job.task);
            return Err(NotSent::Failed(Failure::new(FailureKind::Protocol, message)));
        };
        if let Err(reason) = self.ensure_worker() {
            return Err(NotSent::Failed(work.subject(self.number).no_worker(reason)));
        }
        self.last_token += 1;
        let token = self.last_token;
        *shown = self.shown(job, &work);
        let kind = work.pace_kind();
        let mut desk = None;
        let mut held = Vec::new();
        let new_inputs = job.heard.as_ref().filter(|heard| heard.has_new_inputs);
        if new_inputs.is_some() || !self.write_record(job, &work, token, None, &mut held)? {
            let subject = work.subject(self.number);
            let inputs = Driver::inputs(job, &work, &subject).map_err(NotSent::Failed)?;
            desk = ChunkDesk::of(&job.run, &work).map(Box::new);
            let request = TaskRequest {
                token,
                plugin: work.plugin(),
                argument: work.argument(&job.run, job.attempt, self.number),
                operation: work.operation(
                    &job.run,
                    inputs,
                    desk.as_ref()
                        .map_or_else(Vec::new, |desk| desk.describe(&job.run, token, job.attempt, self.number)),
                    work.partitions(&job.run, job.attempt, self.number),
                ),
            };
            // The message keeps the blocks alive until it is sent; from then on the run does, as their reader is under way.
            self.send_message(&request, &subject, &mut held)?;
            if let (Work::Load(dataset, storage) | Work::Save(dataset, storage), Some(worker)) = (&work, &self.worker)
                && storage.releases
            {
                job.run.note_keeper(dataset.id, self.number, worker.process.pid);
            }
        }
        let index = self.next_slot().ok_or(NotSent::WorkerLost)?;
        Ok(Sent { held, token, index, kind, desk })
    }

    /// Writes a call into the record that the engine has not dispatched, if a record can tell it. What the node `made` makes, it will find in the
    /// answer to the task of that number.
    pub fn send_ahead(&mut self, job: &Job, work: &Work<'_>, made: Option<(NodeId, u64)>) -> Option<Sent> {
        let token = self.last_token + 1;
        let mut held = Vec::new();
        if !matches!(self.write_record(job, work, token, made, &mut held), Ok(true)) {
            return None;
        }
        let index = self.next_slot()?;
        self.last_token = token;
        Some(Sent { held, token, index, kind: work.pace_kind(), desk: None })
    }

    /// Notes a task and puts its record into the ring; the worker is not shown it before [`Driver::publish`].
    pub fn fly(&mut self, flight: Flight) {
        self.unpublished += 1;
        let (oldest, index) = (self.oldest_slot(), flight.index);
        self.flights.push(flight);
        // After all that is moved about on this side: words that are on their way to another processor hold up whatever is stored
        // behind them, and whoever reads that.
        let pushed = self.worker.as_mut().and_then(|worker| worker.rings.push(&self.record, oldest));
        debug_assert_eq!(pushed, Some(index), "there was room when the record was written");
    }

    /// The slot of the next task, if there is room for one.
    fn next_slot(&self) -> Option<u32> {
        self.worker.as_ref()?.rings.room(self.oldest_slot())
    }

    fn oldest_slot(&self) -> Option<u32> {
        self.flights.front().map(|front| front.index)
    }

    /// Writes a call into the record whose inputs are small, or in segments; false if this is none. What the node `made` makes, it will find in
    /// the answer to the task of that number. What must stay as it is until the task has ended is added to `held`.
    pub fn write_record(
        &mut self,
        job: &Job,
        work: &Work<'_>,
        token: u64,
        made: Option<(NodeId, u64)>,
        held: &mut Vec<Block>,
    ) -> Result<bool, NotSent> {
        let (Work::Call(node), Some(worker)) = (work, &mut self.worker) else { return Ok(false) };
        let run = &job.run;
        // What is saved in chunks, or read in partitions, takes more than a record can say.
        if node.outputs.iter().flatten().any(|made| run.plan.is_chunked(*made)) {
            return Ok(false);
        }
        let blocks = &mut self.blocks;
        blocks.clear();
        for (port, input) in node.inputs.iter().enumerate() {
            if let Some(InputBinding::Dataset(id)) = input
                && made_by(run, *id, made).is_none()
            {
                let storage = run.plan.dataset(*id).and_then(|dataset| dataset.storage);
                if storage.is_some_and(|storage| storage.partitions.is_some()) {
                    return Ok(false);
                }
                let Some(block) = heard(job, port).or_else(|| run.block(*id)) else { return Ok(false) };
                let place = match block.part() {
                    Some(_) => worker.place(&block).map_err(|error| lost(error, || work.subject(self.number)))?,
                    None => None,
                };
                match place {
                    Some(SegmentPlace::Descriptor(_)) => return Ok(false),
                    None if block.small().is_none() => return Ok(false),
                    place => blocks.push((block, place)),
                }
            }
        }
        let number = worker.brief(run, self.number).map_err(|error| lost(error, || work.subject(self.number)))?;
        let mut next = blocks.iter();
        let inputs = node.inputs.iter().map(|input| match input {
            None => record::Input::Absent,
            Some(InputBinding::Parameter(id)) => {
                record::Input::Json(run.plan.parameter(*id).map_or("null", |value| &value.json))
            }
            Some(InputBinding::Dataset(id)) => match made_by(run, *id, made) {
                Some((token, port)) => record::Input::Made { token, port },
                None => next.next().and_then(known).unwrap_or(record::Input::Absent),
            },
        });
        let call = record::Call {
            head: Head { token, messages: worker.sent },
            plugin: node.call.plugin,
            node: node.call.node,
            run: number,
            attempt: job.attempt.0,
            outputs: u32::try_from(node.outputs.len()).unwrap_or(u32::MAX),
            lasting: work.lasting(run),
            name: node.name,
            inputs_count: u32::try_from(node.inputs.len()).unwrap_or(u32::MAX),
            inputs: Inputs::default(),
        };
        let fits = self.record.call(&call, inputs);
        held.extend(blocks.drain(..).filter(|(_, place)| place.is_some()).map(|(block, _)| block));
        Ok(fits)
    }

    /// Sends a task as a message, and writes into the record that it did.
    fn send_message(&mut self, request: &TaskRequest, subject: &Subject, held: &mut Vec<Block>) -> Result<(), NotSent> {
        // A hook may have taken a while.
        let worker = match self.ensure_worker() {
            Ok(worker) => worker,
            Err(reason) => return Err(NotSent::Failed(subject.no_worker(reason))),
        };
        // A process it left behind may hold its channel open: then nobody would read the task.
        if worker.process.has_ended() {
            return Err(NotSent::WorkerLost);
        }
        let inputs = request.operation.inputs();
        let places = worker.places(inputs).map_err(|error| lost(error, || subject.clone()))?;
        worker.channel.send_task(request, &places).map_err(|error| lost(error, || subject.clone()))?;
        held.extend(inputs.iter().filter_map(|input| match input {
            Input::Block(block) => block.part().map(|_| block.clone()),
            Input::Absent | Input::Json(_) => None,
        }));
        worker.sent += 1;
        let head = Head { token: request.token, messages: worker.sent };
        self.record.message(head);
        Ok(())
    }
}

/// A block as a record tells of it.
fn known((block, place): &(Block, Option<SegmentPlace>)) -> Option<record::Input<'_>> {
    match (place, block.part()) {
        (Some(place), Some(part)) => Some(record::Input::Part(PartBlock {
            format: block.format(),
            place: *place,
            offset: part.offset(),
            size: part.size(),
        })),
        _ => block.small().map(record::Input::Block),
    }
}

/// An input that hooks were shown, or have put there.
fn heard(job: &Job, port: usize) -> Option<Block> {
    let inputs = &job.heard.as_ref()?.inputs;
    inputs.iter().find(|(other, _)| *other == port).map(|(_, block)| block.clone())
}

/// Where a dataset will be found that a task on its way makes: its number and output port.
fn made_by(run: &Run, dataset: DatasetId, made: Option<(NodeId, u64)>) -> Option<(u64, u32)> {
    let (maker, token) = made?;
    if run.plan.dataset(dataset)?.producer != Some(maker) {
        return None;
    }
    let port = run.plan.node(maker)?.outputs.iter().position(|output| *output == Some(dataset))?;
    Some((token, u32::try_from(port).ok()?))
}

fn lost(error: ChannelError, subject: impl FnOnce() -> Subject) -> NotSent {
    match error {
        // One that has not even read what belonged to earlier tasks is no better than one that has gone.
        ChannelError::Closed | ChannelError::Behind => NotSent::WorkerLost,
        error => {
            let mut failure = subject().failure(FailureKind::Error, format!("the task could not be sent: {error}"));
            failure
                .hints
                .push("a node with very many inputs can be split, or its inputs collected into one".to_owned());
            NotSent::Failed(failure)
        }
    }
}
