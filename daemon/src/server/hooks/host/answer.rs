//! What comes back from a host: what hooks print and log, and the answers, each within its time.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use super::{Host, Lost, TOO_LATE, broken};
use crate::block::adopt::ClaimedBlock;
use crate::ipc::client::HookEvent;
use crate::ipc::message::{LogRecord, TaskFailure};
use crate::ipc::ring::indices::SLOTS;
use crate::ipc::ring::record::{self, Outcome};
use crate::sys::wait;

/// What came of a question.
#[derive(Debug)]
pub enum Answer {
    /// All is well.
    Plain,
    /// The hook gave other inputs, to be checked.
    Replaced(Vec<ClaimedBlock>),
    /// The hook failed; the host lives on.
    Failed(TaskFailure),
    /// It was not asked: a hook before it, asked about the same event, did not answer that all is well. The host asks none until
    /// it is told to go on.
    NotBegun,
}

/// An answer, and to which question.
#[derive(Debug)]
pub struct Answered {
    /// What it says.
    pub answer: Answer,
    /// How long it took, as the host says.
    pub took_ns: u64,
    /// A hook goes on reading a block it was shown.
    pub keeps_inputs: bool,
}

/// Something a hook logged or printed.
pub enum Said {
    /// Through the `log` macros.
    Logged(LogRecord),
    /// To standard output or error.
    Printed(String),
}

/// Takes what hooks say, and the number of the question that the host was at.
pub type Hear<'h> = &'h mut dyn FnMut(u64, Said);

impl Host {
    /// The answer to the oldest question, which is looked for so long before this thread sleeps. The host may be silent for no longer
    /// than `patience` since it came on last.
    pub fn answer(&mut self, patience: Duration, looks: Duration, hear: Hear<'_>) -> Result<Answered, Lost> {
        self.publish();
        let mut looks = Some(looks.min(patience));
        loop {
            if let Some(answered) = self.take_answer(hear)? {
                return Ok(answered);
            }
            if looks.take().is_some_and(|looks| self.rings.look_for_answer(looks)) {
                continue;
            }
            self.await_answer(patience, hear)?;
        }
    }

    /// What was printed since it was looked at last; after the last answer, so that it is known whose it is.
    pub fn hear_output(&mut self, hear: Hear<'_>) {
        let token = self.asked.front().map_or(self.last_token, |asked| asked.token);
        self.process.output.read().into_iter().for_each(|line| hear(token, Said::Printed(line)));
    }

    /// Takes answers up to the next one that says something, if it is there.
    fn take_answer(&mut self, hear: Hear<'_>) -> Result<Option<Answered>, Lost> {
        while self.rings.take_answer(&mut self.record).map_err(broken)? {
            let record::Answer { head, took_ns, keeps_inputs, outcome } = self.record.as_answer().map_err(broken)?;
            let outcome = match outcome {
                Outcome::Done(_) => Ok(Answer::Plain),
                Outcome::NotBegun => Ok(Answer::NotBegun),
                Outcome::Message => Err(()),
                Outcome::Shared(_) => return Err(broken("a hook made an output")),
            };
            // First what was said before it: it is there.
            while self.received < head.messages {
                if !self.hear(hear)? {
                    return Err(broken("messages that it said it had sent did not come"));
                }
            }
            let asked = self.asked.pop_front().ok_or_else(|| broken("an answer came, and nothing was asked"))?;
            self.has_come_on = true;
            self.messages -= usize::from(asked.is_message);
            if !asked.is_question {
                continue;
            }
            if head.token != asked.token {
                return Err(broken(format!("an answer to question {} came, {} was asked", head.token, asked.token)));
            }
            // What was said of later ones may have come already.
            let is_told = self.told.front().is_some_and(|(token, _)| *token == asked.token);
            let told = if is_told { self.told.pop_front() } else { None };
            let answer = match (outcome, told) {
                (Ok(answer), None) | (Err(()), Some((_, answer))) => answer,
                _ => return Err(broken("an answer is not what its message said")),
            };
            return Ok(Some(Answered { answer, took_ns, keeps_inputs }));
        }
        Ok(None)
    }

    /// Waits until there may be an answer.
    fn await_answer(&mut self, patience: Duration, hear: Hear<'_>) -> Result<(), Lost> {
        if std::mem::take(&mut self.has_come_on) {
            (self.since, self.seen) = (Instant::now(), 0);
        }
        // Many answers are due together, and so is this thread; now and then it looks how far the host is.
        let many = u32::try_from(self.asked.len()).unwrap_or(SLOTS);
        let left = patience.saturating_sub(self.since.elapsed());
        let nap = if many > 1 { left.min(patience / 4) } else { left };
        if !self.rings.lie_down(many).map_err(broken)? {
            return Ok(());
        }
        let mut watched = vec![self.rings.as_fd(), self.channel.as_fd()];
        watched.extend(self.process.output.watched());
        let ready = wait::readable(&watched, Some(nap));
        let ready = |place: usize| ready.as_ref().map(|ready| ready.get(place) == Some(&true));
        let [is_rung, is_spoken, is_printed] = [ready(0), ready(1), ready(2)]
            .map(|ready| ready.map_err(|error| Lost(format!("cannot be waited for: {error}"))));
        self.rings.get_up(matches!(is_rung, Ok(true)));
        let (is_spoken, is_printed) = (is_spoken?, is_printed?);
        if is_printed {
            self.hear_output(hear);
        }
        let answers = self.rings.answers().map_err(broken)?;
        if answers > self.seen {
            (self.since, self.seen) = (Instant::now(), answers);
        }
        // What it answered before it went counts; and what it said before an answer is heard when that is taken.
        if answers > 0 {
            return Ok(());
        }
        if is_spoken && let Err(lost) = self.hear(hear) {
            self.hear_output(hear);
            return Err(lost);
        }
        // However much there is to hear: one that logs without pause would otherwise never be late.
        if self.since.elapsed() >= patience {
            return Err(Lost(TOO_LATE.to_owned()));
        }
        Ok(())
    }

    /// Takes one message, if there is one; says whether there was.
    fn hear(&mut self, hear: Hear<'_>) -> Result<bool, Lost> {
        let event = match self.channel.try_receive() {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(false),
            Err(error) => return Err(self.lost(error)),
        };
        self.received += 1;
        match event {
            HookEvent::Log(record) => hear(record.token, Said::Logged(record)),
            // The answer's JSON names what was replaced; the claims themselves say it too.
            HookEvent::Answer { token, outputs, .. } => self.note_told(token, Answer::Replaced(outputs))?,
            HookEvent::Failed { token, failure } => self.note_told(token, Answer::Failed(failure))?,
            HookEvent::Ready { .. } => return Err(Lost("answered out of turn".to_owned())),
        }
        Ok(true)
    }

    fn note_told(&mut self, token: u64, answer: Answer) -> Result<(), Lost> {
        // No more than there are questions: each has one answer, whatever the host sends.
        if self.told.len() >= self.asked.len() {
            return Err(Lost("answered out of turn".to_owned()));
        }
        self.told.push_back((token, answer));
        Ok(())
    }
}
