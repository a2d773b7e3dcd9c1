//! The world around one run: workers with tempers, and a clock that jumps to wherever something happens next.

use std::sync::Arc;

use engine::action::{AbortReason, Action};
use engine::event::Event;
use engine::failure::{Failure, FailureKind};
use engine::id::{Attempt, NodeId, TaskId, Time};
use engine::plan::Plan;
use engine::policy::RunPolicy;
use engine::run::Run;

use super::Dice;
use super::watch::Watch;

/// How the world treats a run.
#[derive(Clone, Copy, Debug)]
pub struct Temper {
    pub seed: u64,
    /// How many of 100 attempts fail.
    pub failing: u32,
    /// How many of 100 attempts hang until they are aborted, where something will abort them.
    pub hanging: u32,
    /// How many of 100 attempts lie with a worker for a while before they begin.
    pub sending: u32,
    /// How many of 100 steps bring an event that makes no sense.
    pub noise: u32,
    /// After how many steps someone cancels.
    pub cancel_after: Option<u32>,
}

/// An attempt that was handed to a driver.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    pub task: TaskId,
    pub attempt: Attempt,
    pub sent: bool,
    /// Asked back from the worker it was sent to.
    pub recalled: bool,
    pub started: bool,
    pub aborted: bool,
    pub hangs: bool,
}

pub struct World {
    pub run: Run,
    pub watch: Watch,
    pub events: Vec<(Event, Time)>,
    pub actions: Vec<Action>,
    jobs: Vec<Job>,
    /// Calls that were sent ahead and are not dispatched.
    ahead: Vec<(TaskId, Attempt)>,
    now: Time,
    dice: Dice,
    temper: Temper,
    cancelled: bool,
}

impl World {
    pub fn new(plan: Arc<Plan>, policy: RunPolicy, temper: Temper) -> Self {
        Self {
            watch: Watch::new(plan.clone(), policy),
            run: Run::new(plan, policy),
            events: Vec::new(),
            actions: Vec::new(),
            jobs: Vec::new(),
            ahead: Vec::new(),
            now: Time(0),
            dice: Dice::new(temper.seed),
            temper,
            cancelled: false,
        }
    }

    /// Lets the run happen until it closes.
    pub fn play(&mut self) {
        if self.temper.noise > 50 {
            self.noise();
        }
        self.tell(Event::Start);
        let mut steps = 0;
        while self.run.state().is_none() {
            steps += 1;
            assert!(steps < 100_000, "the run does not end");
            if self.temper.cancel_after.is_some_and(|after| steps > after) && !self.cancelled {
                self.cancelled = true;
                self.tell(Event::Cancel { reason: "the world ends".to_owned() });
            } else if self.dice.chance(self.temper.noise) {
                self.noise();
            } else {
                self.step();
            }
        }
        // The dead stay dead, whatever one tells them.
        for _ in 0..4 {
            self.noise();
        }
        assert_eq!(self.run.next_deadline(), None);
    }

    /// One thing that makes sense: time passes, an attempt begins or ends.
    fn step(&mut self) {
        let may_go: Vec<usize> = (0..self.jobs.len())
            .filter(|&job| {
                let job = self.jobs[job];
                !(job.started && job.hangs && !job.aborted)
            })
            .collect();
        let deadline = self.run.next_deadline();
        if let Some(deadline) = deadline
            && (may_go.is_empty() || self.dice.chance(20))
        {
            // The clock may be late, never early.
            self.now = self.now.max(deadline);
            self.tell(Event::Tick);
            let next = self.run.next_deadline();
            assert!(next.is_none_or(|next| next > self.now), "a deadline that was answered is still asked for");
            return;
        }
        if !self.ahead.is_empty() && (may_go.is_empty() || self.dice.chance(20)) {
            let (task, attempt) = self.ahead.swap_remove(self.dice.below(self.ahead.len()));
            self.tell(Event::TakenBack { task, attempt });
            return;
        }
        let Some(&chosen) = may_go.get(self.dice.below(may_go.len())) else {
            let hanging = self.jobs.iter().position(|job| job.hangs);
            let hanging = hanging.unwrap_or_else(|| panic!("nothing can happen, and the run is open: {:?}", self.run));
            assert!(!self.watch.has_timeout(self.jobs[hanging].task), "it hangs, and its time-out never comes");
            // Nothing will ever abort it: such a hang ends when it ends.
            self.jobs[hanging].hangs = false;
            return;
        };
        self.now = self.now.after(self.dice.next() % 2_000_000);
        let Job { task, attempt, sent, recalled, started, aborted, .. } = self.jobs[chosen];
        let worker = self.dice.below(4) as u32;
        assert!(started || recalled || self.run.is_wanted(task, attempt), "a driver holds what nobody wants");
        assert!(self.run.is_live(task, attempt));
        if !started && !sent && self.dice.chance(self.temper.sending) {
            self.jobs[chosen].sent = true;
            self.tell(Event::Sent { task, attempt });
            return;
        }
        if !started && sent && self.dice.chance(if recalled { 50 } else { 10 }) {
            match recalled {
                true => drop(self.jobs.swap_remove(chosen)),
                false => self.jobs[chosen].sent = false,
            }
            self.tell(Event::TakenBack { task, attempt });
            return;
        }
        if self.dice.chance(self.temper.sending)
            && let Some((task, attempt)) = self.run.follower(task)
        {
            self.ahead.push((task, attempt));
            self.tell(Event::Sent { task, attempt });
            assert_eq!(self.run.follower(self.jobs[chosen].task).filter(|next| next.0 == task), None, "sent twice");
            return;
        }
        if !started && self.dice.chance(90) {
            self.jobs[chosen].started = true;
            self.tell(Event::Started { task, attempt, worker });
            return;
        }
        self.jobs.swap_remove(chosen);
        let fails = if aborted { 80 } else { self.temper.failing };
        if self.dice.chance(fails) {
            let failure = self.failure(aborted);
            self.tell(Event::Failed { task, attempt, worker, failure });
        } else {
            // Also without ever having told of the start: a driver may be that quick.
            self.tell(Event::Finished { task, attempt, worker });
        }
    }

    fn failure(&mut self, aborted: bool) -> Box<Failure> {
        let kinds = [
            FailureKind::Error,
            FailureKind::Panic,
            FailureKind::Signal { number: 11 },
            FailureKind::Exit { code: 0 },
            FailureKind::Budget,
        ];
        let kind = if aborted { FailureKind::Cancelled } else { kinds[self.dice.below(kinds.len())] };
        Box::new(Failure::new(kind, "the world is unkind"))
    }

    /// An event that fits nothing: unknown tasks, old attempts, ends of what never began, ticks out of time.
    fn noise(&mut self) {
        let worker = self.dice.below(4) as u32;
        let tasks = self.run.plan().task_count();
        let task = match self.dice.below(4) {
            0 => TaskId(u32::MAX - self.dice.below(2) as u32),
            1 => TaskId(tasks as u32),
            _ => TaskId(self.dice.below(tasks) as u32),
        };
        let attempt = Attempt([0, 1, 2, 7, u32::MAX][self.dice.below(5)]);
        if self.run.is_live(task, attempt) {
            return;
        }
        let failure = Box::new(Failure::new(FailureKind::Error, "noise"));
        if self.ahead.iter().any(|(ahead, _)| *ahead == task) {
            return;
        }
        let event = match self.dice.below(6) {
            0 => Event::Started { task, attempt, worker },
            1 => Event::Finished { task, attempt, worker },
            2 => Event::Failed { task, attempt, worker, failure },
            5 => Event::TakenBack { task, attempt },
            3 if self.run.next_deadline().is_none_or(|deadline| deadline > self.now) => Event::Tick,
            _ if !self.events.is_empty() => Event::Start,
            _ => return,
        };
        let closed = self.run.state().is_some();
        let before = self.actions.len();
        self.tell(event);
        let answer = &self.actions[before..];
        let stale = matches!(answer, [Action::Abort { reason: AbortReason::Stale, .. }]);
        assert!(answer.is_empty() || (stale && !closed), "noise was answered: {answer:?}");
    }

    fn tell(&mut self, event: Event) {
        let before = self.actions.len();
        let was_running = self.running_before();
        self.run.on(event.clone(), self.now, &mut self.actions);
        self.events.push((event.clone(), self.now));
        self.watch.saw(&event, was_running);
        self.see_ahead();
        for position in before..self.actions.len() {
            let action = self.actions[position].clone();
            self.watch.must_allow(&action, &self.run);
            self.carry_out(&action);
        }
        self.watch.after_step(&self.run);
        assert_eq!(self.jobs.len(), self.watch.live(), "every live attempt is with a driver");
    }

    /// What was sent ahead and is dispatched by now is a job like any other; what was given up is none.
    fn see_ahead(&mut self) {
        let dispatched: Vec<_> =
            self.ahead.iter().copied().filter(|(task, attempt)| self.run.is_live(*task, *attempt)).collect();
        for (task, attempt) in dispatched {
            self.watch.saw_ahead_dispatched(task, attempt);
            let hangs = self.dice.chance(self.temper.hanging);
            self.jobs.push(Job { task, attempt, sent: true, recalled: false, started: false, aborted: false, hangs });
        }
        let run = &self.run;
        self.ahead.retain(|(task, attempt)| {
            let is_open = run.node_state(NodeId(task.0)).is_some_and(|state| !state.is_final());
            is_open && !run.is_live(*task, *attempt)
        });
        self.watch.ahead = self.ahead.len();
    }

    /// The attempts that were live before the event: only their ends count.
    fn running_before(&self) -> Vec<(TaskId, Attempt)> {
        let ended = self.watch.live_attempts();
        ended.collect()
    }

    fn carry_out(&mut self, action: &Action) {
        match *action {
            Action::Dispatch { task, attempt } => {
                let hangs = self.dice.chance(self.temper.hanging);
                let (sent, recalled, started, aborted) = (false, false, false, false);
                self.jobs.push(Job { task, attempt, sent, recalled, started, aborted, hangs });
            }
            Action::Abort { task, attempt, reason } => {
                let found = self.jobs.iter().position(|job| (job.task, job.attempt) == (task, attempt));
                match found {
                    Some(job) if self.jobs[job].started => {
                        assert!(!self.jobs[job].aborted, "aborted twice");
                        self.jobs[job].aborted = true;
                    }
                    Some(job) if self.jobs[job].sent => self.jobs[job].recalled = true,
                    Some(job) => drop(self.jobs.swap_remove(job)),
                    None => assert_eq!(reason, AbortReason::Stale),
                }
            }
            Action::Release { .. } | Action::Emit(_) | Action::Close { .. } => {}
        }
    }
}
