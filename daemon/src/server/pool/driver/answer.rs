//! What came of a task, by its answer.
#![forbid(unsafe_code)]

use engine::failure::{Failure, FailureKind};

use super::Driver;
use super::adopt::{Output, Refused};
use super::flight::{Flight, Told};
use crate::ipc::message::SavedChunks;
use crate::ipc::ring::record::{Answer, Outcome};

impl Driver {
    /// What came of a task, by its answer; or what is wrong with the answer.
    pub fn result_of(
        &mut self,
        flight: &mut Flight,
        answer: &Answer<'_>,
    ) -> Result<Result<Vec<Output>, Failure>, String> {
        let adopted = match &answer.outcome {
            Outcome::Done(outputs) => Driver::adopt_small(&flight.job, outputs.clone()),
            Outcome::Shared(outputs) => {
                let adopted = self.adopt_shared(flight, outputs.clone());
                // What was sent ahead of it may read them, whatever becomes of the run.
                if let (Ok(outputs), Some(next)) = (&adopted, self.flights.front_mut().filter(|next| next.is_ahead)) {
                    let blocks = outputs.iter().map(|output| &output.block).filter(|block| block.part().is_some());
                    next.held.extend(blocks.cloned());
                }
                adopted
            }
            Outcome::Message => match flight.told.take().map(|told| *told) {
                Some(Told::Done(claims, saved)) => {
                    if let Some(desk) = &flight.desk {
                        let dataset = |saved: SavedChunks| Some((desk.dataset(saved.port)?, saved));
                        flight.shown.get_or_insert_default().saved = saved.into_iter().filter_map(dataset).collect();
                    }
                    self.adopt(flight, claims)
                }
                Some(Told::Failed(failure, saving)) => {
                    let mut failure = self.subject(&flight.job).reported(failure);
                    // The plugin got our refusal as an error and passed it on in words of its own.
                    if flight.allowance.as_ref().is_some_and(|allowance| allowance.was_refused()) {
                        failure.kind = FailureKind::Budget;
                    }
                    if let Some(desk) = &mut flight.desk {
                        flight.shown.get_or_insert_default().unsaved = saving.and_then(|port| desk.dataset(port));
                        // The worker only passes on what a hook said.
                        if failure.kind == FailureKind::Error
                            && let Some(refused) = desk.refused.take()
                        {
                            failure = refused;
                        }
                    }
                    return Ok(Err(failure));
                }
                None => return Err("it said that it had answered by message, and had not".to_owned()),
            },
            Outcome::NotBegun => return Err("it did not begin with a task that could be begun".to_owned()),
        };
        match adopted {
            Ok(outputs) => Ok(Ok(outputs)),
            Err(Refused::Failure(failure)) => Ok(Err(failure)),
            Err(Refused::Lie(lie)) => Err(lie),
        }
    }

    /// What came of a task that may have been told to stop: whatever it still answered, that is how it ended.
    pub fn unless_stopped(
        &mut self,
        flight: &Flight,
        result: Result<Vec<Output>, Failure>,
    ) -> Result<Vec<Output>, Failure> {
        self.told_progress = None;
        match self.ladder.take() {
            Some(ladder) => Err(self.subject(&flight.job).aborted(ladder.reason())),
            None => result,
        }
    }
}
