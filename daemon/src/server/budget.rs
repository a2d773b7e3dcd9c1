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

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

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

/// Somebody who holds memory that can be done without.
pub trait Reclaim: Send + Sync + std::fmt::Debug {
    /// Gives back about so many bytes, if there are so many to spare; says how many. Called without the budget's lock.
    fn reclaim(&self, bytes: u64) -> u64;
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

/// What came of a request.
#[derive(Debug)]
pub enum Answer {
    /// The bytes may be used.
    Granted,
    /// The bell rings when there is an answer: see [`Allowance::poll`].
    Waiting,
    /// The request is refused, and why.
    Refused(String),
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

    /// Adds somebody who is asked for memory before a task has to wait for it; asked in the order they were added.
    pub fn add_spare(&self, spare: Weak<dyn Reclaim>) {
        self.spare.write().unwrap_or_else(PoisonError::into_inner).push(spare);
    }

    /// How many bytes are missing for the waiting task that needs the fewest; 0 while nobody waits.
    pub fn shortfall(&self) -> u64 {
        if self.waiting_count.load(Ordering::SeqCst) == 0 {
            return 0;
        }
        let state = self.lock();
        let missing = |waiter: &Waiter| state.used.saturating_add(waiter.bytes).saturating_sub(self.limit);
        state.waiting.iter().map(missing).min().unwrap_or(0)
    }

    /// Asks those with memory to spare for what a waiting task needs, if one waits.
    pub fn relieve(&self) {
        let missing = self.shortfall();
        if missing > 0 {
            self.reclaim(missing);
        }
    }

    /// Takes bytes for something that is no task's, or says why not. Never waits: nobody would be told.
    pub fn take(self: &Arc<Self>, bytes: u64) -> Result<Charge, String> {
        let mut charge = Charge { budget: Arc::clone(self), bytes: 0 };
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

    /// Asks those with memory to spare for what is missing.
    fn reclaim(&self, bytes: u64) {
        let spare: Vec<Arc<dyn Reclaim>> =
            self.spare.read().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect();
        let mut missing = bytes;
        for holder in spare {
            if missing == 0 {
                return;
            }
            missing = missing.saturating_sub(holder.reclaim(missing));
        }
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
        party.jobs.fetch_add(count, Ordering::SeqCst);
    }

    /// Counts tasks whose wait is over, after whatever followed from that was given to the pool.
    pub fn backing_off_ended(&self, party: &Party, count: usize) {
        party.jobs.fetch_sub(count, Ordering::SeqCst);
        if self.waiting_count.load(Ordering::SeqCst) > 0 {
            self.settle(&mut self.lock());
        }
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
        Charge { budget: Arc::clone(self), bytes }
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
        let mut granted = Vec::new();
        let mut used = state.used;
        state.waiting.retain(|waiter| {
            let fits = used.saturating_add(waiter.bytes) <= self.limit;
            if fits {
                used += waiter.bytes;
                granted.push((Arc::clone(&waiter.answer), Arc::clone(&waiter.bell)));
            }
            !fits
        });
        state.used = used;
        let any_granted = !granted.is_empty();
        for (answer, bell) in granted {
            *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(Ok(()));
            bell.ring();
        }
        if !any_granted
            && is_stuck(state)
            && let Some(last) = state.waiting.pop()
        {
            let message = stuck_message(last.bytes, last.held, state.used, self.limit);
            *last.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(Err(message));
            last.bell.ring();
        }
        self.waiting_count.store(state.waiting.len(), Ordering::SeqCst);
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

fn never_message(bytes: u64, held: u64, limit: u64) -> String {
    format!(
        "the task needs {} of shared memory for its outputs, and the budget for all blocks is {} ([blocks] memory_budget_bytes)",
        in_words(bytes.saturating_add(held)),
        in_words(limit)
    )
}

fn stuck_message(bytes: u64, held: u64, used: u64, limit: u64) -> String {
    format!(
        "the task needs {} more shared memory beside the {} it holds; {} of the budget of {} are in use ([blocks] memory_budget_bytes), \
         and every other running task waits for memory too, so none of it will be freed",
        in_words(bytes),
        in_words(held),
        in_words(used),
        in_words(limit)
    )
}

/// Writes a number of bytes so that a person can read it.
pub fn in_words(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    for (unit, size) in UNITS {
        if bytes >= size {
            let tenths = u128::from(bytes) * 10 / u128::from(size);
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes} bytes")
}

/// Bytes of one live block; dropping it gives them back.
#[derive(Debug)]
pub struct Charge {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Charge {
    /// Takes more bytes for the same block, or says why not.
    pub fn grow(&mut self, bytes: u64) -> Result<(), String> {
        let budget = &self.budget;
        for is_last_try in [false, true] {
            let mut state = budget.lock();
            let wanted = state.used.saturating_add(bytes);
            if wanted <= budget.limit {
                state.used = wanted;
                self.bytes += bytes;
                return Ok(());
            }
            let used = state.used;
            drop(state);
            if is_last_try {
                return Err(format!(
                    "{} more are needed beside the {} that are there; {} of the budget of {} for all datasets are in use ([blocks] memory_budget_bytes)",
                    in_words(bytes),
                    in_words(self.bytes),
                    in_words(used),
                    in_words(budget.limit)
                ));
            }
            budget.reclaim(wanted - budget.limit);
        }
        Ok(())
    }
}

impl Charge {
    /// How many bytes it is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives some of the bytes back.
    pub fn shrink(&mut self, bytes: u64) {
        let back = bytes.min(self.bytes);
        self.bytes -= back;
        self.budget.give_back(back, 0);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes, 1);
    }
}

/// What one attempt at a task was granted; dropping it gives back what did not become blocks.
#[derive(Debug)]
pub struct Allowance {
    budget: Arc<Budget>,
    party: Arc<Party>,
    bell: Arc<Bell>,
    held: u64,
    pending: Option<Pending>,
    was_refused: bool,
}

#[derive(Debug)]
struct Pending {
    ticket: u64,
    bytes: u64,
    answer: Arc<Mutex<Option<Result<(), String>>>>,
}

impl Allowance {
    /// Starts with nothing. The bell is rung when a request that waits is answered.
    pub fn new(budget: Arc<Budget>, party: Arc<Party>, bell: Arc<Bell>) -> Allowance {
        Allowance { budget, party, bell, held: 0, pending: None, was_refused: false }
    }

    /// Says whether a request waits for its answer.
    pub fn is_waiting(&self) -> bool {
        self.pending.is_some()
    }

    /// Says whether any request was refused.
    pub fn was_refused(&self) -> bool {
        self.was_refused
    }

    /// Asks for bytes on top of what is held.
    pub fn request(&mut self, bytes: u64) -> Answer {
        let answer = self.decide(bytes);
        self.was_refused |= matches!(answer, Answer::Refused(_));
        answer
    }

    fn decide(&mut self, bytes: u64) -> Answer {
        let limit = self.budget.limit;
        if self.pending.is_some() {
            return Answer::Refused("the task asked for memory while an earlier request was waiting".to_owned());
        }
        if bytes.saturating_add(self.held) > limit {
            return Answer::Refused(never_message(bytes, self.held, limit));
        }
        let mut state = self.budget.lock();
        if state.used.saturating_add(bytes) > limit {
            let missing = state.used.saturating_add(bytes) - limit;
            drop(state);
            self.budget.reclaim(missing);
            state = self.budget.lock();
        }
        if state.used.saturating_add(bytes) <= limit {
            state.used += bytes;
            self.held += bytes;
            return Answer::Granted;
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let answer = Arc::new(Mutex::new(None));
        state.waiting.push(Waiter {
            ticket,
            bytes,
            held: self.held,
            party: Arc::clone(&self.party),
            bell: Arc::clone(&self.bell),
            answer: Arc::clone(&answer),
        });
        self.pending = Some(Pending { ticket, bytes, answer });
        self.budget.settle(&mut state);
        drop(state);
        // This very request may have been the one too many.
        self.poll().unwrap_or(Answer::Waiting)
    }

    /// Looks whether the waiting request was answered; nothing if there is none or it still waits.
    pub fn poll(&mut self) -> Option<Answer> {
        let pending = self.pending.as_ref()?;
        let answer = pending.answer.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let bytes = pending.bytes;
        self.pending = None;
        Some(match answer {
            Ok(()) => {
                self.held += bytes;
                Answer::Granted
            }
            Err(message) => {
                self.was_refused = true;
                Answer::Refused(message)
            }
        })
    }

    /// Takes a request back that waits; says whether there was one.
    pub fn withdraw(&mut self) -> bool {
        let Some(pending) = self.pending.take() else { return false };
        let mut state = self.budget.lock();
        state.waiting.retain(|waiter| waiter.ticket != pending.ticket);
        self.budget.waiting_count.store(state.waiting.len(), Ordering::SeqCst);
        drop(state);
        // It may have been granted between the last look and now; then it is given back with the rest.
        if let Some(Ok(())) = pending.answer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.held += pending.bytes;
        }
        true
    }

    /// Turns held bytes into the charge of a finished block; bytes beyond what is held are charged on top.
    pub fn settle_block(&mut self, bytes: u64) -> Charge {
        let from_held = self.held.min(bytes);
        self.held -= from_held;
        let mut state = self.budget.lock();
        state.used = state.used.saturating_add(bytes - from_held);
        state.blocks += 1;
        Charge { budget: Arc::clone(&self.budget), bytes }
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        self.withdraw();
        if self.held > 0 {
            self.budget.give_back(self.held, 0);
        }
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
