//! Tasks on their way: sent to the worker and not answered, the oldest first. The oldest is the one the worker is at, or
//! about to be; the others wait in the ring and can be taken back.
#![forbid(unsafe_code)]

use std::collections::VecDeque;

use super::attempt::Shown;
use super::chunks::ChunkDesk;
use super::send::Sent;
use crate::block::Block;
use crate::block::adopt::ClaimedBlock;
use crate::ipc::message::{SavedChunks, TaskFailure};
use crate::server::budget::Allowance;
use crate::server::pool::Job;
use crate::server::pool::pace::Kind;
use crate::server::residents::Share;

/// One task on its way.
#[derive(Debug)]
pub struct Flight {
    /// What it is.
    pub job: Job,
    /// The number of this task between driver and worker.
    pub token: u64,
    /// Its place in the ring.
    pub index: u32,
    /// Whether the engine was told that it has begun.
    pub has_begun: bool,
    /// Whether the engine was told that it lies here, before it was shown to the worker.
    pub is_sent: bool,
    /// It was sent before the engine dispatched it, as what follows the task before it for certain.
    pub is_ahead: bool,
    /// What it reads does not lie in the answer before it: the worker will say that it did not begin, so the engine is not told that.
    pub cannot_begin: bool,
    /// The engine does not want it any more, and yet the worker may be at it: whatever it answers comes to nothing.
    pub is_unwanted: bool,
    /// How often a worker died before it began with this.
    pub tries: u8,
    /// What it has in common with others that take as long.
    pub kind: Kind,
    /// How long it will take, as others of its kind did.
    pub expected_ns: u64,
    /// What hooks are shown of it, if they are.
    pub shown: Option<Box<Shown>>,
    /// What it was granted, once it has asked.
    pub allowance: Option<Box<Allowance>>,
    /// Its outputs that are saved chunk by chunk, if there are any.
    pub desk: Option<Box<ChunkDesk>>,
    /// What it has to do with resident datasets.
    pub share: Share,
    /// What the worker said of its end over the socket.
    pub told: Option<Box<Told>>,
    /// Blocks that it reads in memory that is used again: they stay as they are until it has ended, whatever becomes of its run.
    pub held: Vec<Block>,
}

/// The end of a task, as a message tells it.
#[derive(Debug)]
pub enum Told {
    /// It succeeded and claims to have made this, and to have saved that.
    Done(Vec<ClaimedBlock>, Vec<SavedChunks>),
    /// It failed; at the chunks of this output port, if one is named.
    Failed(TaskFailure, Option<u32>),
}

impl Flight {
    /// A job that was put into the ring, of which the engine knows nothing so far.
    pub fn new(job: Job, sent: Sent, expected_ns: u64) -> Flight {
        let Sent { held, token, index, kind, desk } = sent;
        Flight {
            job,
            token,
            index,
            has_begun: false,
            is_sent: false,
            is_ahead: false,
            cannot_begin: false,
            is_unwanted: false,
            tries: 0,
            kind,
            expected_ns,
            shown: None,
            allowance: None,
            desk,
            share: Share::None,
            told: None,
            held,
        }
    }

    /// Whether the engine knows that it lies here.
    pub fn is_noted(&self) -> bool {
        self.has_begun || self.is_sent
    }

    /// Whether the engine was told that it has begun, and so waits for this driver to tell its end.
    pub fn is_told(&self) -> bool {
        self.has_begun && !self.is_unwanted
    }
}

/// All tasks on their way.
#[derive(Debug, Default)]
pub struct Flights {
    list: VecDeque<Flight>,
    expected_ns: u64,
    ahead: usize,
}

impl Flights {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many others could run instead: all but the one under way and those that nobody else knows of.
    pub fn behind(&self) -> usize {
        let front = self.list.front().map_or(0, |front| usize::from(!front.is_ahead));
        self.list.len().saturating_sub(self.ahead + front)
    }

    /// How long all of them will take.
    pub fn expected_ns(&self) -> u64 {
        self.expected_ns
    }

    /// The oldest.
    pub fn front(&self) -> Option<&Flight> {
        self.list.front()
    }

    /// The oldest.
    pub fn front_mut(&mut self) -> Option<&mut Flight> {
        self.list.front_mut()
    }

    /// The newest.
    pub fn back(&self) -> Option<&Flight> {
        self.list.back()
    }

    /// The one that has this number.
    pub fn find(&mut self, token: u64) -> Option<&mut Flight> {
        // Numbers go up, and an answer is mostly about the oldest.
        self.list.iter_mut().find(|flight| flight.token == token)
    }

    /// All of them.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Flight> + ExactSizeIterator {
        self.list.iter()
    }

    /// Adds the newest.
    pub fn push(&mut self, flight: Flight) {
        self.count(&flight);
        self.list.push_back(flight);
    }

    /// Removes the oldest.
    pub fn pop_front(&mut self) -> Option<Flight> {
        let front = self.list.front()?;
        (self.expected_ns, self.ahead) = self.without(front);
        self.list.pop_front()
    }

    /// Puts one back that was the oldest.
    pub fn push_front(&mut self, flight: Flight) {
        self.count(&flight);
        self.list.push_front(flight);
    }

    /// Removes the newest.
    pub fn pop_back(&mut self) -> Option<Flight> {
        let back = self.list.back()?;
        (self.expected_ns, self.ahead) = self.without(back);
        self.list.pop_back()
    }

    fn count(&mut self, flight: &Flight) {
        self.expected_ns = self.expected_ns.saturating_add(flight.expected_ns);
        self.ahead += usize::from(flight.is_ahead);
    }

    fn without(&self, flight: &Flight) -> (u64, usize) {
        (self.expected_ns.saturating_sub(flight.expected_ns), self.ahead - usize::from(flight.is_ahead))
    }
}
