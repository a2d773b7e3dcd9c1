//! What hooks hear of tasks: before they go out, and after they have ended. Many at a time, where hooks are quick.
//!
//! A task that hooks want to see before it begins waits for them in [`Driver::waiting`]; when there is nothing more to be put there, they
//! are asked about all of it in one go ([`Driver::ask_hooks`]), and the tasks go into the worker's ring with what the
//! hooks made of their inputs. So a hook hears of a node up to some hundred microseconds before the node begins. What hooks have
//! heard stays with the task ([`Heard`]), wherever it goes from there: they are asked about an attempt once. Before
//! they are asked the engine is told that the tasks lie here, as of what lies in a ring: until the engine has them
//! back, or has heard of their ends, the run has not ended.
//!
//! Of ends they are told as many at a time as there are ([`Driver::tell_ends`]), before the engine is.
#![forbid(unsafe_code)]

use std::sync::Arc;

use engine::failure::{Failure, FailureKind};
use engine::id::{Attempt, TaskId};
use engine::plan::{InputBinding, TaskKind};

use super::again::Again;
use super::attempt::{Output, Shown};
use super::flight::Flight;
use super::request::Work;
use super::{Driver, Job, Local};
use crate::block::Block;
use crate::ipc::client::Input;
use crate::server::hooks::{HookEventName, Telling};
use crate::server::json::JsonObject;
use crate::server::runs::Run;

/// What an event says of a small node takes no more than so many bytes.
const DETAILS_BYTES: usize = 384;

/// What the hooks that heard of an attempt before it began have made of it.
#[derive(Debug)]
pub struct Heard {
    /// The blocks it reads, with their input ports.
    pub inputs: Vec<(usize, Block)>,
    /// Some of them a hook has put there.
    pub has_new_inputs: bool,
    /// When they were asked, in microseconds since 1970.
    pub asked_us: i64,
}

/// A task that waits until hooks have heard of it.
#[derive(Debug)]
pub struct Waiting {
    again: Again,
    /// How long it and those before it will take.
    up_to_here_ns: u64,
}

/// A task that has ended, and of which hooks are to hear.
#[derive(Debug)]
pub struct Finished {
    /// What it is.
    pub flight: Flight,
    /// How long it took, as the worker says.
    pub took_ns: u64,
    /// What came of it.
    pub result: Result<Vec<Output>, Box<Failure>>,
}

/// The end of an attempt, as hooks are told of it.
pub struct End<'e> {
    /// The attempt.
    pub job: &'e Job,
    /// What hooks are shown of it.
    pub shown: &'e mut Shown,
    /// How long it took, if that is known.
    pub took_ns: Option<u64>,
    /// What came of it. What hooks say goes here, too.
    pub result: Result<Vec<Output>, Box<Failure>>,
}

impl Heard {
    /// What hooks said to what they were told, if they would have the task.
    fn of(telling: Telling<'_>, mut inputs: Vec<(usize, Block)>, asked_us: i64) -> Result<Heard, Box<Failure>> {
        telling.result?;
        if telling.has_new_inputs {
            for ((_, block), input) in inputs.iter_mut().zip(telling.inputs) {
                if let Input::Block(new) = input {
                    *block = new;
                }
            }
        }
        Ok(Heard { inputs, has_new_inputs: telling.has_new_inputs, asked_us })
    }
}

impl Finished {
    /// As hooks are to be told of it.
    pub fn end(&mut self) -> End<'_> {
        let Flight { job, shown, .. } = &mut self.flight;
        let result = std::mem::replace(&mut self.result, Ok(Vec::new()));
        End { job, shown, took_ns: Some(self.took_ns), result }
    }
}

impl Driver {
    /// The event that hooks want to hear of a task before it begins, if any hook wants it.
    fn event_before(job: &Job) -> Option<HookEventName> {
        let hooks = &job.run.generation.hooks;
        if hooks.want_nothing() {
            return None;
        }
        let event = match job.run.plan.task(job.task)? {
            TaskKind::Call(_) => HookEventName::BeforeNodeRun,
            TaskKind::Load(_) => HookEventName::BeforeDatasetLoaded,
            TaskKind::Save(_) => HookEventName::BeforeDatasetSaved,
            TaskKind::Confirm(_) => return None,
        };
        hooks.wants(event).then_some(event)
    }

    /// Whether hooks are to hear of a task before it goes out.
    pub fn is_for_hooks(job: &Job) -> bool {
        job.heard.is_none() && Driver::event_before(job).is_some()
    }

    /// Whether one more task may be taken before hooks have heard of the others: not where they are slow.
    pub fn hooks_allow_more(&self) -> bool {
        let newest = self.waiting.last().map(|waiting| &waiting.again.job);
        let Some(newest) = newest.or_else(|| self.flights.back().map(|flight| &flight.job)) else { return true };
        let Some(event) = Driver::event_before(newest) else { return true };
        let ahead_max = newest.run.generation.hooks.ahead_max(event);
        ahead_max > 1 && self.waiting.len() < ahead_max
    }

    /// How long the tasks will take that wait for hooks.
    pub fn waiting_ns(&self) -> u64 {
        self.waiting.last().map_or(0, |waiting| waiting.up_to_here_ns)
    }

    /// Has a task wait until hooks have heard of it.
    pub fn await_hooks(&mut self, again: Again) {
        let expected_ns = again.job.pace_kind().map_or(0, |kind| self.shared.paces.expected_ns(kind));
        let up_to_here_ns = self.waiting_ns().saturating_add(expected_ns);
        self.waiting.push(Waiting { again, up_to_here_ns });
    }

    /// Asks hooks about the tasks that wait for them, and sends those that they let pass.
    pub fn ask_hooks(&mut self, local: &Local<Job>) {
        if self.waiting.is_empty() {
            return;
        }
        // What need not wait does not.
        self.publish(local);
        let mut waiting = std::mem::take(&mut self.waiting);
        // The last one may be of a kind for which hooks take long: the others need not wait for it.
        let is_slow = |waiting: &Waiting| {
            let job = &waiting.again.job;
            Driver::event_before(job).is_some_and(|event| job.run.generation.hooks.ahead_max(event) <= 1)
        };
        let last = if waiting.len() > 1 { waiting.pop_if(|last| is_slow(last)) } else { None };
        self.ask_about(waiting, local);
        self.ask_about(last.into_iter().collect(), local);
    }

    fn ask_about(&mut self, waiting: Vec<Waiting>, local: &Local<Job>) {
        let waiting = self.note_waiting(waiting);
        let looks = self.looks_for_hooks(waiting.last().map_or(0, |waiting| waiting.up_to_here_ns));
        let asked_us = self.shared.services.clock.unix_us_now();
        let mut tellings: Vec<Telling<'_>> = Vec::with_capacity(waiting.len());
        let mut shown: Vec<Vec<(usize, Block)>> = Vec::with_capacity(waiting.len());
        for waiting in &waiting {
            let job = &waiting.again.job;
            let inputs = shown_inputs(job, &[]);
            tellings.push(self.telling_before(job, &inputs));
            shown.push(inputs);
        }
        // All are of one generation, as this pool is.
        if let Some(first) = waiting.first() {
            first.again.job.run.generation.hooks.call_many(&mut tellings, looks);
        }
        let heard: Vec<Result<Heard, Box<Failure>>> =
            tellings.into_iter().zip(shown).map(|(telling, inputs)| Heard::of(telling, inputs, asked_us)).collect();
        for (waiting, heard) in waiting.into_iter().zip(heard) {
            self.go_on_with(waiting.again, heard, local);
        }
    }

    /// What hooks are told of a task before it goes out.
    fn telling_before<'j>(&self, job: &'j Job, inputs: &[(usize, Block)]) -> Telling<'j> {
        let mut details = JsonObject::with_room_for(DETAILS_BYTES);
        if let Some(work) = Work::of_job(job) {
            work.describe_start(&mut details, &job.run, self.number, inputs);
        }
        let blocks = inputs.iter().map(|(_, block)| Input::Block(block.clone())).collect();
        let event = Driver::event_before(job).unwrap_or(HookEventName::BeforeNodeRun);
        Telling::new(event, Some(&job.run), details, blocks)
    }

    /// Tells the engine that these tasks lie here; gives those that it still wants.
    fn note_waiting(&self, mut waiting: Vec<Waiting>) -> Vec<Waiting> {
        let mut begin = 0;
        while let Some(run) = waiting.get(begin).map(|waiting| Arc::clone(&waiting.again.job.run)) {
            let end = waiting.iter().skip(begin).position(|other| !Arc::ptr_eq(&other.again.job.run, &run));
            let end = end.map_or(waiting.len(), |more| begin + more);
            let attempts: Vec<(TaskId, Attempt)> = (waiting[begin..end].iter())
                .filter(|waiting| !waiting.again.is_noted())
                .map(|waiting| (waiting.again.job.task, waiting.again.job.attempt))
                .collect();
            if !attempts.is_empty() {
                let mut answers = run.note_sent(&attempts).into_iter();
                for waiting in waiting[begin..end].iter_mut().filter(|waiting| !waiting.again.is_noted()) {
                    waiting.again.is_sent = answers.next() == Some(true);
                }
            }
            begin = end;
        }
        let count = waiting.len();
        // Withdrawn meanwhile: hooks do not hear of them.
        waiting.retain(|waiting| waiting.again.is_noted());
        if waiting.len() < count {
            self.shared.services.budget.jobs_ended(&self.shared.party, count - waiting.len());
        }
        waiting
    }

    /// Hooks have heard of a task: it goes out, unless they would not have it or nobody wants it any more.
    fn go_on_with(&mut self, mut again: Again, heard: Result<Heard, Box<Failure>>, local: &Local<Job>) {
        match heard {
            Ok(heard) => {
                again.job.heard = Some(Arc::new(heard));
                let job = &again.job;
                if !again.has_begun && job.run.has_aborts() && !job.run.is_wanted(job.task, job.attempt) {
                    let Again { job, share, .. } = again;
                    drop(share);
                    self.withdraw(job, local);
                } else {
                    self.send_or_end(again, local);
                }
            }
            Err(failure) => {
                // It is not told as an error: the hook that refused it has spoken already.
                let failure = again.job.run.redacted(*failure);
                self.end_refused(again, failure, local);
            }
        }
    }

    /// A task goes back to where it came from: it was sent to no worker.
    pub fn withdraw(&mut self, job: Job, local: &Local<Job>) {
        if job.run.taken_back(&[(job.task, job.attempt)], local).first() == Some(&true) {
            self.shared.queues.give_back(local, [job]);
        } else {
            self.shared.services.budget.jobs_ended(&self.shared.party, 1);
        }
    }

    /// Whether hooks hear of the end of a task.
    pub fn is_heard(flight: &Flight) -> bool {
        let hooks = &flight.job.run.generation.hooks;
        if hooks.want_nothing() {
            return false;
        }
        flight.shown.unsaved.is_some()
            || Work::of_job(&flight.job).is_some_and(|work| work.events().into_iter().any(|event| hooks.wants(event)))
    }

    /// How many ends hooks may be told at once.
    pub fn ends_max(&self) -> usize {
        let Some(flight) = self.finished.last().map(|finished| &finished.flight) else { return usize::MAX };
        let hooks = &flight.job.run.generation.hooks;
        match Work::of_job(&flight.job).map(|work| work.events()) {
            Some([_, after, _]) => hooks.ahead_max(after),
            None => usize::MAX,
        }
    }

    /// Tells hooks how tasks ended, in their order, and then that the `follower` of the last of them is about to begin, if they let that
    /// one pass. What they said of the follower, if they came to hear of it.
    pub fn tell_ends(&self, ends: &mut [End<'_>], follower: Option<&Job>) -> Option<Result<Heard, Box<Failure>>> {
        let now_us = self.shared.services.clock.unix_us_now();
        note_times(ends, now_us);
        let mut tellings: Vec<Telling<'_>> = Vec::with_capacity(ends.len());
        let mut told: Vec<usize> = Vec::with_capacity(ends.len());
        for (place, end) in ends.iter_mut().enumerate() {
            let run = &end.job.run;
            let result = std::mem::replace(&mut end.result, Ok(Vec::new()));
            end.result = result.map_err(|failure| Box::new(run.redacted(*failure)));
            if let Some(telling) = self.telling(end) {
                told.push(place);
                tellings.push(telling);
            }
        }
        let first = ends.first()?;
        let looks = self.looks_for_hooks(ends.iter().filter_map(|end| end.took_ns).sum());
        let is_last_told = told.last().is_some_and(|told| told + 1 == ends.len());
        let made = || ends.last().and_then(|last| last.result.as_deref().ok()).unwrap_or_default();
        let follower = follower.filter(|_| is_last_told).map(|job| (job, shown_inputs(job, made())));
        if let Some((job, inputs)) = &follower {
            tellings.push(self.telling_before(job, inputs).following());
        }
        if tellings.is_empty() {
            return None;
        }
        first.job.run.generation.hooks.call_many(&mut tellings, looks);
        let before = follower.and_then(|(_, inputs)| Some((tellings.pop()?, inputs)));
        let results: Vec<Result<(), Box<Failure>>> = tellings.into_iter().map(|telling| telling.result).collect();
        for (place, result) in told.into_iter().zip(results) {
            let end = &mut ends[place];
            match (result, &end.result) {
                (Err(failure), Ok(_)) => end.result = Err(Box::new(end.job.run.redacted(*failure))),
                // The task has failed already; that a hook failed over it must not hide why.
                (Err(second), Err(_)) => log::warn!("{}: {second}", end.job.run.id),
                (Ok(()), _) => {}
            }
        }
        let (telling, inputs) = before.filter(|_| ends.last().is_some_and(|last| last.result.is_ok()))?;
        Some(Heard::of(telling, inputs, now_us))
    }

    /// What hooks are told of an end, if any hook wants to hear it.
    fn telling<'e>(&self, end: &End<'e>) -> Option<Telling<'e>> {
        let run: &'e Run = &end.job.run;
        let hooks = &run.generation.hooks;
        let work = Work::of_job(end.job)?;
        let mut details = JsonObject::with_room_for(DETAILS_BYTES);
        match &end.result {
            Ok(outputs) => {
                let [_, after, error] = work.events();
                if !hooks.wants(after) || after == error {
                    return None;
                }
                work.describe_end(&mut details, run, self.number, end.shown, outputs);
                Some(Telling::new(after, Some(run), details, work.blocks_at_end(end.shown, outputs)))
            }
            Err(failure) => {
                // A save within a call is told as one.
                let save = end.shown.unsaved.and_then(|dataset| Work::of(run, TaskKind::Save(dataset)));
                let work = save.unwrap_or(work);
                let [_, _, error] = work.events();
                // A hook that refused the task has spoken already, and a task that was told to stop did not err.
                if !hooks.wants(error) || matches!(failure.kind, FailureKind::Hook | FailureKind::Cancelled) {
                    return None;
                }
                work.describe_error(&mut details, run, self.number, end.shown, failure);
                Some(Telling::new(error, Some(run), details, work.blocks_at_error(end.shown)))
            }
        }
    }
}

/// When tasks began and ended whose answers were found together: the worker did one after the other until now, and says how long each
/// of them took. None began before it was sent.
fn note_times(ends: &mut [End<'_>], now_us: i64) {
    let mut finished_us = now_us;
    for end in ends.iter_mut().rev() {
        let sent_us = end.shown.times_us.0;
        end.shown.times_us.1 = finished_us.max(sent_us);
        if let Some(took_ns) = end.took_ns {
            let took_us = i64::try_from(took_ns / 1000).unwrap_or(i64::MAX);
            finished_us = finished_us.saturating_sub(took_us).max(sent_us);
            end.shown.times_us.0 = finished_us;
        }
    }
}

/// The blocks that a task reads, with their input ports; some of them may just have been `made`, and their run does not have them yet.
pub fn shown_inputs(job: &Job, made: &[Output]) -> Vec<(usize, Block)> {
    let run = &job.run;
    let block = |dataset| {
        let made = made.iter().find(|output| output.dataset == Some(dataset));
        made.map(|output| output.block.clone()).or_else(|| run.block(dataset))
    };
    match Work::of_job(job) {
        Some(Work::Call(node)) => {
            let input = |(port, input): (usize, &Option<InputBinding>)| match input {
                Some(InputBinding::Dataset(dataset)) => Some((port, block(*dataset)?)),
                _ => None,
            };
            node.inputs.iter().enumerate().filter_map(input).collect()
        }
        Some(Work::Save(dataset, _)) => run.block(dataset.id).map(|block| (0, block)).into_iter().collect(),
        Some(Work::Load(..) | Work::Confirm(..)) | None => Vec::new(),
    }
}
