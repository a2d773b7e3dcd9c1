//! The hook host's loop over the rings: take an event, tell its hook, answer; sleep when there is none.
//!
//! That all is well is said in the ring. What is more (inputs that a hook replaced, a failure) is a message, and a record in the
//! ring says that it came. Where another hook hears of the same event next, the server is to look at it first: until it
//! says that the host may go on, whatever else is in the ring is answered as not begun.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use plugin_api::abi::Failure;

use super::{Brought, Listeners, Request};
use crate::ipc::channel::{ChannelError, Received};
use crate::ipc::ring::event::Event;
use crate::ipc::ring::record::{Head, Input, Inputs, Malformed, Record, SmallBlock, Task};
use crate::ipc::ring::{WorkerDescriptors, WorkerRings};
use crate::sys::processor::{self, Aside};
use crate::worker::abi::Claims;

/// How often this thread leaves a processor that it shares with a driver.
const STEP_ASIDE_INTERVAL: Duration = Duration::from_millis(2);

/// Opens the rings that a message brought.
pub(super) fn open(descriptors: Vec<OwnedFd>) -> Result<WorkerRings, ChannelError> {
    let [memory, bell] = <[OwnedFd; 2]>::try_from(descriptors)
        .map_err(|_| ChannelError::Protocol("rings come as two descriptors".to_owned()))?;
    WorkerRings::open(WorkerDescriptors { memory, bell })
        .map_err(|source| ChannelError::System { attempt: "cannot map the rings", source })
}

/// Answers events until told to leave, or until the server has gone.
pub(super) fn serve(listeners: Listeners<'_>, rings: WorkerRings) -> Result<(), ChannelError> {
    let mut served = Served {
        listeners,
        rings,
        received: 0,
        parts: Vec::new(),
        has_stopped: false,
        ended: Instant::now(),
        answer: Record::default(),
        aside: Aside::each(STEP_ASIDE_INTERVAL),
    };
    match served.run() {
        Err(ChannelError::Closed) => Ok(()),
        result => result,
    }
}

struct Served<'a> {
    listeners: Listeners<'a>,
    rings: WorkerRings,
    /// Messages taken so far, as the server counts them.
    received: u64,
    /// What came of an event so far.
    parts: Vec<u64>,
    /// The server is to say when to go on.
    has_stopped: bool,
    /// When the event that was answered last ended.
    ended: Instant,
    /// The answer being written.
    answer: Record,
    /// Goes to another processor than the driver's.
    aside: Aside,
}

impl Served<'_> {
    fn run(&mut self) -> Result<(), ChannelError> {
        let mut task = Record::default();
        // An event that was there already begins when the one before it ended.
        let mut last_end = None;
        loop {
            if !self.rings.take(&mut task) {
                last_end = None;
                self.await_task();
                continue;
            }
            let started = last_end.unwrap_or_else(Instant::now);
            self.ended = started;
            match task.as_task().map_err(malformed)? {
                Task::Quit => return Ok(()),
                Task::GoOn => {
                    self.has_stopped = false;
                    self.answer.done(self.head(0), 0);
                }
                Task::Part(words) => {
                    self.parts.extend_from_slice(words);
                    self.answer.done(self.head(0), 0);
                }
                Task::Event(head, words) => {
                    self.parts.extend_from_slice(words);
                    let parts = std::mem::take(&mut self.parts);
                    let told = self.event(head.token, &parts, started);
                    self.parts = parts;
                    self.parts.clear();
                    told?;
                }
                Task::Message(head) => self.message(head, started)?,
                Task::Call(_) => {
                    return Err(ChannelError::Protocol("a call of a node came to the hook host".to_owned()));
                }
            }
            last_end = Some(self.ended);
            if self.listeners.spare.takes_kept() {
                self.answer.keeps_inputs();
            }
            self.rings.answer(&self.answer);
        }
    }

    /// Looks again and again for as long as the server allows, then sleeps.
    fn await_task(&mut self) {
        self.step_aside();
        if self.rings.look_for_task() {
            return;
        }
        self.listeners.page.begin(0);
        self.rings.sleep(None);
    }

    /// Goes to another processor if this one is that of the driver which waits for answers: it has work of its own between two
    /// events. The worker, which shares one with this thread then, has none while hooks are at theirs.
    fn step_aside(&mut self) {
        if let Some(processor) = processor::current().filter(|processor| self.rings.is_in_the_way_on(*processor)) {
            self.aside.leave(processor);
        }
    }

    /// Answers an event that came through the ring.
    fn event(&mut self, token: u64, words: &[u64], started: Instant) -> Result<(), ChannelError> {
        if self.has_stopped {
            self.answer.not_begun(self.head(token));
            return Ok(());
        }
        let event = Event::read(words).map_err(malformed)?;
        let Event { plugin, hook, has_more, argument, inputs } = event;
        let blocks = blocks(inputs).map_err(malformed)?;
        let outcome = self.listeners.answer(token, (plugin, hook), argument, Brought::Small(blocks));
        self.tell(token, outcome, has_more, started)
    }

    /// Answers what came over the socket.
    fn message(&mut self, head: Head, started: Instant) -> Result<(), ChannelError> {
        let mut asked = None;
        while self.received < head.messages {
            let Received { message, descriptors } = self.listeners.link.receive()?;
            self.received += 1;
            asked = Request::of(message, descriptors);
        }
        match asked {
            Some(request) if !self.has_stopped => {
                let (token, has_more) = (request.token, request.has_more);
                let outcome = self.listeners.answer_request(request);
                self.tell(token, outcome, has_more, started)
            }
            _ => {
                self.answer.not_begun(self.head(head.token));
                Ok(())
            }
        }
    }

    fn tell(
        &mut self,
        token: u64,
        outcome: Result<(String, Claims), Failure>,
        has_more: bool,
        started: Instant,
    ) -> Result<(), ChannelError> {
        match outcome {
            Ok((_, claims)) if claims.claims.is_empty() => {
                let took_ns = self.lap_ns(started);
                self.answer.done(self.head(token), took_ns);
                return Ok(());
            }
            Ok((answer, claims)) => self.listeners.tell_answer(token, answer, claims)?,
            Err(failure) => self.listeners.tell_failure(token, failure)?,
        }
        self.has_stopped = has_more;
        let took_ns = self.lap_ns(started);
        self.answer.answered_by_message(self.head(token), took_ns);
        Ok(())
    }

    /// The event ends now; how long it took.
    fn lap_ns(&mut self, started: Instant) -> u64 {
        self.ended = Instant::now();
        u64::try_from(self.ended.saturating_duration_since(started).as_nanos()).unwrap_or(u64::MAX)
    }

    fn head(&self, token: u64) -> Head {
        Head { token, messages: self.listeners.link.sent() }
    }
}

fn blocks(inputs: Inputs<'_>) -> Result<Vec<Option<SmallBlock<'_>>>, Malformed> {
    inputs
        .map(|input| {
            Ok(match input? {
                Input::Block(block) => Some(block),
                Input::Absent | Input::Json(_) | Input::Made { .. } | Input::Part(_) => None,
            })
        })
        .collect()
}

fn malformed(problem: Malformed) -> ChannelError {
    ChannelError::Protocol(problem.to_string())
}
