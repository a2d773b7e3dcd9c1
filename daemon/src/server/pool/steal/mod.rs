//! Work stealing: where jobs wait and how a driver finds the next one.
//!
//! Two deques a driver, one injector for all, and a list of sleepers. A driver looks in a fixed order: its own deques, the
//! injector, its neighbours; only then does it sleep. `README.md` beside this file argues why no wake-up is lost.
//!
//! A driver takes from its own deques first in, first out, like everybody else: a run has only a few jobs in the pool at a
//! time (`runs`), so those of several runs take turns, and a job's inputs are still warm when its turn comes. Only what finishes
//! something that was begun has a deque of its own and goes before the rest: a node is over when its outputs are saved, and
//! they take memory until then.
//!
//! Jobs are stolen one at a time: a steal costs some ten nanoseconds. What a driver sent ahead to its worker it takes back when
//! another driver asks for it, which that one does before it sleeps (`slot`).
#![forbid(unsafe_code)]

mod sleep;

use crossbeam_deque::{Injector, Steal, Stealer, Worker};

use sleep::Sleepers;

/// After so many jobs from its own deques a driver looks at the injector first, so that a run whose nodes keep freeing
/// successors cannot keep other runs out.
const OWN_JOBS_IN_A_ROW_MAX: u32 = 16;

/// The queues that all drivers of a pool share.
#[derive(Debug)]
pub struct Queues<J> {
    injector: Injector<J>,
    stealers: Box<[Stealers<J>]>,
    sleepers: Sleepers,
    goes_first: fn(&J) -> bool,
}

/// What others may take from a driver.
#[derive(Debug)]
struct Stealers<J> {
    first: Stealer<J>,
    others: Stealer<J>,
}

/// One driver's side of the queues.
#[derive(Debug)]
pub struct Local<J> {
    index: usize,
    first: Worker<J>,
    others: Worker<J>,
    own_in_a_row: u32,
}

/// What a driver that found nothing may do next.
#[derive(Debug)]
pub enum Rest<J> {
    /// Something was there after all.
    Job(J),
    /// Nothing to do: the caller waits until it is woken, and then calls [`Queues::woken`], or [`Queues::leave`].
    Sleep,
}

impl<J> Queues<J> {
    /// Makes the queues for `drivers` drivers. `wake` is called with the index of a sleeper that shall look again; `goes_first` says
    /// which of a driver's own jobs go before the others.
    pub fn new(
        drivers: usize,
        wake: impl Fn(usize) + Send + Sync + 'static,
        goes_first: fn(&J) -> bool,
    ) -> (Queues<J>, Vec<Local<J>>) {
        let local = |index| Local { index, first: Worker::new_fifo(), others: Worker::new_fifo(), own_in_a_row: 0 };
        let locals: Vec<Local<J>> = (0..drivers).map(local).collect();
        let stealers = locals.iter().map(Local::stealers).collect();
        let sleepers = Sleepers::new(Box::new(wake));
        (Queues { injector: Injector::new(), stealers, sleepers, goes_first }, locals)
    }

    /// Adds jobs from outside the pool, first come first served; wakes as many sleepers as there are jobs.
    pub fn inject(&self, jobs: impl IntoIterator<Item = J>) {
        let mut count = 0;
        for job in jobs {
            self.injector.push(job);
            count += 1;
        }
        self.sleepers.wake(count);
    }

    /// The same for so little work that one driver is woken for all of it.
    pub fn inject_for_one(&self, jobs: impl IntoIterator<Item = J>) {
        jobs.into_iter().for_each(|job| self.injector.push(job));
        self.sleepers.wake(1);
    }

    /// Adds jobs that a driver just made ready: to its own deques, their inputs are warm there.
    pub fn push_own(&self, local: &Local<J>, jobs: impl IntoIterator<Item = J>) {
        let count = self.push(local, jobs);
        // The driver itself takes one of them: waking another for it would only make two run for one job.
        self.sleepers.wake(count.saturating_sub(1));
    }

    /// The same for so little work that nobody is woken for it.
    pub fn push_quietly(&self, local: &Local<J>, jobs: impl IntoIterator<Item = J>) {
        self.push(local, jobs);
    }

    /// Adds jobs that a driver had taken and cannot get to: to its own deques, for others to steal.
    pub fn give_back(&self, local: &Local<J>, jobs: impl IntoIterator<Item = J>) {
        let count = self.push(local, jobs);
        self.sleepers.wake(count);
    }

    /// Wakes a sleeper if a queue holds a job.
    pub fn wake_for_work(&self) {
        if self.sleepers.any() && self.has_work() {
            self.sleepers.wake(1);
        }
    }

    /// Wakes a sleeper for each job that a queue holds.
    pub fn wake_for_all(&self) {
        if self.sleepers.any() {
            self.sleepers.wake(self.waiting());
        }
    }

    /// Whether a driver sleeps, or is about to.
    pub fn anybody_sleeps(&self) -> bool {
        self.sleepers.any()
    }

    /// Whether a driver that has `taken` so many jobs may take one more, as those who are being woken will find as many for each of them.
    pub fn leaves_enough(&self, taken: usize) -> bool {
        let waking = self.sleepers.waking();
        waking == 0 || taken.saturating_mul(waking) < self.waiting()
    }

    /// Looks for a job in the fixed order: own, injector, neighbours.
    pub fn find(&self, local: &mut Local<J>) -> Option<J> {
        if local.own_in_a_row < OWN_JOBS_IN_A_ROW_MAX
            && let Some(job) = local.pop()
        {
            local.own_in_a_row += 1;
            return Some(job);
        }
        local.own_in_a_row = 0;
        until_settled(|| self.injector.steal()).or_else(|| local.pop()).or_else(|| self.steal_from_neighbours(local))
    }

    /// Only a driver's own jobs that go before all others.
    pub fn find_first(&self, local: &Local<J>) -> Option<J> {
        local.first.pop()
    }

    /// Declares that a driver found nothing, then looks once more: see the README for why in this order.
    pub fn rest(&self, local: &mut Local<J>) -> Rest<J> {
        self.sleepers.add(local.index);
        match self.find(local) {
            Some(job) => {
                self.leave(local);
                Rest::Job(job)
            }
            None => Rest::Sleep,
        }
    }

    /// Declares that a driver is awake, and gives the job that it was woken for, if it is still there. Only what is left then is a
    /// reason to wake a further sleeper, if so many beside this one are worth it: to wake one for nothing takes as long as many a job.
    pub fn woken(&self, local: &mut Local<J>, is_worth_waking_for: impl FnOnce(&J, usize) -> bool) -> Option<J> {
        let job = self.find(local);
        self.sleepers.remove(local.index);
        if self.has_work() && job.as_ref().is_none_or(|job| is_worth_waking_for(job, self.waiting())) {
            self.sleepers.wake(1);
        }
        job
    }

    /// Declares that a driver is awake and takes nothing now. It may have used up a wake-up meant for a job that it is not going to
    /// take (it found another, or is not ready), so a further sleeper is woken if there is work in sight.
    pub fn leave(&self, local: &Local<J>) {
        self.sleepers.remove(local.index);
        if self.has_work() {
            self.sleepers.wake(1);
        }
    }

    /// Says whether any queue holds a job right now.
    pub fn has_work(&self) -> bool {
        !self.injector.is_empty() || self.stealers.iter().any(|driver| !driver.is_empty())
    }

    /// How many jobs wait, about.
    pub fn waiting(&self) -> usize {
        self.injector.len() + self.stealers.iter().map(Stealers::len).sum::<usize>()
    }

    fn steal_from_neighbours(&self, local: &Local<J>) -> Option<J> {
        let count = self.stealers.len();
        // Each driver starts with its next neighbour, so that thieves do not all call at the same door.
        (1..count).find_map(|step| self.stealers[(local.index + step) % count].steal())
    }

    /// Says how many there were.
    fn push(&self, local: &Local<J>, jobs: impl IntoIterator<Item = J>) -> usize {
        let mut count = 0;
        for job in jobs {
            let queue = if (self.goes_first)(&job) { &local.first } else { &local.others };
            queue.push(job);
            count += 1;
        }
        count
    }
}

impl<J> Local<J> {
    fn pop(&self) -> Option<J> {
        self.first.pop().or_else(|| self.others.pop())
    }

    fn stealers(&self) -> Stealers<J> {
        Stealers { first: self.first.stealer(), others: self.others.stealer() }
    }
}

impl<J> Stealers<J> {
    fn steal(&self) -> Option<J> {
        until_settled(|| self.first.steal()).or_else(|| until_settled(|| self.others.steal()))
    }

    fn is_empty(&self) -> bool {
        self.first.is_empty() && self.others.is_empty()
    }

    fn len(&self) -> usize {
        self.first.len() + self.others.len()
    }
}

/// Repeats a steal until it either gave a job or found nothing: `Retry` means somebody else was faster.
fn until_settled<J>(mut steal: impl FnMut() -> Steal<J>) -> Option<J> {
    loop {
        match steal() {
            Steal::Success(job) => return Some(job),
            Steal::Empty => return None,
            Steal::Retry => std::hint::spin_loop(),
        }
    }
}

#[cfg(test)]
mod tests;
