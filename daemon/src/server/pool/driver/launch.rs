//! From a job to a task in the worker's ring; and how many go there at once.
//!
//! Many short tasks at once, one long task at a time: [`super::super::pace`] guesses which is which. What waits in the ring behind
//! the task under way is taken back when another driver is idle, when that task waits for memory, or when some of it is not
//! wanted any more.
#![forbid(unsafe_code)]

use std::sync::Arc;

use engine::failure::{Failure, FailureKind};
use engine::id::{DatasetId, NodeId};
use engine::plan::{InputBinding, TaskKind};

use super::again::Again;
use super::attempt::Shown;
use super::chunks::ChunkDesk;
use super::failure::Subject;
use super::flight::Flight;
use super::request::Work;
use super::{Driver, Job, Local};
use crate::block::Block;
use crate::ipc::channel::ChannelError;
use crate::ipc::client::{Input, TaskRequest};
use crate::ipc::message::SegmentPlace;
use crate::ipc::ring::record::{self, Head, Inputs, PartBlock};
use crate::server::pool::pace::{Kind, SHORT_NS};
use crate::server::residents::{Entered, Share};
use crate::server::runs::{Keep, Made, Run};
use crate::sys::processor;

/// A task that went out.
struct Sent {
    held: Vec<Block>,
    token: u64,
    index: u32,
    kind: Kind,
    desk: Option<Box<ChunkDesk>>,
}

/// A worker may die so often before it begins with a task; then it is the task's failure.
const TRIES_MAX: u8 = 2;

/// The kernel lets others wait for a task that is at least so long.
const TURN_NS: u64 = 500_000;

/// So many tasks are shown to a worker that has nothing else before more are sent.
const FIRST: usize = 8;

/// Why a task did not go out.
pub enum NotSent {
    /// It failed.
    Failed(Failure),
    /// The worker has gone, or does not listen: the task is for another one.
    WorkerLost,
}

impl Driver {
    /// Sends the worker what there is to send.
    pub fn feed(&mut self, local: &mut Local<Job>) {
        loop {
            if let Some(again) = self.again.pop_front() {
                match self.launch_again(again, local) {
                    true => continue,
                    false => break,
                }
            }
            if !self.wants_more() {
                break;
            }
            let goes_on = match self.next_job(local) {
                Some(job) if self.is_to_be_alone(&job) => {
                    self.aside = Some(job);
                    false
                }
                Some(job) => self.launch(job, local),
                None => self.send_follower(),
            };
            if !goes_on {
                break;
            }
            // The worker wakes up while the rest is sent.
            if self.unpublished == FIRST && self.flights.len() == FIRST {
                self.publish(local);
            }
        }
        self.ask_hooks(local);
        self.publish(local);
        self.note_behind();
        self.yield_to_sleepers(local);
    }

    /// Sends one job; what cannot be sent has failed. False if the worker has gone, and is to be attended to first.
    pub fn launch(&mut self, job: Job, local: &Local<Job>) -> bool {
        // One that waits for another run's load is not begun: it holds no worker, and its run can take it back.
        let Entered::Begin(job, share) = self.shared.services.residents.enter(job) else {
            self.shared.services.budget.jobs_ended(&self.shared.party, 1);
            return true;
        };
        self.launch_again(Again { job, share, has_begun: false, is_sent: false, tries: 0 }, local)
    }

    fn launch_again(&mut self, again: Again, local: &Local<Job>) -> bool {
        let Again { job, share, mut has_begun, is_sent, tries } = again;
        let is_for_hooks = Driver::is_for_hooks(&job);
        if !is_for_hooks {
            // In their order: one that waits may be the one that this driver is said to be at.
            self.ask_hooks(local);
        }
        if self.has_nothing() {
            self.leave_to_waker(&job);
            if !has_begun {
                has_begun = self.begin(&job, local);
                if !has_begun {
                    // Given back before the job is counted as ended, as whatever follows from its end.
                    drop(share);
                    self.shared.services.budget.jobs_ended(&self.shared.party, 1);
                    return true;
                }
            }
        } else if !has_begun && job.run.has_aborts() && !job.run.is_wanted(job.task, job.attempt) {
            drop(share);
            self.shared.services.budget.jobs_ended(&self.shared.party, 1);
            return true;
        }
        if let (Share::There(lease), Some(TaskKind::Load(dataset))) = (&share, job.run.plan.task(job.task)) {
            let made = Made::from_iter([(dataset, lease.block(), Keep::Lease(lease.clone()))]);
            drop(share);
            self.end_unsent(job, Ok(made), has_begun, local);
            return true;
        }
        let again = Again { job, share, has_begun, is_sent, tries };
        if is_for_hooks {
            self.await_hooks(again);
            return true;
        }
        self.send_or_end(again, local)
    }

    /// Goes to another processor if a driver is in the middle of something on this one, having woken this one: it would go on only when this
    /// one's worker, which comes next here, has had its turn, while another processor may be idle.
    fn leave_to_waker(&self, job: &Job) {
        let is_long = |kind| self.shared.paces.expected_ns(kind) >= TURN_NS;
        if let Some(processor) = self.slot().take_shared_with_waker()
            && job.pace_kind().is_none_or(is_long)
        {
            // Where it may not be had, things stay as they are.
            let _ = processor::leave(processor);
        }
    }

    /// Tells the engine that the worker begins with a task; false if the task is not wanted.
    pub fn begin(&self, job: &Job, local: &Local<Job>) -> bool {
        // First the slot, then the engine: an abort is ordered only after the engine has heard of the beginning.
        self.slot().begin(&job.run, job.task, job.attempt);
        let begins = job.run.begin(job.task, job.attempt, self.number, local);
        if !begins {
            self.slot().end();
        }
        begins
    }

    /// Sends a task; what cannot be sent has failed. False if the worker has gone, and is to be attended to first.
    pub fn send_or_end(&mut self, again: Again, local: &Local<Job>) -> bool {
        let Again { job, mut share, mut has_begun, is_sent, tries } = again;
        // The one that was to be the first may have been refused by a hook.
        if self.flights.is_empty() && !has_begun {
            has_begun = self.begin(&job, local);
            if !has_begun {
                drop(share);
                self.shared.services.budget.jobs_ended(&self.shared.party, 1);
                return true;
            }
        }
        let mut shown = Shown::default();
        let failure = if tries > TRIES_MAX {
            self.subject(&job).no_worker("it ended before it could take the task, again and again".to_owned())
        } else {
            match self.send(&job, &mut shown) {
                Ok(Sent { held, token, index, kind, desk }) => {
                    let expected_ns = self.shared.paces.expected_ns(kind);
                    self.note_busy(true);
                    self.unpublished += 1;
                    self.flights.push(Flight {
                        job,
                        token,
                        index,
                        has_begun,
                        is_sent,
                        is_ahead: false,
                        cannot_begin: false,
                        is_unwanted: false,
                        tries,
                        kind,
                        expected_ns,
                        shown,
                        allowance: None,
                        desk,
                        share,
                        told: None,
                        held,
                    });
                    return true;
                }
                Err(NotSent::WorkerLost) if self.flights.is_empty() => {
                    self.discard_worker();
                    self.again.push_back(Again { job, share, has_begun, is_sent, tries: tries + 1 });
                    return true;
                }
                // What is on its way tells of the loss in its own time.
                Err(NotSent::WorkerLost) => {
                    match (has_begun, is_sent) {
                        (true, _) => self.again.push_front(Again { job, share, has_begun, is_sent, tries }),
                        (false, true) => self.withdraw(job, local),
                        (false, false) => self.shared.queues.give_back(local, [job]),
                    }
                    return false;
                }
                Err(NotSent::Failed(failure)) => failure,
            }
        };
        let result = self.conclude(&job, &mut shown, &mut share, Err(failure));
        drop(share);
        self.end_unsent(job, result, has_begun, local);
        true
    }

    /// Hooks would not have a task.
    pub fn end_refused(&mut self, again: Again, failure: Failure, local: &Local<Job>) {
        let Again { job, share, has_begun, .. } = again;
        drop(share);
        self.end_unsent(job, Err(failure), has_begun, local);
    }

    /// Puts a task into the ring, or into a message and a pointer to it into the ring.
    fn send(&mut self, job: &Job, shown: &mut Shown) -> Result<Sent, NotSent> {
        let Some(work) = job.run.plan.task(job.task).and_then(|kind| Work::of(&job.run, kind)) else {
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
        let oldest = self.flights.front().map(|front| front.index);
        let pushed = self.worker.as_mut().and_then(|worker| worker.rings.push(&self.record, oldest));
        pushed.map(|index| Sent { held, token, index, kind, desk }).ok_or(NotSent::WorkerLost)
    }

    /// Sends the call that begins as soon as the newest task ends, if there is one for certain; says whether it did. The worker
    /// takes what it reads from the answer before, so a chain runs there without waiting for anybody.
    fn send_follower(&mut self) -> bool {
        let Some(back) = self.flights.back() else { return false };
        let run = Arc::clone(&back.job.run);
        let before = back.token;
        let Some(TaskKind::Call(maker)) = run.plan.task(back.job.task) else { return false };
        if back.is_unwanted || run.has_aborts() {
            return false;
        }
        let Some((task, attempt)) = run.follower(back.job.task) else { return false };
        let job = Job { run, task, attempt, heard: None };
        let Some(work) = job.run.plan.task(task).and_then(|kind| Work::of(&job.run, kind)) else { return false };
        let hooks = &job.run.generation.hooks;
        let kind = work.pace_kind();
        let expected_ns = self.shared.paces.expected_ns(kind);
        // Only what is known to be short: a long one is better left to whoever is free first.
        if expected_ns > SHORT_NS || work.events().into_iter().any(|event| hooks.wants(event)) {
            return false;
        }
        let token = self.last_token + 1;
        let mut held = Vec::new();
        if !matches!(self.write_record(&job, &work, token, Some((maker, before)), &mut held), Ok(true)) {
            return false;
        }
        let oldest = self.flights.front().map(|front| front.index);
        let Some(index) = self.worker.as_mut().and_then(|worker| worker.rings.push(&self.record, oldest)) else {
            return false;
        };
        self.last_token = token;
        // Counted from here on, whether or not the engine comes to dispatch it.
        self.shared.services.budget.jobs_added(&self.shared.party, 1);
        self.unpublished += 1;
        self.flights.push(Flight {
            job,
            token,
            index,
            has_begun: false,
            is_sent: false,
            is_ahead: true,
            cannot_begin: false,
            is_unwanted: false,
            tries: 0,
            kind,
            expected_ns,
            shown: Shown::default(),
            allowance: None,
            desk: None,
            share: Share::None,
            told: None,
            held,
        });
        true
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

    /// Shows the worker what was put into its ring. First the engine: it must not take for skipped what may have run.
    pub fn publish(&mut self, local: &Local<Job>) {
        let first = self.flights.len().saturating_sub(std::mem::take(&mut self.unpublished));
        let mut refused = None;
        let mut place = first;
        while let Some(run) = self.flights.iter().nth(place).map(|flight| Arc::clone(&flight.job.run)) {
            let attempts = &mut self.attempts;
            attempts.clear();
            let same = self.flights.iter().skip(place).take_while(|flight| Arc::ptr_eq(&flight.job.run, &run));
            let begin = place;
            for flight in same {
                place += 1;
                // One that the engine was told of needs no more.
                if !flight.is_noted() {
                    attempts.push((flight.job.task, flight.job.attempt));
                }
            }
            if attempts.is_empty() {
                continue;
            }
            let mut answers = run.note_sent(attempts).into_iter();
            let is_refused = |flight: &Flight| !flight.is_noted() && answers.next() == Some(false);
            if let Some(found) = self.flights.iter().skip(begin).take(place - begin).position(is_refused) {
                refused = Some(begin + found);
                break;
            }
        }
        let Some(worker) = &mut self.worker else { return };
        let mut taken = Vec::new();
        if let Some(refused) = refused {
            // It was withdrawn meanwhile. It and what stands behind it never gets to the worker.
            while self.flights.len() > refused {
                worker.rings.unpush();
                taken.extend(self.flights.pop_back());
            }
            taken.reverse();
        }
        worker.rings.publish();
        if !taken.is_empty() {
            self.keep_taken(taken, local);
        }
    }

    /// Takes back what the worker has not begun with, for whoever comes first.
    pub fn take_back(&mut self, local: &Local<Job>) {
        self.publish(local);
        let mut taken = Vec::new();
        while self.flights.len() > 1 {
            let Some(worker) = &mut self.worker else { break };
            // An impossible index shows again where answers are taken, and ends the worker there.
            let Ok(Some(index)) = worker.rings.take_back() else { break };
            match self.flights.pop_back() {
                Some(flight) if flight.index == index => taken.push(flight),
                Some(flight) => {
                    self.flights.push(flight);
                    break;
                }
                None => break,
            }
        }
        // As they were sent.
        taken.reverse();
        self.keep_taken(taken, local);
        self.shared.queues.give_back(local, self.aside.take());
        self.note_behind();
    }

    /// What no worker has begun with, nor will: the engine is told, and what it still wants goes to whoever comes first.
    pub fn keep_taken(&mut self, taken: Vec<Flight>, local: &Local<Job>) {
        let mut jobs = Vec::new();
        let mut taken = taken.into_iter().peekable();
        while let Some(flight) = taken.next() {
            if flight.is_told() {
                // Sent anew, before anything else: it is nobody else's.
                self.again.push_front(Again::of(flight));
                continue;
            }
            let mut same = vec![flight.job];
            while let Some(flight) = taken.next_if(|next| !next.has_begun && Arc::ptr_eq(&next.job.run, &same[0].run)) {
                same.push(flight.job);
            }
            let attempts: Vec<_> = same.iter().map(|job| (job.task, job.attempt)).collect();
            let wanted = same[0].run.clone().taken_back(&attempts, local);
            let unwanted = wanted.iter().filter(|wanted| !**wanted).count();
            jobs.extend(same.into_iter().zip(wanted).filter_map(|(job, is_wanted)| is_wanted.then_some(job)));
            // One that was sent ahead comes as any other when the engine dispatches it.
            self.shared.services.budget.jobs_ended(&self.shared.party, unwanted);
        }
        self.shared.queues.give_back(local, jobs);
    }

    /// Lets those know who look for work how much waits behind the task under way, and whether they would do well to take it.
    pub fn note_behind(&mut self) {
        let behind = self.flights.behind() + usize::from(self.aside.is_some());
        let behind = u32::try_from(behind).unwrap_or(u32::MAX);
        let offers = behind > 0 && self.is_worth_sharing(0);
        if (behind, offers) != (self.behind, self.offers) {
            self.has_new_offer |= offers && !self.offers;
            (self.behind, self.offers) = (behind, offers);
            self.slot().set_behind(behind, offers);
        }
    }

    /// Gives what was on its way to a worker that has gone to whoever comes first; the first of them, if the engine was told that
    /// it has begun, to this driver's next worker.
    pub fn send_again(&mut self, first: Option<Flight>, local: &Local<Job>) {
        let mut taken = Vec::new();
        match first {
            Some(flight) if flight.is_told() => {
                let again = Again::of(flight);
                self.again.push_back(Again { tries: again.tries + 1, ..again });
            }
            first => taken.extend(first),
        }
        while let Some(flight) = self.flights.pop_front() {
            if flight.is_told() {
                self.again.push_back(Again::of(flight));
            } else {
                taken.push(flight);
            }
        }
        self.unpublished = 0;
        self.keep_taken(taken, local);
        self.note_behind();
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
