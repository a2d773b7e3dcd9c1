//! The rings as one process sees both ends, and records against hostile bytes.
#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::indices::Line;
use super::record::{
    Answer, Call, Head, Input, Inputs, MadePart, Malformed, Outcome, Output, PartBlock, SmallBlock, Task,
};
use super::*;
use crate::block::layout::Format;
use crate::block::pool::PartClaim;
use crate::ipc::message::{Lasting, SegmentPlace};
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

const HEAD: Head = Head { token: 7, messages: 3 };

fn call<'a>(name: &'a str, inputs_count: u32) -> Call<'a> {
    Call {
        head: HEAD,
        plugin: 1,
        node: 2,
        run: 3,
        attempt: 4,
        outputs: 5,
        lasting: Lasting::ALL,
        name,
        inputs_count,
        inputs: Inputs::default(),
    }
}

#[test]
fn a_call_is_read_as_it_was_written() {
    let block = SmallBlock { format: Format::Array, metadata: "{}", payload: &[1, 2, 3] };
    let part = |place| PartBlock { format: Format::Text, place, offset: 1 << 40, size: 5000 };
    let inputs = [
        Input::Absent,
        Input::Json("{\"a\":1}"),
        Input::Block(block),
        Input::Part(part(SegmentPlace::Own { segment: 7 })),
        Input::Part(part(SegmentPlace::Foreign { place: 9, segment: u32::MAX })),
        Input::Made { token: 6, port: 1 },
    ];
    let mut record = Record::default();
    assert!(record.call(&call("a node", 6), inputs.into_iter()));
    let Task::Call(read) = record.as_task().unwrap() else { panic!() };
    assert_eq!((read.head, read.plugin, read.node, read.run), (HEAD, 1, 2, 3));
    assert_eq!(read.lasting, Lasting::ALL);
    assert_eq!((read.attempt, read.outputs, read.name, read.inputs_count), (4, 5, "a node", 6));
    assert_eq!(read.inputs.map(Result::unwrap).collect::<Vec<_>>(), inputs);
    // No descriptor travels in a ring.
    assert!(!record.call(&call("a node", 1), std::iter::once(Input::Part(part(SegmentPlace::Descriptor(0))))));
}

#[test]
fn outputs_in_segments_are_read_as_they_were_written() {
    let small = SmallBlock { format: Format::Json, metadata: "{}", payload: b"42" };
    let place = PartClaim { segment: 1, slot: 2, usage: u32::MAX, offset: 1 << 33 };
    let outputs = [Output::Small(small), Output::Part(MadePart { format: Format::Arrow, part: place, size: 77 })];
    let mut record = Record::default();
    record.shared(HEAD, 9);
    assert!((0..).zip(outputs).all(|(port, output)| record.shared_output(port, output)));
    record.keeps_inputs();
    let answer = record.as_answer().unwrap();
    let Outcome::Shared(read) = answer.outcome else { panic!() };
    assert!(answer.keeps_inputs);
    assert_eq!(read.map(|output| output.unwrap().1).collect::<Vec<_>>(), outputs);
}

#[test]
fn an_answer_is_read_as_it_was_written_and_what_does_not_fit_says_so() {
    let mut record = Record::default();
    record.done(HEAD, 9);
    let block = SmallBlock { format: Format::Json, metadata: "", payload: b"42" };
    assert!(record.output(0, block) && record.output(1, SmallBlock { metadata: "{\"x\":2}", ..block }));
    let Answer { head, took_ns, keeps_inputs: false, outcome: Outcome::Done(outputs) } = record.as_answer().unwrap()
    else {
        panic!()
    };
    assert_eq!((head, took_ns), (HEAD, 9));
    let ports: Vec<u32> = outputs.map(|output| output.unwrap().0).collect();
    assert_eq!(ports, [0, 1]);
    assert!(!record.output(2, SmallBlock { payload: &[0; RECORD_BYTES], ..block }));
    assert!(!record.call(&call(&"n".repeat(600), 0), std::iter::empty()));
    assert!(!record.call(&call("n", 1), std::iter::once(Input::Json(&"x".repeat(1 << 17)))));
    record.not_begun(HEAD);
    assert_eq!(record.as_answer().unwrap().outcome, Outcome::NotBegun);
    record.quit();
    assert_eq!(record.as_task(), Ok(Task::Quit));
    assert_eq!(record.as_answer(), Err(Malformed("it ends too early")));
}

proptest! {
    /// Whatever the bytes are, reading them ends, and what is read lies within them.
    #[test]
    fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..RECORD_BYTES), kind in 0..7_u8) {
        let mut record = Record::default();
        record.for_length(bytes.len()).copy_from_slice(&bytes);
        if let Some(first) = record.for_length(bytes.len()).first_mut() {
            *first = kind;
        }
        if let Ok(Answer { outcome: Outcome::Done(outputs), .. }) = record.as_answer() {
            let total: usize = outputs.flatten().map(|(_, block)| block.payload.len() + block.metadata.len()).sum();
            prop_assert!(total <= bytes.len());
        }
        if let Ok(Task::Call(call)) = record.as_task() {
            prop_assert!(call.inputs.count() <= bytes.len());
        }
    }
}

/// The bytes of an event, through as many records as it takes; and how many those are.
fn through_records(bytes: &[u8]) -> (Vec<u8>, usize) {
    let (mut found, mut count) = (Vec::new(), 0);
    event::records(Head { token: 5, messages: 6 }, bytes, &mut Record::default(), |record| {
        count += 1;
        match record.as_task().unwrap() {
            Task::Part(part) => found.extend_from_slice(part),
            Task::Event(head, rest) => {
                assert_eq!(head, Head { token: 5, messages: 6 });
                found.extend_from_slice(rest);
            }
            other => panic!("{other:?}"),
        }
    });
    (found, count)
}

proptest! {
    #[test]
    fn an_event_comes_as_it_was_sent_in_as_many_slots_as_were_foretold(
        argument in ".{0,1500}",
        has_more: bool,
        blocks in proptest::collection::vec(
            proptest::option::of((0_usize..Format::ALL.len(), ".{0,20}", proptest::collection::vec(any::<u8>(), 0..300))), 0..4),
    ) {
        let small = blocks.iter().map(|block| {
            block.as_ref().map(|(format, metadata, payload)| SmallBlock { format: Format::ALL[*format], metadata, payload })
        });
        let sent = event::Event { plugin: 1, hook: 2, has_more, argument: &argument, inputs: Inputs::default() };
        let mut bytes = vec![1, 2, 3];
        prop_assume!(event::write(&mut bytes, &sent, small.clone()));
        let (found, count) = through_records(&bytes);
        prop_assert_eq!(count, event::slots(&bytes));
        let read = event::Event::read(&found).unwrap();
        prop_assert_eq!((read.plugin, read.hook, read.has_more, read.argument), (1, 2, has_more, argument.as_str()));
        let inputs: Vec<Input<'_>> = read.inputs.map(Result::unwrap).collect();
        let expected: Vec<Input<'_>> = small.map(|block| block.map_or(Input::Absent, Input::Block)).collect();
        prop_assert_eq!(inputs, expected);
    }

    #[test]
    fn any_bytes_are_an_event_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(event) = event::Event::read(&bytes) {
            prop_assert!(event.inputs.take(1_000).count() <= bytes.len());
        }
    }
}
