//! The rings as one process sees both ends.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::indices::Line;
use super::record::{Head, Task};
use super::*;
use crate::sys::memfd;

fn rings() -> (DriverRings, WorkerRings) {
    let (driver, theirs) = DriverRings::create().unwrap();
    (driver, WorkerRings::open(theirs).unwrap())
}

fn message(token: u64) -> Record {
    let mut record = Record::default();
    record.message(Head { token, messages: 0 });
    record
}

fn taken(worker: &WorkerRings) -> Option<u64> {
    let mut record = Record::default();
    worker.take(&mut record).then(|| match record.as_task().unwrap() {
        Task::Message(head) => head.token,
        other => panic!("{other:?}"),
    })
}

fn answer(worker: &mut WorkerRings, token: u64) {
    let mut record = Record::default();
    record.done(Head { token, messages: 0 }, 5);
    worker.answer(&record);
}

fn answered(driver: &mut DriverRings) -> Option<u64> {
    let mut record = Record::default();
    driver.take_answer(&mut record).unwrap().then(|| record.as_answer().unwrap().head.token)
}

#[test]
fn tasks_and_answers_come_in_order_round_and_round() {
    let (mut driver, mut worker) = rings();
    let (mut pushed, mut oldest) = (0_u64, 0_u32);
    for token in 1..2_000_u64 {
        while let Some(index) = driver.push(&message(pushed + 1), Some(oldest)) {
            assert_eq!(u64::from(index), pushed);
            pushed += 1;
        }
        driver.publish();
        assert_eq!(pushed, token - 1 + u64::from(SLOTS), "as many as there is room for");
        assert_eq!(taken(&worker), Some(token));
        answer(&mut worker, token);
        assert_eq!(answered(&mut driver), Some(token));
        assert_eq!(answered(&mut driver), None);
        oldest += 1;
    }
}

#[test]
fn what_was_not_begun_is_taken_back_the_last_one_first() {
    let (mut driver, mut worker) = rings();
    for token in 1..=4 {
        driver.push(&message(token), Some(0)).unwrap();
    }
    assert_eq!(driver.take_back(), Ok(Some(3)));
    assert_eq!(taken(&worker), Some(1));
    assert_eq!(driver.take_back(), Ok(Some(2)));
    assert_eq!(driver.take_back(), Ok(Some(1)), "the last that is left");
    assert_eq!(driver.take_back(), Ok(None), "the first is begun");
    assert_eq!(taken(&worker), None);
    assert_eq!(driver.unanswered(), 1);
    driver.push(&message(5), Some(0)).unwrap();
    driver.publish();
    assert_eq!(taken(&worker), Some(5));
    answer(&mut worker, 1);
    answer(&mut worker, 5);
    assert_eq!((answered(&mut driver), answered(&mut driver)), (Some(1), Some(5)));
    assert_eq!(driver.unanswered(), 0);
}

#[test]
fn a_worker_that_sleeps_is_woken_by_a_task_and_rings_when_it_was_asked_to() {
    let (mut driver, mut worker) = rings();
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            for expected in 1..=100_u64 {
                let token = loop {
                    match taken(&worker) {
                        Some(token) => break token,
                        None => worker.sleep(None),
                    }
                };
                assert_eq!(token, expected);
                answer(&mut worker, token);
            }
        });
        for round in 0..50_u64 {
            driver.push(&message(2 * round + 1), None).unwrap();
            driver.publish();
            driver.push(&message(2 * round + 2), Some(2 * round as u32)).unwrap();
            driver.publish();
            while driver.lie_down(2).unwrap() {
                let rung = crate::sys::wait::readable(&[driver.as_fd()], None).unwrap()[0];
                driver.get_up(rung);
            }
            assert_eq!(answered(&mut driver), Some(2 * round + 1));
            assert_eq!(answered(&mut driver), Some(2 * round + 2));
        }
        thread.join().unwrap();
    });
}

#[test]
fn indices_that_cannot_be_are_refused() {
    for lie in [u32::MAX, 3, 1 << 31] {
        let (mut driver, _worker) = rings();
        driver.push(&message(1), Some(0)).unwrap();
        driver.push(&message(2), Some(0)).unwrap();
        driver.publish();
        let control = &driver.memory.control;
        let words: [&Line<AtomicU32>; 2] = control.claims();
        words[0].0.store(lie, Ordering::SeqCst);
        words[1].0.store(lie, Ordering::SeqCst);
        assert_eq!(driver.take_back().unwrap_err().found, lie);
        assert_eq!(driver.answers().unwrap_err().found, lie);
        assert!(driver.lie_down(1).is_err());
    }
}

#[test]
fn what_are_no_rings_is_refused() {
    let bell = || EventFd::new().unwrap().as_fd().try_clone_to_owned().unwrap();
    let memory = memfd::create("test", memfd::Purpose::Data).unwrap();
    memfd::reserve(&memory, SharedMemory::<Shared>::BYTES as u64).unwrap();
    assert!(WorkerRings::open(WorkerDescriptors { memory, bell: bell() }).is_err(), "not sealed");
    let memory = memfd::create("test", memfd::Purpose::Data).unwrap();
    memfd::seal(&memory, memfd::FIXED_SIZE).unwrap();
    assert!(WorkerRings::open(WorkerDescriptors { memory, bell: bell() }).is_err(), "too small");
}
