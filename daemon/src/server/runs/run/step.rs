//! What happens to a run: the engine hears of it under the run's lock, and what follows is done after it was let go.
#![forbid(unsafe_code)]

use std::sync::{Arc, Weak};

use engine::action::{Action, Happening};
use engine::event::Event;
use engine::id::{Attempt, TaskId, Time};

use super::{Run, State};
use crate::server::clock::Sleeper;
use crate::server::logging;
use crate::server::perform::perform;
use crate::server::pool::{Job, Local};

impl Run {
    /// Asks whether an attempt may still begin, and tells the engine that it does. One that is asked back from the worker it was
    /// sent to may, too: the engine waits to be told.
    pub fn begin(self: &Arc<Run>, task: TaskId, attempt: Attempt, worker: u32, driver: &Local<Job>) -> bool {
        let mut actions = Vec::new();
        let waited = {
            let mut state = self.lock();
            if !state.engine.is_live(task, attempt) {
                return false;
            }
            self.step_locked(&mut state, Event::Started { task, attempt, worker }, &mut actions)
        };
        self.perform(&mut actions, waited, Some(driver));
        true
    }

    /// Asks it to stop; if it is not admitted yet, it stops when it is.
    pub fn cancel(self: &Arc<Run>, reason: String) {
        if let Some(reason) = self.gate.pass(reason) {
            self.step(Event::Cancel { reason }, None);
        }
    }

    /// To be called once, when the usher has opened it or was asked to.
    pub fn admit(self: &Arc<Run>) {
        let kept = self.gate.open();
        if let Some(reason) = kept.cancellation {
            self.step(Event::Cancel { reason }, None);
        }
        if kept.end {
            self.services.usher.close(self);
        }
    }

    /// Has the usher close it: the engine is done with it.
    pub fn close(self: &Arc<Run>) {
        if self.gate.pass_end() {
            self.services.usher.close(self);
        }
    }

    /// Tells the engine of an event and does what follows from it.
    pub fn step(self: &Arc<Run>, event: Event, driver: Option<&Local<Job>>) {
        let (mut actions, mut released) = (Vec::new(), Vec::new());
        let waited = {
            let mut state = self.lock();
            let waited = self.step_locked(&mut state, event, &mut actions);
            self.release_now(0, &mut actions, &mut released, &mut self.gauge.lock());
            waited
        };
        drop(released);
        self.perform(&mut actions, waited, driver);
    }

    /// Does what follows from a step after which `waited` tasks fewer wait for their next attempt.
    pub(super) fn perform(self: &Arc<Run>, actions: &mut Vec<Action>, waited: u32, driver: Option<&Local<Job>>) {
        perform(self, actions, driver);
        if waited > 0 {
            self.generation.pool.backing_off_ended(waited as usize);
        }
    }

    /// Gives how many tasks fewer wait for their next attempt now.
    fn step_locked(self: &Arc<Run>, state: &mut State, event: Event, actions: &mut Vec<Action>) -> u32 {
        let now = self.services.clock.now();
        let is_start = matches!(event, Event::Start);
        state.engine.on(event, now, actions);
        if is_start && state.started.is_none() {
            state.started = Some(now);
        }
        self.follow(state, now, actions)
    }

    /// Does what is to be done with the actions of a step while the lock is held. Gives how many tasks fewer wait for their next
    /// attempt now.
    pub(super) fn follow(self: &Arc<Run>, state: &mut State, now: Time, actions: &[Action]) -> u32 {
        let tells_nodes = logging::tells_nodes();
        let mut finished = Vec::new();
        let mut batch = self.feed.batch(self.services.clock.unix_us(now));
        for action in actions {
            match action {
                // Its end is told when the hooks have seen it: `usher`.
                Action::Emit(Happening::RunFinished { .. }) => state.finished = Some(now),
                Action::Emit(
                    happening @ (Happening::NodeStarted { .. }
                    | Happening::NodeFinished { .. }
                    | Happening::DatasetReleased { .. }),
                ) if !tells_nodes => {
                    if let Happening::NodeFinished { node, .. } = happening {
                        finished.push(node.0);
                    }
                    batch.add_later(happening.clone());
                }
                Action::Emit(happening) => {
                    if let Some(kind) = self.event_of(state, happening, now) {
                        logging::event_of_run(&self.id, &kind);
                        batch.add(kind);
                    }
                }
                _ => {}
            }
        }
        drop(batch);
        self.note_finished(&finished);
        // One alarm at a time is enough: when it goes off, the engine is asked again.
        if let Some(deadline) = state.engine.next_deadline()
            && state.armed.is_none_or(|armed| deadline < armed || armed <= now)
        {
            state.armed = Some(deadline);
            let sleeper: Weak<dyn Sleeper> = Arc::downgrade(&(Arc::clone(self) as Arc<dyn Sleeper>));
            self.services.alarm.arm(deadline, sleeper);
        }
        let before = std::mem::replace(&mut state.backing_off, state.engine.backing_off());
        if state.backing_off > before {
            self.generation.pool.backing_off_added((state.backing_off - before) as usize);
        }
        before.saturating_sub(state.backing_off)
    }
}

impl Sleeper for Run {
    fn wake(self: Arc<Self>) {
        self.step(Event::Tick, None);
    }
}
