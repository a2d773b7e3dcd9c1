//! The server's client of a hook host: questions go out many at a time, their answers come in the same order.
//!
//! Both go through rings (`ipc/ring/README.md`): a question whose blocks are small is written there, in parts if it is long; any other is
//! a message, and a record says so. The host says in the ring that all is well, and all else in a message. How long it may take
//! counts from the answer before, for each question anew.
#![forbid(unsafe_code)]

use std::collections::{BTreeSet, VecDeque};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use crate::block::adopt::ClaimedBlock;
use crate::ipc::channel::ChannelError;
use crate::ipc::client::{HookChannel, HookEvent, Input};
use crate::ipc::message::{LogRecord, Role, TaskFailure};
use crate::ipc::ring::DriverRings;
use crate::ipc::ring::event::{self, Event};
use crate::ipc::ring::indices::SLOTS;
use crate::ipc::ring::record::{self, Head, Inputs, Outcome, Record};
use crate::server::generations::{Process, ProcessEnd, Zygote, ending_in_words};
use crate::server::pool::DriverSettings;
use crate::sys::wait;

/// How long a hook host that closed its channel may take to be reported dead.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// What the host is said to have done when its deadline is over.
pub const TOO_LATE: &str = "did not answer in time";

/// So many questions may be on their way as messages: more might find no room in the socket.
const MESSAGES_MAX: usize = 8;

/// A hook host that takes events.
#[derive(Debug)]
pub struct Host {
    channel: HookChannel,
    rings: DriverRings,
    process: Process,
    configured: BTreeSet<(u32, u32)>,
    last_token: u64,
    /// What was put into the ring and is not answered, the oldest first.
    asked: VecDeque<Asked>,
    /// How many of them went as messages.
    messages: usize,
    /// Messages that went over the channel, and that came.
    sent: u64,
    received: u64,
    /// What messages said of questions whose records have not come.
    told: VecDeque<(u64, Answer)>,
    /// When the host came on last, as far as is known.
    since: Instant,
    /// How many answers had been there by then.
    seen: u32,
    /// Answers were taken since.
    has_come_on: bool,
    /// For how long it looks for a question before it sleeps.
    looks: Duration,
    /// Kept for their memory.
    record: Record,
    bytes: Vec<u8>,
}

/// One slot of the ring.
#[derive(Debug)]
struct Asked {
    index: u32,
    token: u64,
    /// The end of a question: its answer says something.
    is_question: bool,
    is_message: bool,
}

/// What is asked of a hook.
#[derive(Debug)]
pub struct Question<'q> {
    /// The positions of the plugin and of the hook in it.
    pub place: (u32, u32),
    /// The event, JSON.
    pub argument: &'q str,
    /// The blocks that go with it.
    pub inputs: &'q [Input],
    /// Whether another hook is asked about the same event next.
    pub has_more: bool,
}

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

/// How it ended with a host: as it stands after "the hook host". It must be ended.
#[derive(Debug)]
pub struct Lost(pub String);

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
    /// Starts one and waits until it is ready.
    pub fn start(zygote: &Zygote, settings: &DriverSettings) -> Result<Host, String> {
        let (channel, socket) =
            HookChannel::pair().map_err(|error| format!("cannot make a channel for the hook host: {error}"))?;
        let (rings, theirs) =
            DriverRings::create().map_err(|error| format!("cannot make rings for the hook host: {error}"))?;
        let process = zygote.start_process(Role::HookHost, settings.limits, socket, settings.start_timeout)?;
        let mut host = Host::of(channel, rings, process);
        let started = host.await_ready(Instant::now() + settings.start_timeout).and_then(|()| {
            host.channel.rings(&theirs).map_err(|error| format!("could not be given its rings: {error}"))
        });
        match started {
            Ok(()) => Ok(host),
            Err(reason) => {
                host.end();
                Err(format!("a new hook host {reason}"))
            }
        }
    }

    fn of(channel: HookChannel, rings: DriverRings, process: Process) -> Host {
        Host {
            channel,
            rings,
            process,
            configured: BTreeSet::new(),
            last_token: 0,
            asked: VecDeque::new(),
            messages: 0,
            sent: 0,
            received: 0,
            told: VecDeque::new(),
            since: Instant::now(),
            seen: 0,
            has_come_on: false,
            looks: Duration::ZERO,
            record: Record::default(),
            bytes: Vec::new(),
        }
    }

    /// Whether a hook was given its options.
    pub fn is_configured(&self, place: (u32, u32)) -> bool {
        self.configured.contains(&place)
    }

    /// Asks a hook to take its options; its number.
    pub fn configure(&mut self, (plugin, hook): (u32, u32), options: &str) -> Result<u64, Lost> {
        let token = self.next_token();
        let sent = self.channel.configure(token, plugin, hook, options.to_owned());
        sent.map_err(|error| self.lost(error))?;
        self.push_message(token);
        Ok(token)
    }

    /// A hook has taken its options.
    pub fn note_configured(&mut self, place: (u32, u32)) {
        self.configured.insert(place);
    }

    /// Puts a question into the ring; its number, or nothing if there is no room until others are answered. It goes out with
    /// [`Host::publish`].
    pub fn ask(&mut self, question: &Question<'_>) -> Result<Option<u64>, Lost> {
        let &Question { place: (plugin, hook), argument, inputs, has_more } = question;
        let is_small = inputs.iter().all(|input| match input {
            Input::Absent => true,
            Input::Json(_) => false,
            Input::Block(block) => block.small().is_some(),
        });
        let mut bytes = std::mem::take(&mut self.bytes);
        let fits = is_small && {
            let event = Event { plugin, hook, has_more, argument, inputs: Inputs::default() };
            let blocks = inputs.iter().map(|input| match input {
                Input::Block(block) => block.small(),
                Input::Absent | Input::Json(_) => None,
            });
            event::write(&mut bytes, &event, blocks)
        };
        let asked = if fits { Ok(self.push_event(&bytes)) } else { self.ask_by_message(question) };
        self.bytes = bytes;
        asked
    }

    fn push_event(&mut self, bytes: &[u8]) -> Option<u64> {
        let mut left = event::slots(bytes);
        if self.asked.len() + left > SLOTS as usize {
            return None;
        }
        let token = self.next_token();
        let head = Head { token, messages: self.sent };
        let Host { rings, asked, record, .. } = self;
        self.has_come_on |= asked.is_empty();
        event::records(head, bytes, record, |record| {
            left -= 1;
            push(rings, asked, record, Asked { index: 0, token, is_question: left == 0, is_message: false });
        });
        Some(token)
    }

    fn ask_by_message(&mut self, question: &Question<'_>) -> Result<Option<u64>, Lost> {
        if self.messages >= MESSAGES_MAX || self.asked.len() >= SLOTS as usize {
            return Ok(None);
        }
        let &Question { place: (plugin, hook), argument, inputs, has_more } = question;
        let token = self.next_token();
        let sent = self.channel.event(token, plugin, hook, argument.to_owned(), inputs, has_more);
        sent.map_err(|error| self.lost(error))?;
        self.push_message(token);
        Ok(Some(token))
    }

    fn push_message(&mut self, token: u64) {
        self.sent += 1;
        self.messages += 1;
        self.has_come_on |= self.asked.is_empty();
        self.record.message(Head { token, messages: self.sent });
        let asked = Asked { index: 0, token, is_question: true, is_message: true };
        push(&mut self.rings, &mut self.asked, &self.record, asked);
    }

    /// Lets a host go on that has stopped at an answer which was more than that all is well.
    pub fn go_on(&mut self) {
        self.has_come_on |= self.asked.is_empty();
        self.record.go_on();
        let asked = Asked { index: 0, token: 0, is_question: false, is_message: false };
        push(&mut self.rings, &mut self.asked, &self.record, asked);
    }

    /// Shows the host what it was asked.
    pub fn publish(&mut self) {
        self.rings.publish();
    }

    /// For how long the host may look for a question before it sleeps.
    pub fn set_looks(&mut self, looks: Duration) {
        if !looks.is_zero() {
            self.rings.say_where();
        }
        if looks != self.looks {
            self.looks = looks;
            self.rings.set_patience_ns(u32::try_from(looks.as_nanos()).unwrap_or(u32::MAX));
        }
    }

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

    /// Whether its process ended before it took the oldest question: no hook has heard of that.
    pub fn ended_at_nothing(&mut self) -> bool {
        if !self.process.has_ended() {
            return false;
        }
        let mut untaken = 0;
        while matches!(self.rings.take_back(), Ok(Some(_))) {
            untaken += 1;
        }
        untaken == self.asked.len()
    }

    /// Ends the process for certain.
    pub fn end(&mut self) {
        self.process.kill();
        self.process.wait(END_PATIENCE);
    }

    /// Asks the process to leave, and ends it if it does not.
    pub fn quit(mut self) {
        let mut record = Record::default();
        record.quit();
        let oldest = self.asked.front().map(|asked| asked.index);
        let is_asked = self.rings.push(&record, oldest).is_some();
        self.rings.publish();
        if !is_asked || self.process.wait(Duration::from_millis(500)).is_none() {
            self.end();
        }
    }

    fn next_token(&mut self) -> u64 {
        self.last_token += 1;
        self.last_token
    }

    /// Listens until it is ready. The error completes the sentence "a new hook host …".
    fn await_ready(&mut self, deadline: Instant) -> Result<(), String> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut watched = vec![self.channel.as_fd()];
            watched.extend(self.process.output.watched());
            let ready =
                wait::readable(&watched, Some(left)).map_err(|error| format!("cannot be waited for: {error}"))?;
            if ready.get(1) == Some(&true) {
                self.process.output.read();
            }
            if ready.first() == Some(&true) {
                self.received += 1;
                match self.channel.receive() {
                    Ok(HookEvent::Log(_)) => {}
                    Ok(HookEvent::Ready { .. }) => return Ok(()),
                    Ok(other) => return Err(format!("spoke out of turn: {other:?}")),
                    Err(error) => return Err(self.lost(error).0),
                }
            }
            if left.is_zero() {
                return Err(TOO_LATE.to_owned());
            }
        }
    }

    fn lost(&self, error: ChannelError) -> Lost {
        Lost(match error {
            ChannelError::Closed => match self.process.wait(END_PATIENCE) {
                Some(ProcessEnd::Ended { ending, .. }) => ending_in_words(ending),
                Some(ProcessEnd::WithZygote(reason)) => format!("ended with its plugin process: {reason}"),
                Some(ProcessEnd::Unknown) | None => "closed its channel".to_owned(),
            },
            error => format!("broke the protocol: {error}"),
        })
    }
}

/// Puts a record into the ring. There is room: that was looked at before.
fn push(rings: &mut DriverRings, asked: &mut VecDeque<Asked>, record: &Record, new: Asked) {
    let oldest = asked.front().map(|asked| asked.index);
    if let Some(index) = rings.push(record, oldest) {
        asked.push_back(Asked { index, ..new });
    }
}

fn broken(reason: impl std::fmt::Display) -> Lost {
    Lost(format!("broke the protocol: {reason}"))
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
