//! After tasks have ended: hooks are told of as many ends at a time as there are, before the engine is.
#![forbid(unsafe_code)]

use engine::failure::{Failure, FailureKind};
use engine::plan::TaskKind;

use super::{DETAILS_BYTES, Heard, shown_inputs};
use crate::server::hooks::Telling;
use crate::server::json::JsonObject;
use crate::server::pool::driver::adopt::Output;
use crate::server::pool::driver::attempt::Shown;
use crate::server::pool::driver::flight::Flight;
use crate::server::pool::driver::request::Work;
use crate::server::pool::driver::{Driver, Job};
use crate::server::runs::Run;

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

impl Finished {
    /// As hooks are to be told of it.
    pub fn end(&mut self) -> End<'_> {
        let Flight { job, shown, .. } = &mut self.flight;
        let result = std::mem::replace(&mut self.result, Ok(Vec::new()));
        End { job, shown: shown.get_or_insert_default(), took_ns: Some(self.took_ns), result }
    }
}

impl Driver {
    /// Whether hooks hear of the end of a task.
    pub fn is_heard(flight: &Flight) -> bool {
        let hooks = &flight.job.run.generation.hooks;
        if hooks.want_nothing() {
            return false;
        }
        flight.shown.as_ref().is_some_and(|shown| shown.unsaved.is_some())
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
