//! Answers: taken from the ring, checked, told to the hooks and then to their runs ([`super::settle`]).
#![forbid(unsafe_code)]

use engine::id::DatasetId;
use engine::plan::TaskKind;

use super::flight::Flight;
use super::hearing::{End as TaskEnd, Finished};
use super::loss::End;
use super::settle::Ended;
use super::{Driver, Job, Local};
use crate::block::Block;
use crate::block::segment::Part;
use crate::ipc::ring::record::{Outcome, Record};
use crate::server::hooks::HookEventName;

/// So many answers are told at once: others wait for the run's lock meanwhile.
const ANSWERS_MAX: usize = 64;
/// And so many where hooks hear of them first: to wake them is what takes long.
const HEARD_MAX: usize = 128;

/// What came of a look for an answer.
enum Looked {
    /// This task has ended.
    Ended(Ended),
    /// So has this one, and hooks are to hear of it.
    Finished(Box<Finished>),
    /// An answer was there, and its task is as if it had not been sent.
    ToNothing,
    /// No answer is there, or none that can be taken before others are told.
    None,
}

impl Driver {
    /// Takes what answers there are and tells the runs; says whether there were any, or how the worker ended.
    pub fn collect(&mut self, local: &Local<Job>) -> Result<bool, End> {
        let mut ended = std::mem::take(&mut self.ended);
        let (mut lost, mut any) = (None, false);
        while ended.len() < ANSWERS_MAX && self.finished.len() < self.ends_max().min(HEARD_MAX) {
            match self.next_ended(ended.is_empty() && self.finished.is_empty(), local) {
                Ok(Looked::Ended(one)) => {
                    // In their order.
                    self.conclude_finished(&mut ended, local);
                    ended.push(one);
                }
                Ok(Looked::Finished(one)) => self.finished.push(one),
                Ok(Looked::ToNothing) => any = true,
                Ok(Looked::None) => break,
                Err(end) => {
                    lost = Some(end);
                    break;
                }
            }
        }
        self.conclude_finished(&mut ended, local);
        if !ended.is_empty() {
            any = true;
            self.settle(&mut ended, local);
        }
        self.settle_follower(local);
        self.ended = ended;
        match lost {
            Some(end) => Err(end),
            // What is to be sent again is a reason not to wait, too.
            None => Ok(any || (self.flights.is_empty() && !self.again.is_empty())),
        }
    }

    /// The next task that has ended, if the answer is there.
    fn next_ended(&mut self, is_first: bool, local: &Local<Job>) -> Result<Looked, End> {
        // Out of the driver for a moment, so that what is read from it and the driver can be borrowed apart.
        let mut record = self.answer.take().unwrap_or_default();
        let result = self.look_at(&mut record, is_first, local);
        self.answer = Some(record);
        result
    }

    fn look_at(&mut self, record: &mut Record, is_first: bool, local: &Local<Job>) -> Result<Looked, End> {
        if !self.has_answer {
            let Some(worker) = &mut self.worker else { return Ok(Looked::None) };
            match worker.rings.take_answer(record) {
                Ok(false) => return Ok(Looked::None),
                Ok(true) => self.has_answer = true,
                Err(problem) => return Err(self.unusable(problem.to_string())),
            }
        }
        self.read_answer(record, is_first, local)
    }

    fn read_answer(&mut self, record: &Record, is_first: bool, local: &Local<Job>) -> Result<Looked, End> {
        let answer = record.as_answer().map_err(|problem| self.unusable(problem.to_string()))?;
        // First what was said before it.
        while self.worker.as_ref().is_some_and(|worker| worker.received < answer.head.messages) {
            if !self.hear()? {
                return Ok(Looked::None);
            }
        }
        if answer.outcome == Outcome::NotBegun && !is_first {
            // Those before it are told first: then it is known whether this one is wanted.
            return Ok(Looked::None);
        }
        self.has_answer = false;
        let token = answer.head.token;
        let expected = self.flights.front().map(|front| front.token);
        if expected != Some(token) {
            return Err(self.unusable(match expected {
                Some(expected) => format!("an answer to task {token} came, {expected} is under way"),
                None => format!("an answer to task {token} came, none is under way"),
            }));
        }
        let Some(mut flight) = self.flights.pop_front() else { return Ok(Looked::None) };
        if answer.keeps_inputs {
            flight.held.iter().filter_map(Block::part).for_each(Part::lend);
        }
        // What was sent ahead of it finds what it reads in this very answer, or cannot begin.
        if !matches!(answer.outcome, Outcome::Done(_) | Outcome::Shared(_))
            && let Some(next) = self.flights.front_mut()
        {
            next.cannot_begin = next.is_ahead;
        }
        if flight.is_unwanted || (answer.outcome == Outcome::NotBegun && flight.is_ahead) {
            self.come_to_nothing(flight, local);
            return Ok(Looked::ToNothing);
        }
        if let (Outcome::Done(outputs), Some(ports)) = (&answer.outcome, self.quiet_ports(&flight)) {
            return match Driver::adopt_quietly(ports, outputs.clone()) {
                Ok(made) => {
                    self.note_pace(&flight, answer.took_ns);
                    self.told_progress = None;
                    Ok(Looked::Ended(Ended { job: flight.job, result: Ok(made) }))
                }
                Err(lie) => {
                    self.flights.push_front(flight);
                    Err(self.unusable(lie))
                }
            };
        }
        let result = match self.result_of(&mut flight, &answer) {
            Ok(result) => result,
            Err(lie) => {
                self.flights.push_front(flight);
                return Err(self.unusable(lie));
            }
        };
        self.note_pace(&flight, answer.took_ns);
        if Driver::is_heard(&flight) {
            let result = self.unless_stopped(&flight, result).map_err(Box::new);
            return Ok(Looked::Finished(Box::new(Finished { flight, took_ns: answer.took_ns, result })));
        }
        Ok(Looked::Ended(self.ended(flight, result)))
    }

    /// Tells hooks of tasks that have ended.
    fn conclude_finished(&mut self, ended: &mut Vec<Ended>, local: &Local<Job>) {
        if self.finished.is_empty() {
            return;
        }
        let mut finished = std::mem::take(&mut self.finished);
        let follower = self.follower_for_hooks(&finished);
        let mut ends: Vec<TaskEnd<'_>> = finished.iter_mut().map(|finished| finished.end()).collect();
        let heard = self.tell_ends(&mut ends, follower.as_ref());
        let results: Vec<_> = ends.into_iter().map(|end| end.result).collect();
        for (mut finished, result) in finished.drain(..).zip(results) {
            let Flight { job, shown, share, .. } = &mut finished.flight;
            let result = result.map(|outputs| self.made(job, shown, share, outputs));
            ended.push(Ended { job: finished.flight.job, result });
        }
        self.finished = finished;
        if let Some(job) = follower {
            self.follow(job, heard, local);
        }
    }

    fn note_pace(&mut self, flight: &Flight, took_ns: u64) {
        self.shared.paces.note(flight.kind, took_ns);
        self.last_ns = self.shared.paces.expected_ns(flight.kind);
    }

    /// The output ports of a call whose end is nobody's business but its run's; most are.
    fn quiet_ports<'f>(&self, flight: &'f Flight) -> Option<&'f [Option<DatasetId>]> {
        let hooks = &flight.job.run.generation.hooks;
        let events = [HookEventName::BeforeNodeRun, HookEventName::AfterNodeRun, HookEventName::OnNodeError];
        let is_heard = events.into_iter().any(|event| hooks.wants(event));
        let is_quiet = !is_heard && self.ladder.is_none();
        match flight.job.run.plan.task(flight.job.task) {
            Some(TaskKind::Call(node)) if is_quiet && flight.desk.is_none() => Some(flight.job.run.plan.outputs(node)),
            _ => None,
        }
    }

    /// The worker could not begin with what was sent ahead, as the task before it failed or made something large; or it was at what
    /// nobody wants. If the engine wants it all the same, it is sent anew.
    pub fn come_to_nothing(&mut self, flight: Flight, local: &Local<Job>) {
        self.ladder = None;
        self.told_progress = None;
        // What was sent behind it may go on elsewhere; with what is left the worker has begun.
        self.take_back(local);
        self.keep_taken(vec![flight], local);
        self.front_begins(local);
    }
}
