//! The server's client of a hook host: questions go out many at a time, their answers come in the same order.
//!
//! Both go through rings (`ipc/ring/README.md`): a question whose blocks are small is written there, in parts if it is long; any other is
//! a message, and a record says so. The host says in the ring that all is well, and all else in a message. How long it may take
//! counts from the answer before, for each question anew.
#![forbid(unsafe_code)]

mod answer;
mod ask;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

pub use self::answer::{Answer, Answered, Said};
use self::ask::Asked;
pub use self::ask::Question;
use crate::ipc::channel::ChannelError;
use crate::ipc::client::{HookChannel, HookEvent};
use crate::ipc::message::Role;
use crate::ipc::ring::DriverRings;
use crate::ipc::ring::event::Written;
use crate::ipc::ring::record::Record;
use crate::server::generations::{Process, ProcessEnd, Zygote, ending_in_words};
use crate::server::pool::DriverSettings;
use crate::sys::wait;

/// How long a hook host that closed its channel may take to be reported dead.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// What the host is said to have done when its deadline is over.
pub const TOO_LATE: &str = "did not answer in time";

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
    written: Written,
}

/// How it ended with a host: as it stands after "the hook host". It must be ended.
#[derive(Debug)]
pub struct Lost(pub String);

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
            written: Written::default(),
        }
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

fn broken(reason: impl std::fmt::Display) -> Lost {
    Lost(format!("broke the protocol: {reason}"))
}
