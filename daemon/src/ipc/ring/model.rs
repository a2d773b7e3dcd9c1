//! The protocol under a model checker: every order in which two sides can run, as far as it matters, with all that the memory
//! model lets them see.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::Ordering;

use loom::sync::atomic::{AtomicU32, AtomicU64, fence};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::indices::{Control, DriverEnd, Word, WorkerEnd};

impl Word for AtomicU32 {
    fn load(&self, order: Ordering) -> u32 {
        AtomicU32::load(self, order)
    }
    fn store(&self, value: u32, order: Ordering) {
        AtomicU32::store(self, value, order);
    }
    fn replace(&self, current: u32, new: u32) -> bool {
        self.compare_exchange(current, new, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    }
    fn fence() {
        fence(Ordering::SeqCst);
    }
}

/// Rings of two slots, a futex, and an eventfd: what the protocol needs around it.
#[derive(Default)]
struct World {
    control: Control<AtomicU32>,
    tasks: [AtomicU64; 4],
    answers: [AtomicU64; 4],
    kernel: Mutex<bool>,
    woken: Condvar,
    bell: Mutex<bool>,
    rung: Condvar,
}

impl World {
    /// A futex: sleeps only while the word is still 1, looked at under the kernel's lock.
    fn futex_wait(&self, word: &AtomicU32) {
        let mut woken = self.kernel.lock().unwrap();
        while word.load(Ordering::SeqCst) == 1 && !*woken {
            woken = self.woken.wait(woken).unwrap();
        }
        *woken = false;
    }

    fn futex_wake(&self) {
        *self.kernel.lock().unwrap() = true;
        self.woken.notify_one();
    }

    /// An eventfd: rings melt into one, and are remembered.
    fn ring(&self) {
        *self.bell.lock().unwrap() = true;
        self.rung.notify_one();
    }

    fn wait_for_bell(&self) {
        let mut bell = self.bell.lock().unwrap();
        while !*bell {
            bell = self.rung.wait(bell).unwrap();
        }
        *bell = false;
    }

    fn push(&self, end: &mut DriverEnd, task: u64) {
        let index = end.room(Some(0)).unwrap();
        self.tasks[index as usize].store(task, Ordering::Relaxed);
        end.push();
        if end.publish(&self.control) {
            self.futex_wake();
        }
    }

    fn take(&self, end: &WorkerEnd) -> Option<u64> {
        let index = end.take(&self.control)?;
        Some(self.tasks[index as usize].load(Ordering::Relaxed))
    }

    /// What a worker gets that looks twice and never sleeps.
    fn take_two(&self) -> Vec<u64> {
        let end = WorkerEnd::default();
        [self.take(&end), self.take(&end)].into_iter().flatten().collect()
    }

    /// What nobody has taken by then.
    fn take_rest(&self) -> Vec<u64> {
        let end = WorkerEnd::default();
        std::iter::from_fn(|| self.take(&end)).collect()
    }

    fn answer(&self, end: &mut WorkerEnd, task: u64) {
        self.answers[end.next_answer() as usize].store(task, Ordering::Relaxed);
        if end.answer(&self.control) {
            self.ring();
        }
    }

    /// Runs tasks until it has met the number 0.
    fn work(&self) -> Vec<u64> {
        let (mut end, mut seen) = (WorkerEnd::default(), Vec::new());
        loop {
            match self.take(&end) {
                Some(task) => {
                    seen.push(task);
                    self.answer(&mut end, task);
                    if task == 0 {
                        return seen;
                    }
                }
                None => {
                    if let Some(bed) = end.lie_down(&self.control) {
                        self.futex_wait(bed);
                        end.get_up(&self.control);
                    }
                }
            }
        }
    }

    /// Sleeps until so many answers are there; takes them.
    fn await_answers(&self, end: &mut DriverEnd, count: u32) -> Vec<u64> {
        while end.lie_down(&self.control, count).unwrap() {
            self.wait_for_bell();
            end.get_up(&self.control);
        }
        let take = |_| {
            let answer = self.answers[end.next_answer() as usize].load(Ordering::Relaxed);
            end.answer_taken();
            answer
        };
        (0..count).map(take).collect()
    }
}

fn model(body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    // More switches at points where nobody had to wait find nothing new, and cost minutes.
    builder.preemption_bound = Some(3);
    builder.check(body);
}

#[test]
fn no_wake_up_is_lost_in_either_direction() {
    model(|| {
        let world = Arc::new(World::default());
        let theirs = Arc::clone(&world);
        let worker = thread::spawn(move || theirs.work());
        let mut end = DriverEnd::default();
        world.push(&mut end, 5);
        assert_eq!(world.await_answers(&mut end, 1), [5]);
        world.push(&mut end, 0);
        assert_eq!(world.await_answers(&mut end, 1), [0]);
        assert_eq!(worker.join().unwrap(), [5, 0]);
    });
}

#[test]
fn a_driver_that_waits_for_two_answers_is_woken() {
    model(|| {
        let world = Arc::new(World::default());
        let theirs = Arc::clone(&world);
        let worker = thread::spawn(move || theirs.work());
        let mut end = DriverEnd::default();
        world.push(&mut end, 5);
        world.push(&mut end, 0);
        assert_eq!(world.await_answers(&mut end, 2), [5, 0]);
        assert_eq!(worker.join().unwrap(), [5, 0]);
    });
}

#[test]
fn each_task_is_run_or_taken_back_and_never_both() {
    model(|| {
        let world = Arc::new(World::default());
        let mut end = DriverEnd::default();
        world.push(&mut end, 5);
        world.push(&mut end, 6);
        let theirs = Arc::clone(&world);
        let worker = thread::spawn(move || theirs.take_two());
        let mut back = Vec::new();
        while let Some(index) = end.take_back(&world.control).unwrap() {
            back.push(world.tasks[index as usize].load(Ordering::Relaxed));
        }
        let mut all = worker.join().unwrap();
        // What neither of them has is still there to be taken.
        all.extend(world.take_rest());
        all.extend(back);
        all.sort_unstable();
        assert_eq!(all, [5, 6]);
    });
}

#[test]
fn a_slot_that_was_taken_back_and_used_again_is_read_whole() {
    model(|| {
        let world = Arc::new(World::default());
        let mut end = DriverEnd::default();
        world.push(&mut end, 5);
        world.push(&mut end, 6);
        let theirs = Arc::clone(&world);
        let worker = thread::spawn(move || theirs.take_two());
        let taken_back = end.take_back(&world.control).unwrap().is_some();
        if taken_back {
            world.push(&mut end, 7);
        }
        let mut all = worker.join().unwrap();
        all.extend(world.take_rest());
        assert_eq!(all, if taken_back { [5, 7] } else { [5, 6] });
    });
}
