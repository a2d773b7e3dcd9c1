//! A task between the queue and the ring: on its first way, or back from a worker that died before it began.
#![forbid(unsafe_code)]

use super::Job;
use super::flight::Flight;
use crate::server::residents::Share;

/// A job to be sent; most of them again, as their worker died before it began.
#[derive(Debug)]
pub struct Again {
    /// What it is.
    pub job: Job,
    /// What it has to do with resident datasets.
    pub share: Share,
    /// Whether the engine was told that it has begun.
    pub has_begun: bool,
    /// Whether the engine was told that it lies here.
    pub is_sent: bool,
    /// How often a worker died before it began with this.
    pub tries: u8,
}

impl Again {
    /// What was on its way.
    pub fn of(flight: Flight) -> Again {
        let Flight { job, share, has_begun, is_sent, tries, .. } = flight;
        Again { job, share, has_begun, is_sent, tries }
    }

    /// Whether the engine knows that it lies here.
    pub fn is_noted(&self) -> bool {
        self.has_begun || self.is_sent
    }
}
