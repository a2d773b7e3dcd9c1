//! Finds runs by id: those under way, and of the last few that ended what late readers still want.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Run;
use crate::server::feed::Feed;
use crate::server::logs::RunLog;

/// Of how many ended runs events and log are kept in memory: a client that submits and then follows finds even the
/// shortest run. Everything else about an ended run is in the store.
const ENDED_KEPT_MAX: usize = 16;

/// What readers want of a run while it is under way and shortly after.
#[derive(Debug, Clone)]
pub struct Records {
    /// Its id.
    pub id: String,
    /// Its events.
    pub feed: Arc<Feed>,
    /// Its log.
    pub log: Arc<RunLog>,
}

impl Records {
    fn of(run: &Run) -> Records {
        Records { id: run.id.clone(), feed: Arc::clone(&run.feed), log: Arc::clone(&run.log) }
    }
}

/// Why a run was not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddError {
    /// New runs are refused.
    Closed,
    /// There is a run of this id.
    Taken,
}

/// All runs in memory.
#[derive(Debug, Default)]
pub struct Registry {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    active: BTreeMap<String, Arc<Run>>,
    ended: VecDeque<Records>,
    ended_count: u64,
    is_closed: bool,
}

impl State {
    fn has(&self, id: &str) -> bool {
        self.active.contains_key(id) || self.ended.iter().any(|ended| ended.id == id)
    }
}

impl Registry {
    /// Adds a run.
    pub fn add(&self, run: &Arc<Run>) -> Result<(), AddError> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(AddError::Closed);
        }
        if state.has(&run.id) {
            return Err(AddError::Taken);
        }
        state.active.insert(run.id.clone(), Arc::clone(run));
        Ok(())
    }

    /// Whether an id is taken, as far as is known without a run to add.
    pub fn has(&self, id: &str) -> bool {
        self.lock().has(id)
    }

    /// Takes a run out again that was not admitted; who follows it already is told that nothing comes.
    pub fn withdraw(&self, run: &Run) {
        let withdrawn = self.lock().active.remove(&run.id);
        self.changed.notify_all();
        run.feed.close();
        drop(withdrawn);
    }

    /// Moves a run to those that ended.
    pub fn end(&self, run: &Arc<Run>) {
        let mut state = self.lock();
        let ended = state.active.remove(&run.id);
        state.ended.push_back(Records::of(run));
        state.ended_count += 1;
        let forgotten = (state.ended.len() > ENDED_KEPT_MAX).then(|| state.ended.pop_front());
        drop(state);
        self.changed.notify_all();
        // Dropped outside the lock: they may be the last handles of much memory.
        drop((ended, forgotten));
    }

    /// The run of this id, if it is under way.
    pub fn find(&self, id: &str) -> Option<Arc<Run>> {
        self.lock().active.get(id).cloned()
    }

    /// Events and log of a run that is under way or ended lately.
    pub fn find_records(&self, id: &str) -> Option<Records> {
        let state = self.lock();
        match state.active.get(id) {
            Some(run) => Some(Records::of(run)),
            None => state.ended.iter().rev().find(|run| run.id == id).cloned(),
        }
    }

    /// The runs under way.
    pub fn active(&self) -> Vec<Arc<Run>> {
        self.lock().active.values().cloned().collect()
    }

    /// How many runs have ended.
    pub fn ended_count(&self) -> u64 {
        self.lock().ended_count
    }

    /// Refuses new runs from now on.
    pub fn close(&self) {
        self.lock().is_closed = true;
    }

    /// Says whether new runs are refused.
    pub fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Waits until no run is under way, no longer than this; says whether that is so.
    pub fn await_none_active(&self, patience: Option<Duration>) -> bool {
        let deadline = patience.map(|patience| Instant::now() + patience);
        let mut state = self.lock();
        while !state.active.is_empty() {
            let left = match deadline {
                // An hour is as good as for ever: the loop asks again.
                None => Duration::from_secs(3600),
                Some(deadline) => deadline.saturating_duration_since(Instant::now()),
            };
            if left.is_zero() {
                return false;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
