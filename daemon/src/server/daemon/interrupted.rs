//! Runs that the end of the daemon before this one cut off: each is marked as interrupted, and gone on with where that can be done.
//!
//! What goes on is a new run, as `ctl resume` makes it: an id stands for one execution on one generation, and what the old one had
//! done stays to be read. It is registered before the old one is marked, so an end in between forgets neither and begins nothing twice.
#![forbid(unsafe_code)]

use protocol::{Credentials, RunState, RunSummary};

use super::{Daemon, SubmitError};

impl Daemon {
    /// Accounts for every run that was under way when the daemon ended. To be called once, before requests are answered, and after what
    /// was kept has been taken back.
    pub fn account_for_interrupted(&self) {
        let now_us = self.services.clock.unix_us_now();
        match self.store.interrupted_on_start(now_us, |run, unfinished| self.becomes_of(run, unfinished)) {
            Ok(runs) => {
                for run in runs {
                    let hint = run.cause.as_ref().and_then(|cause| cause.hints.first()).cloned().unwrap_or_default();
                    log::warn!(RUN_ID = run.id.as_str(); "run {} of {} was interrupted when the daemon ended; {hint}", run.id, run.pipeline);
                }
            }
            Err(error) => log::error!("runs that were interrupted could not be looked for: {error}"),
        }
    }

    /// Goes on with a run, and says so; or says why not, and what to do.
    fn becomes_of(&self, run: &RunSummary, unfinished: &[RunSummary]) -> String {
        let by_hand = format!("`ctl resume {}` runs what had not finished", run.id);
        // The daemon ended while it was doing this.
        if let Some(next) = unfinished.iter().find(|next| next.resumed_from.as_ref() == Some(&run.id)) {
            return format!("run {} went on with it", next.id);
        }
        let interruptions_max = self.generations.config().runs.automatic_resumes_max;
        if interruptions_max == 0 {
            return format!("{by_hand}; nothing goes on by itself ([runs] automatic_resumes_max = 0)");
        }
        let interruptions = 1 + self.interruptions_before(run, interruptions_max);
        if interruptions > interruptions_max {
            return format!(
                "{by_hand}; it was interrupted {interruptions} times in a row, and is gone on with by itself after {interruptions_max} at \
                 most ([runs] automatic_resumes_max): perhaps it brings the daemon down"
            );
        }
        match self.resume(&run.id, Credentials::default()) {
            Ok(Some(next)) => format!("run {} goes on with it: `ctl show {}`", next.id, next.id),
            Ok(None) => by_hand,
            Err(SubmitError::NotResumable { message, hint }) => format!("{message}; {hint}"),
            Err(SubmitError::Problems(problems)) => {
                let first = problems.first().map(|problem| problem.message.as_str()).unwrap_or_default();
                format!("{by_hand} where that can be done; by itself nothing goes on with it: {first}")
            }
            Err(error) => format!("{by_hand}; by itself nothing goes on with it: {error}"),
        }
    }

    /// How many runs in a row, each of which this one goes on with, were interrupted; at most so many are looked at.
    fn interruptions_before(&self, run: &RunSummary, most: u32) -> u32 {
        let mut count = 0;
        let mut before = run.resumed_from.clone();
        while let Some(id) = before.filter(|_| count < most) {
            let Some(summary) = self.stored(&id).map(|detail| detail.summary) else { break };
            if summary.state != RunState::Interrupted {
                break;
            }
            count += 1;
            before = summary.resumed_from;
        }
        count
    }
}
