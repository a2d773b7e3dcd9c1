//! What happened in a run under way and is not on disk yet: its nodes that ended, and the lines of its log.
//!
//! A crash of the daemon must not lose it: what finished need not be run again. The run writes here, in memory, and the
//! store's thread fetches what has gathered. However much happens, one request a run waits for that thread, so a run is never
//! held up by a slow disk.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::{LogLine, NodeDetail};

use crate::server::logs::RunLog;

/// The ledger of one run.
#[derive(Debug)]
pub struct Ledger {
    id: String,
    log: Arc<RunLog>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    nodes: Vec<(u32, NodeDetail)>,
    /// Lines up to this number were fetched.
    fetched: u64,
    /// Lines up to this number are on disk.
    kept: u64,
    /// Whether the store was asked to fetch, and has not yet.
    is_asked: bool,
    is_closed: bool,
}

/// What was fetched.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// Nodes that ended, with their positions in the plan.
    pub(super) nodes: Vec<(u32, NodeDetail)>,
    /// Lines of the log.
    pub(super) lines: Vec<LogLine>,
}

impl Entries {
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.lines.is_empty()
    }
}

impl Ledger {
    /// Makes the ledger of a run whose lines are in `log`.
    pub fn new(id: String, log: Arc<RunLog>) -> Arc<Ledger> {
        Arc::new(Ledger { id, log, state: Mutex::default() })
    }

    /// Notes a node that ended; true when the store is to be asked to fetch.
    #[must_use]
    pub fn note_node(&self, position: u32, node: NodeDetail) -> bool {
        let mut state = self.lock();
        state.nodes.push((position, node));
        state.ask()
    }

    /// Notes that the log has a new line; true when the store is to be asked to fetch.
    #[must_use]
    pub fn note_line(&self) -> bool {
        self.lock().ask()
    }

    /// Says that the report follows, which holds all of it: from now on nothing is fetched. Gives the number of the last line
    /// that is on disk already.
    pub fn close(&self) -> u64 {
        let mut state = self.lock();
        state.is_closed = true;
        state.nodes = Vec::new();
        state.kept
    }

    /// The run's id.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Takes out what has gathered.
    pub(super) fn fetch(&self) -> Entries {
        let mut state = self.lock();
        state.is_asked = false;
        if state.is_closed {
            return Entries::default();
        }
        let lines = self.log.read(state.fetched + 1).lines;
        if let Some(last) = lines.last() {
            state.fetched = last.number;
        }
        Entries { nodes: std::mem::take(&mut state.nodes), lines }
    }

    /// Notes that what was fetched is on disk.
    pub(super) fn note_kept(&self, entries: &Entries) {
        if let Some(last) = entries.lines.last() {
            self.lock().kept = last.number;
        }
    }

    /// Takes back what could not be written, to be fetched with what comes next.
    pub(super) fn take_back(&self, entries: Entries) {
        let mut state = self.lock();
        state.is_asked = false;
        if state.is_closed {
            return;
        }
        if let Some(first) = entries.lines.first() {
            state.fetched = state.fetched.min(first.number.saturating_sub(1));
        }
        let newer = std::mem::replace(&mut state.nodes, entries.nodes);
        state.nodes.extend(newer);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn ask(&mut self) -> bool {
        !self.is_closed && !std::mem::replace(&mut self.is_asked, true)
    }
}
