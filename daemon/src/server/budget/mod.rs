//! The memory budget of all live blocks.
//!
//! A worker asks before it takes shared memory ([`Allowance::request`]). What fits is granted at once; what does not
//! fit waits for blocks to be released; what can never fit is refused with the figures.
//!
//! **Why nothing waits for ever.** A waiting task holds its worker, so a wait makes sense only while somebody else can
//! go on and free something. Each pool is a [`Party`] that counts its jobs (queued or running); as long as some pool has
//! more jobs than waiting tasks, and more drivers than waiting tasks, one of its drivers is awake and makes progress.
//! When no pool has, all that runs is waiting: then the task that came last is refused, which gives back what it held.
//! The check is made whenever a task begins to wait and whenever a job ends. So whatever follows from the end of a job,
//! above all the blocks of a run that it ended, must be given back before the job is counted as ended.
//!
//! A task that waits for its next attempt counts as a job: when its time has come it goes on.
//!
//! Waiting tasks are served first come, first served, but a small request may pass a large one that does not fit yet:
//! otherwise the small one, which could finish and free memory, would be stuck behind it.
#![forbid(unsafe_code)]

mod allowance;
mod charge;
mod spare;
mod words;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

pub use self::allowance::{Allowance, Answer};
pub use self::charge::Charge;
pub use self::spare::Reclaim;
pub use self::words::in_words;
use self::words::stuck_message;
use crate::server::pool::Bell;

/// Counts bytes of live blocks against a limit.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    /// How many tasks wait; read without the lock, so that the end of a job costs nothing while nobody waits.
    waiting_count: AtomicUsize,
    state: Mutex<State>,
    spare: RwLock<Vec<Weak<dyn Reclaim>>>,
}

#[derive(Debug, Default)]
struct State {
    used: u64,
    blocks: u64,
    waiting: Vec<Waiter>,
    parties: Vec<Arc<Party>>,
    next_ticket: u64,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    bytes: u64,
    held: u64,
    party: Arc<Party>,
    bell: Arc<Bell>,
    answer: Arc<Mutex<Option<Result<(), String>>>>,
}

/// One pool, as far as the budget must know it to see whether anybody can make progress.
#[derive(Debug)]
pub struct Party {
    drivers: usize,
    jobs: AtomicUsize,
}

/// How many bytes live blocks have, and may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Live blocks.
    pub blocks: u64,
    /// Bytes of live blocks and of grants for blocks being written.
    pub bytes: u64,
    /// The limit.
    pub limit: u64,
}

impl Budget {
    /// Makes a budget of `limit` bytes.
    pub fn new(limit: u64) -> Arc<Budget> {
        Arc::new(Budget {
            limit,
            waiting_count: AtomicUsize::new(0),
            state: Mutex::default(),
            spare: RwLock::default(),
        })
    }

    /// Takes bytes for something that is no task's, or says why not. Never waits: nobody would be told.
    pub fn take(self: &Arc<Self>, bytes: u64) -> Result<Charge, String> {
        let mut charge = Charge::counted(self, 0);
        self.lock().blocks += 1;
        charge.grow(bytes)?;
        Ok(charge)
    }

    /// Counts bytes that hold nothing, if they fit and nobody waits for them.
    pub fn keep(&self, bytes: u64) -> bool {
        let mut state = self.lock();
        let wanted = state.used.saturating_add(bytes);
        let fits = wanted <= self.limit && state.waiting.is_empty();
        if fits {
            state.used = wanted;
        }
        fits
    }

    /// Such bytes are kept no more.
    pub fn unkeep(&self, bytes: u64) {
        self.give_back(bytes, 0);
    }

    /// Adds a pool of `drivers` drivers.
    pub fn join(&self, drivers: usize) -> Arc<Party> {
        let party = Arc::new(Party { drivers, jobs: AtomicUsize::new(0) });
        self.lock().parties.push(Arc::clone(&party));
        party
    }

    /// Removes a pool that has ended.
    pub fn leave(&self, party: &Arc<Party>) {
        self.lock().parties.retain(|other| !Arc::ptr_eq(other, party));
    }

    /// Counts jobs that were given to a pool.
    pub fn jobs_added(&self, party: &Party, count: usize) {
        party.jobs.fetch_add(count, Ordering::SeqCst);
    }

    /// Counts tasks that wait for their next attempt: they will go on, and may give back what others wait for.
    pub fn backing_off_added(&self, party: &Party, count: usize) {
        self.jobs_added(party, count);
    }

    /// Counts tasks whose wait is over, after whatever followed from that was given to the pool.
    pub fn backing_off_ended(&self, party: &Party, count: usize) {
        self.jobs_ended(party, count);
    }

    /// Counts jobs that ended, after everything that follows from their end was done.
    pub fn jobs_ended(&self, party: &Party, count: usize) {
        party.jobs.fetch_sub(count, Ordering::SeqCst);
        if self.waiting_count.load(Ordering::SeqCst) > 0 {
            self.settle(&mut self.lock());
        }
    }

    /// How much is in use.
    pub fn usage(&self) -> Usage {
        let state = self.lock();
        Usage { blocks: state.blocks, bytes: state.used, limit: self.limit }
    }

    /// Charges bytes that are there already, whether they fit or not.
    pub fn charge(self: &Arc<Self>, bytes: u64) -> Charge {
        let mut state = self.lock();
        state.used = state.used.saturating_add(bytes);
        state.blocks += 1;
        Charge::counted(self, bytes)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is plain numbers, whole after every statement: a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, bytes: u64, blocks: u64) {
        let mut state = self.lock();
        state.used = state.used.saturating_sub(bytes);
        state.blocks = state.blocks.saturating_sub(blocks);
        if !state.waiting.is_empty() {
            self.settle(&mut state);
        }
    }

    /// Grants what fits by now; if nobody can make progress, refuses the request that came last.
    fn settle(&self, state: &mut State) {
        let mut used = state.used;
        let fits = |waiter: &mut Waiter| {
            let fits = used.saturating_add(waiter.bytes) <= self.limit;
            if fits {
                used += waiter.bytes;
            }
            fits
        };
        let granted: Vec<Waiter> = state.waiting.extract_if(.., fits).collect();
        state.used = used;
        if granted.is_empty()
            && is_stuck(state)
            && let Some(last) = state.waiting.pop()
        {
            let message = stuck_message(last.bytes, last.held, state.used, self.limit);
            last.answer(Err(message));
        }
        granted.into_iter().for_each(|waiter| waiter.answer(Ok(())));
        self.waiting_count.store(state.waiting.len(), Ordering::SeqCst);
    }
}

impl Waiter {
    fn answer(self, answer: Result<(), String>) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        self.bell.ring();
    }
}

/// Says whether every pool has nothing but waiting tasks.
fn is_stuck(state: &State) -> bool {
    !state.waiting.is_empty()
        && state.parties.iter().all(|party| {
            let waiting = state.waiting.iter().filter(|waiter| Arc::ptr_eq(&waiter.party, party)).count();
            waiting >= party.drivers || waiting >= party.jobs.load(Ordering::SeqCst)
        })
}
