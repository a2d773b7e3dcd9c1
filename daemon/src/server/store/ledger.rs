//! What happened in a run under way and is not on disk yet: its nodes that ended, and the lines of its log.
//!
//! A crash of the daemon must not lose it: what finished need not be run again. The run writes here, in memory, and the
//! store's thread fetches what has gathered. However much happens, one request a run waits for that thread, so a run is never
//! held up by a slow disk.
//!
//! Of nodes that finished only the number is noted; what is to be said of them is asked of the run when it is fetched ([`Describe`]), and
//! of very many short ones only so many are fetched at once: writing them down must not cost more than running them. The
//! report holds them all, so most of those of a short run are never written twice.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use protocol::{LogLine, NodeDetail};

use crate::server::logs::RunLog;

/// So many nodes are fetched at once: a few milliseconds of writing, for which others wait.
const NODES_MAX: usize = 1_000;

/// Who knows what there is to say of nodes that finished.
pub trait Describe: Send + Sync {
    /// Describes those at these positions in the plan.
    fn describe(&self, positions: &[u32]) -> Vec<(u32, NodeDetail)>;
}

/// The ledger of one run.
pub struct Ledger {
    id: String,
    run: OnceLock<Weak<dyn Describe>>,
    log: Arc<RunLog>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    nodes: Vec<(u32, NodeDetail)>,
    /// Nodes that finished, to be described when they are fetched.
    finished: VecDeque<u32>,
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
    /// There is more, to be fetched in a while.
    pub(super) is_part: bool,
}

impl Entries {
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.lines.is_empty()
    }
}

impl Ledger {
    /// Makes the ledger of a run whose lines are in `log`.
    pub fn new(id: String, log: Arc<RunLog>) -> Arc<Ledger> {
        Arc::new(Ledger { id, run: OnceLock::new(), log, state: Mutex::default() })
    }

    /// Says who describes nodes that finished. The first one counts.
    pub fn set_run(&self, run: Weak<dyn Describe>) {
        let _ = self.run.set(run);
    }

    /// Notes nodes that finished; true when the store is to be asked to fetch.
    #[must_use]
    pub fn note_finished(&self, positions: &[u32]) -> bool {
        let mut state = self.lock();
        if state.is_closed {
            return false;
        }
        state.finished.extend(positions);
        state.ask()
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
        state.finished = VecDeque::new();
        state.kept
    }

    /// The run's id.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Takes out what has gathered.
    pub(super) fn fetch(&self) -> Entries {
        let mut state = self.lock();
        if state.is_closed {
            state.is_asked = false;
            return Entries::default();
        }
        let count = state.finished.len().min(NODES_MAX);
        let finished: Vec<u32> = state.finished.drain(..count).collect();
        // While there is more, the store comes again without being asked.
        let is_part = !state.finished.is_empty();
        state.is_asked = is_part;
        let lines = self.log.read(state.fetched + 1).lines;
        if let Some(last) = lines.last() {
            state.fetched = last.number;
        }
        let mut nodes = std::mem::take(&mut state.nodes);
        drop(state);
        // Without the lock: the run notes while it holds its own.
        if !finished.is_empty()
            && let Some(run) = self.run.get().and_then(Weak::upgrade)
        {
            nodes.extend(run.describe(&finished));
        }
        Entries { nodes, lines, is_part }
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

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("id", &self.id).field("state", &self.state).finish_non_exhaustive()
    }
}

impl State {
    fn ask(&mut self) -> bool {
        !self.is_closed && !std::mem::replace(&mut self.is_asked, true)
    }
}
