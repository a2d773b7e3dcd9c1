#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::{Local, Queues, Rest};

/// As if no job finished anything.
fn never<J>(_: &J) -> bool {
    false
}

#[test]
fn own_before_injector_before_neighbours() {
    let (queues, mut locals) = Queues::new(2, |_| {}, never);
    queues.push_own(&locals[1], ["neighbour"]);
    queues.inject(["shared"]);
    queues.push_own(&locals[0], ["first", "second"]);
    let found: Vec<_> = std::iter::from_fn(|| queues.find(&mut locals[0])).collect();
    assert_eq!(found, ["first", "second", "shared", "neighbour"]);
}

#[test]
fn what_finishes_something_goes_first_and_is_stolen_first() {
    let (queues, mut locals) = Queues::new(2, |_| {}, |job: &&str| job.starts_with("save"));
    queues.push_own(&locals[0], ["call a", "call b", "save a", "save b"]);
    assert_eq!(queues.waiting(), 4);
    let found: Vec<_> = std::iter::from_fn(|| queues.find(&mut locals[0])).collect();
    assert_eq!(found, ["save a", "save b", "call a", "call b"]);
    assert!(!queues.has_work());
    queues.give_back(&locals[0], ["call a", "save a"]);
    let found: Vec<_> = std::iter::from_fn(|| queues.find(&mut locals[1])).collect();
    assert_eq!(found, ["save a", "call a"]);
    // Seen by those who look whether there is work, too.
    queues.push_quietly(&locals[0], ["save a"]);
    assert!(queues.has_work());
    assert!(matches!(queues.rest(&mut locals[1]), Rest::Job("save a")));
}

#[test]
fn a_long_chain_lets_others_in() {
    let (queues, mut locals) = Queues::new(1, |_| {}, never);
    queues.push_own(&locals[0], vec!["own"; 100]);
    queues.inject(["other run"]);
    let turn = std::iter::from_fn(|| queues.find(&mut locals[0])).position(|job| job == "other run");
    assert_eq!(turn, Some(16));
}

#[test]
fn only_as_many_are_woken_as_there_are_jobs() {
    let woken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&woken);
    let (queues, mut locals) = Queues::new(
        4,
        move |_| {
            count.fetch_add(1, Ordering::SeqCst);
        },
        never,
    );
    for local in &mut locals[1..] {
        assert!(matches!(queues.rest(local), Rest::Sleep));
    }
    queues.push_own(&locals[0], [1]);
    assert_eq!(woken.load(Ordering::SeqCst), 0, "the pusher takes it itself");
    queues.push_own(&locals[0], [2, 3]);
    assert_eq!(woken.load(Ordering::SeqCst), 1);
    queues.inject([4, 5, 6, 7]);
    assert_eq!(woken.load(Ordering::SeqCst), 3, "nobody else sleeps");
}

/// As if what is left were always enough for one more.
const WORTH_IT: fn(&i32, usize) -> bool = |_, _| true;

type Woken = Arc<Mutex<Vec<usize>>>;

/// Three drivers that sleep, and a list of those who are woken.
fn three_asleep() -> (Queues<i32>, Vec<Local<i32>>, Woken) {
    let woken = Woken::default();
    let list = Arc::clone(&woken);
    let (queues, mut locals) = Queues::new(3, move |index| list.lock().unwrap().push(index), never);
    for local in &mut locals {
        assert!(matches!(queues.rest(local), Rest::Sleep));
    }
    (queues, locals, woken)
}

#[test]
fn a_driver_that_leaves_the_list_unasked_passes_its_wake_up_on() {
    let (queues, mut locals, woken) = three_asleep();
    // The worker of driver 2 dies just when a job comes and driver 2 is called for it.
    queues.inject([1]);
    queues.leave(&locals[2]);
    assert_eq!(*woken.lock().unwrap(), [2, 1]);
    // Off the list, it is called no more while it starts a worker.
    assert_eq!(queues.woken(&mut locals[1], WORTH_IT), Some(1));
    queues.inject([2, 3]);
    assert_eq!(*woken.lock().unwrap(), [2, 1, 0]);
}

#[test]
fn a_driver_that_takes_the_job_it_was_woken_for_wakes_nobody_for_that() {
    let (queues, mut locals, woken) = three_asleep();
    queues.inject([1]);
    assert_eq!(queues.woken(&mut locals[2], WORTH_IT), Some(1));
    assert_eq!(*woken.lock().unwrap(), [2]);
    // One that was called for its bell alone takes what it sees, and calls another one for what it leaves.
    queues.push_quietly(&locals[2], [2, 3]);
    assert_eq!(queues.woken(&mut locals[1], WORTH_IT), Some(2));
    assert_eq!(*woken.lock().unwrap(), [2, 0]);
    assert_eq!(queues.woken(&mut locals[0], WORTH_IT), Some(3));
    assert_eq!(queues.woken(&mut locals[0], WORTH_IT), None);
}

#[test]
fn for_too_little_work_one_driver_is_woken_and_wakes_nobody() {
    let (queues, mut locals, woken) = three_asleep();
    queues.inject_for_one([1, 2, 3]);
    assert_eq!(*woken.lock().unwrap(), [2]);
    let is_worth_it = |job: &i32, left: usize| {
        assert_eq!((*job, left), (1, 2));
        false
    };
    assert_eq!(queues.woken(&mut locals[2], is_worth_it), Some(1));
    assert_eq!(*woken.lock().unwrap(), [2]);
    // What it does not come to it has others woken for.
    queues.wake_for_work();
    assert_eq!(*woken.lock().unwrap(), [2, 1]);
}

#[test]
fn a_job_that_its_owner_cannot_take_wakes_a_sleeper_and_nothing_does_not() {
    let woken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&woken);
    let (queues, mut locals) = Queues::new(
        2,
        move |_| {
            count.fetch_add(1, Ordering::SeqCst);
        },
        never,
    );
    assert!(matches!(queues.rest(&mut locals[1]), Rest::Sleep));
    queues.wake_for_work();
    queues.push_own(&locals[0], [1]);
    assert_eq!(woken.load(Ordering::SeqCst), 0);
    queues.wake_for_work();
    assert_eq!(woken.load(Ordering::SeqCst), 1);
}

#[test]
fn who_is_being_woken_finds_as_many_jobs_as_the_others_have_taken() {
    let (queues, mut locals) = Queues::new(2, |_| {}, never);
    assert!(queues.leaves_enough(usize::MAX), "nobody sleeps");
    assert!(matches!(queues.rest(&mut locals[1]), Rest::Sleep));
    queues.push_own(&locals[0], [1, 2, 3, 4, 5]);
    let mut taken = 0;
    while queues.leaves_enough(taken) {
        taken += usize::from(queues.find(&mut locals[0]).is_some());
    }
    assert_eq!((taken, queues.waiting()), (3, 2));
    queues.leave(&locals[1]);
    assert!(queues.leaves_enough(taken), "it has come");
    // One that comes unasked was not waited for.
    assert!(matches!(queues.rest(&mut locals[1]), Rest::Job(4)));
    assert!(queues.leaves_enough(usize::MAX));
}

/// Bells made of a condition variable, for the stress test.
#[derive(Default)]
struct Bells {
    rung: Mutex<Vec<bool>>,
    changed: Condvar,
}

/// Many drivers, many pushers, jobs that make jobs: every job runs exactly once and nobody sleeps beside one.
/// A lost wake-up shows as a driver that waits until the deadline.
#[test]
fn stress_every_job_runs_once_and_nobody_oversleeps() {
    const DRIVERS: usize = 4;
    const JOBS: usize = 20_000;
    let bells = Arc::new(Bells { rung: Mutex::new(vec![false; DRIVERS]), changed: Condvar::new() });
    let ring = Arc::clone(&bells);
    let (queues, locals) = Queues::<usize>::new(
        DRIVERS,
        move |index| {
            ring.rung.lock().unwrap()[index] = true;
            ring.changed.notify_all();
        },
        |job| job % 3 == 0,
    );
    let queues = Arc::new(queues);
    let done: Arc<Vec<AtomicUsize>> = Arc::new((0..JOBS).map(|_| AtomicUsize::new(0)).collect());
    let left = Arc::new(AtomicUsize::new(JOBS));

    std::thread::scope(|scope| {
        for mut local in locals {
            let (queues, bells, done, left) = (queues.clone(), bells.clone(), done.clone(), left.clone());
            scope.spawn(move || {
                while left.load(Ordering::SeqCst) > 0 {
                    let job = match queues.find(&mut local) {
                        Some(job) => job,
                        None => match queues.rest(&mut local) {
                            Rest::Job(job) => job,
                            Rest::Sleep => {
                                let index = local.index;
                                let (mut rung, waited) = bells
                                    .changed
                                    .wait_timeout_while(bells.rung.lock().unwrap(), Duration::from_secs(20), |rung| {
                                        !rung[index] && left.load(Ordering::SeqCst) > 0
                                    })
                                    .unwrap();
                                assert!(!waited.timed_out(), "driver {index} slept beside work");
                                rung[index] = false;
                                drop(rung);
                                match queues.woken(&mut local, |_, _| true) {
                                    Some(job) => job,
                                    None => continue,
                                }
                            }
                        },
                    };
                    done[job].fetch_add(1, Ordering::SeqCst);
                    // Jobs below a quarter come from outside; each has the three that follow from it as successors.
                    if job < JOBS / 4 {
                        queues.push_own(&local, [job + JOBS / 4, job + JOBS / 2, job + 3 * (JOBS / 4)]);
                    }
                    if left.fetch_sub(1, Ordering::SeqCst) == 1 {
                        drop(bells.rung.lock().unwrap());
                        bells.changed.notify_all();
                    }
                }
            });
        }
        for part in 0..2 {
            let queues = Arc::clone(&queues);
            scope.spawn(move || {
                for job in (0..JOBS / 4).filter(|job| job % 2 == part) {
                    queues.inject([job]);
                    if job % 64 == 0 {
                        std::thread::yield_now();
                    }
                }
            });
        }
    });
    assert!(done.iter().all(|count| count.load(Ordering::SeqCst) == 1));
}
