//! What one attempt at a task is granted: it asks, waits, is answered, and gives back what did not become blocks.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use super::words::never_message;
use super::{Budget, Charge, Party, Waiter};
use crate::server::pool::Bell;

/// What one attempt at a task was granted; dropping it gives back what did not become blocks.
#[derive(Debug)]
pub struct Allowance {
    budget: Arc<Budget>,
    party: Arc<Party>,
    pub(super) bell: Arc<Bell>,
    pub(super) held: u64,
    pending: Option<Pending>,
    was_refused: bool,
}

#[derive(Debug)]
struct Pending {
    ticket: u64,
    bytes: u64,
    answer: Arc<Mutex<Option<Result<(), String>>>>,
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
        Charge::counted(&self.budget, bytes)
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
