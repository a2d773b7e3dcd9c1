//! Many ends of tasks under one lock.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use engine::action::Action;
use engine::event::Event;
use engine::failure::Failure;
use engine::id::{Attempt, DatasetId, TaskId};

use smallvec::SmallVec;

use super::{Held, Keep, Run, State, TasksMax};
use crate::block::Block;
use crate::server::pool::{Job, Local};
use crate::server::runs::gauge;

/// What a task made: a block for each of its datasets, and on whose account it is. Most make one.
pub type Made = SmallVec<[(DatasetId, Block, Keep); 1]>;

/// Lists that have grown longer are given back: the step that cancels a large run tells of every node.
const SPARE_MAX: usize = 4_096;

/// Memory for the next step.
#[derive(Default)]
struct Spare {
    actions: Vec<Action>,
    released: Vec<Held>,
}

thread_local! {
    /// A driver's: empty lists that have grown as long as it needs them.
    static SPARE: Cell<Spare> = Cell::default();
}

/// Small blocks are charged in steps of so many bytes.
const SMALL_STEP_BYTES: u64 = 1 << 20;

/// How an attempt ended.
#[derive(Debug)]
pub struct Ending {
    /// The task.
    pub task: TaskId,
    /// The attempt that was dispatched.
    pub attempt: Attempt,
    /// What it made, or why it failed.
    pub result: Result<Made, Box<Failure>>,
}

impl Run {
    /// Tells the engine of attempts that have ended, in order, and then that the worker begins with the `next`. Says whether that
    /// one may begin. As those that ended are, so many may be `ahead` of each worker: the shorter they are, the more of them may be in
    /// the pool at a time.
    pub fn settle(
        self: &Arc<Run>,
        endings: impl Iterator<Item = Ending>,
        next: Option<(TaskId, Attempt)>,
        ahead: u32,
        worker: u32,
        driver: &Local<Job>,
    ) -> bool {
        let Spare { mut actions, mut released } = SPARE.take();
        // Dropped when the lock is let go: memory may take a while to be given back.
        let (mut unwanted, mut replaced) = (Vec::new(), Vec::new());
        let mut begins = false;
        let waited = {
            let mut state = self.lock();
            let now = self.services.clock.now();
            let now_us = self.services.clock.unix_us(now);
            let mut gauge = self.gauge.lock();
            if let Some(TasksMax { few, many, workers }) = self.tasks_max {
                // Twice: those in the rings, and those that will follow them.
                state.engine.set_tasks_max(ahead.saturating_mul(2).saturating_mul(workers).clamp(few, many));
            }
            for Ending { task, attempt, result } in endings {
                let event = match result {
                    Ok(made) => {
                        // Before the engine lets anybody read it, and only if it still wants it.
                        if state.engine.is_live(task, attempt) {
                            for (dataset, block, keep) in made {
                                replaced.extend(self.hold_since(dataset, block, keep, now_us, &mut gauge));
                            }
                        } else {
                            unwanted.push(made);
                        }
                        Event::Finished { task, attempt, worker }
                    }
                    Err(failure) => Event::Failed { task, attempt, worker, failure },
                };
                let before = actions.len();
                state.engine.on(event, now, &mut actions);
                self.release_now(before, &mut actions, &mut released, &mut gauge);
            }
            let small_bytes = gauge.small_bytes();
            drop(gauge);
            // Also what is asked back: the worker is at it.
            if let Some((task, attempt)) = next
                && state.engine.is_live(task, attempt)
            {
                begins = true;
                state.engine.on(Event::Started { task, attempt, worker }, now, &mut actions);
            }
            self.charge_small(&mut state, small_bytes);
            self.follow(&mut state, now, &actions)
        };
        released.clear();
        self.perform(&mut actions, waited, Some(driver));
        if actions.capacity() <= SPARE_MAX {
            SPARE.set(Spare { actions, released });
        }
        begins
    }

    /// The call that follows this one at once when it ends well, if there is one for certain: it may be sent ahead.
    pub fn follower(&self, task: TaskId) -> Option<(TaskId, Attempt)> {
        self.lock().engine.follower(task)
    }

    /// Notes that attempts are about to lie with a worker; says for each whether it may be sent.
    pub fn note_sent(&self, attempts: &[(TaskId, Attempt)]) -> Vec<bool> {
        let mut state = self.lock();
        attempts.iter().map(|(task, attempt)| state.engine.sent(*task, *attempt)).collect()
    }

    /// Tells the engine of attempts that were taken back from a worker, which has not begun with them; says for each whether it is
    /// still wanted, and so is the caller's to keep for another worker.
    pub fn taken_back(self: &Arc<Run>, attempts: &[(TaskId, Attempt)], driver: &Local<Job>) -> Vec<bool> {
        let (mut actions, mut released) = (Vec::new(), Vec::new());
        let (wanted, waited) = {
            let mut state = self.lock();
            let now = self.services.clock.now();
            for (task, attempt) in attempts {
                state.engine.on(Event::TakenBack { task: *task, attempt: *attempt }, now, &mut actions);
            }
            self.release_now(0, &mut actions, &mut released, &mut self.gauge.lock());
            let wanted = attempts.iter().map(|(task, attempt)| state.engine.is_wanted(*task, *attempt)).collect();
            (wanted, self.follow(&mut state, now, &actions))
        };
        drop(released);
        self.perform(&mut actions, waited, Some(driver));
        wanted
    }

    /// Lets go of blocks at once that the actions from `first` on release: many tasks end in one step, and what one of them was the last
    /// to read must not be there while the others make theirs; and when another thread's step ends the run, its report must not count them.
    /// They are given back when the lock is let go.
    pub(super) fn release_now(
        &self,
        first: usize,
        actions: &mut Vec<Action>,
        released: &mut Vec<Held>,
        gauge: &mut gauge::State,
    ) {
        let mut kept = first;
        for place in first..actions.len() {
            if let Action::Release { dataset } = actions[place]
                && self.take_held(dataset, released, gauge)
            {
                continue;
            }
            if kept < place {
                actions.swap(kept, place);
            }
            kept += 1;
        }
        actions.truncate(kept);
    }

    /// Charges the `live` bytes that small blocks take, if that has changed by more than a step.
    fn charge_small(&self, state: &mut State, live: u64) {
        let charged = state.small_charge.as_ref().map_or(0, |(charged, _)| *charged);
        if live > charged || live + 2 * SMALL_STEP_BYTES < charged {
            let wanted = live.next_multiple_of(SMALL_STEP_BYTES);
            state.small_charge = Some((wanted, self.services.budget.charge(wanted)));
        }
    }

    /// Whether an attempt that was dispatched may still begin.
    pub fn is_wanted(&self, task: TaskId, attempt: Attempt) -> bool {
        self.lock().engine.is_wanted(task, attempt)
    }

    /// Whether an attempt that has begun is to be stopped.
    pub fn is_to_stop(&self, task: TaskId, attempt: Attempt) -> bool {
        self.lock().engine.is_to_stop(task, attempt)
    }

    /// Whether some attempt was called off: then what waits somewhere may not be wanted any more.
    pub fn has_aborts(&self) -> bool {
        self.has_aborts.load(Ordering::SeqCst)
    }

    /// Some attempt is being called off.
    pub fn note_abort(&self) {
        self.has_aborts.store(true, Ordering::SeqCst);
    }
}
