//! The worker's loop over the rings: take, perform, answer, and sleep when there is nothing to take.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use plugin_api::abi::Failure;

use super::abi::{Given, PROTOCOL, Slots};
use super::journal;
use super::perform::Worker;
use crate::block::layout::Format;
use crate::ipc::channel::{ChannelError, Received};
use crate::ipc::message::{RunBriefing, SegmentPlace, Task as MessageTask, ToWorker};
use crate::ipc::returns::WorkerReturns;
use crate::ipc::ring::record::{self, Head, Input, MadePart, Outcome, Output, PartBlock, Record, SmallBlock, Task};
use crate::ipc::ring::{WorkerDescriptors, WorkerRings};
use crate::sys::heap;

/// For how long an idle worker keeps memory that its tasks have freed: whoever runs a pipeline again and again has it at hand.
const MEMORY_KEPT: Duration = Duration::from_secs(1);
/// Who fills a megabyte of fresh memory takes about so long.
const MEMORY_TAKES: Duration = Duration::from_micros(300);

/// Opens the rings that a message brought, and that of what is given back.
pub(super) fn open(descriptors: Vec<OwnedFd>) -> Result<(WorkerRings, WorkerReturns), ChannelError> {
    let [memory, bell, returns] = <[OwnedFd; 3]>::try_from(descriptors)
        .map_err(|_| ChannelError::Protocol("rings come as three descriptors".to_owned()))?;
    let problem = |source| ChannelError::System { attempt: "cannot map the rings", source };
    let rings = WorkerRings::open(WorkerDescriptors { memory, bell }).map_err(problem)?;
    Ok((rings, WorkerReturns::open(&returns).map_err(problem)?))
}

/// Performs tasks until told to leave, or until the server has gone.
pub(super) fn serve(worker: Worker<'_>, rings: WorkerRings) -> Result<(), ChannelError> {
    let mut served = Served {
        worker,
        rings,
        received: 0,
        runs: BTreeMap::new(),
        ended: Instant::now(),
        may_hold_memory: false,
        answer: Box::default(),
        before: Box::default(),
    };
    match served.run() {
        Err(ChannelError::Closed) => Ok(()),
        result => result,
    }
}

struct Served<'a> {
    worker: Worker<'a>,
    rings: WorkerRings,
    /// Messages taken so far, as the driver counts them: those that a record may wait for.
    received: u64,
    /// What was told of runs, by number.
    runs: BTreeMap<u32, RunBriefing>,
    /// When the task that was performed last ended.
    ended: Instant,
    /// Whether some task since the last time took long enough to have left much free memory in the heap.
    may_hold_memory: bool,
    /// The answer being written. The two change places after each task.
    answer: Box<Record>,
    /// The answer before it: the next step of a chain finds its input there.
    before: Box<Record>,
}

impl Served<'_> {
    fn run(&mut self) -> Result<(), ChannelError> {
        let mut task = Record::default();
        // A task that was there already begins when the one before it ended: reading the clock is much of the cost of a short one.
        let mut last_end = None;
        loop {
            if !self.rings.take(&mut task) {
                last_end = None;
                self.await_task();
                continue;
            }
            let started = last_end.unwrap_or_else(Instant::now);
            self.ended = started;
            match task.as_task().map_err(|problem| ChannelError::Protocol(problem.to_string()))? {
                Task::Quit => return Ok(()),
                Task::Call(call) => {
                    // Mostly there is nothing to hear, and no message to make room for.
                    if self.received < call.head.messages {
                        self.listen(call.head.messages)?;
                    }
                    self.call(&call, started)?;
                }
                Task::Message(head) => {
                    if let Some((task, descriptors)) = self.listen(head.messages)? {
                        self.worker.perform(task, descriptors)?;
                    }
                    let took_ns = self.lap_ns(started);
                    self.answer.answered_by_message(self.head(head.token), took_ns);
                }
                Task::Part(_) | Task::Event(..) | Task::GoOn => {
                    return Err(ChannelError::Protocol("a hook's event came to a worker".to_owned()));
                }
            }
            if self.worker.takes_kept() {
                self.answer.keeps_inputs();
            }
            last_end = Some(self.ended);
            self.rings.answer(&self.answer);
            std::mem::swap(&mut self.answer, &mut self.before);
        }
    }

    /// Looks again and again for as long as the driver allows, then sleeps.
    fn await_task(&mut self) {
        if self.rings.look_for_task() {
            return;
        }
        self.worker.page.begin(0);
        if !self.may_hold_memory {
            self.rings.sleep(None);
            return;
        }
        self.rings.sleep(Some(MEMORY_KEPT));
        if !self.rings.has_task() {
            heap::give_back();
            self.may_hold_memory = false;
        }
    }

    /// Takes messages until so many have come; the task among the last of them, if one was.
    fn listen(&mut self, messages: u64) -> Result<Option<(MessageTask, Vec<OwnedFd>)>, ChannelError> {
        let mut task = None;
        while self.received < messages {
            let Received { message, descriptors } = self.worker.link.next()?;
            match message {
                ToWorker::Task(asked) => task = Some((asked, descriptors)),
                ToWorker::Run(run) => {
                    self.runs.insert(run.number, run);
                }
                ToWorker::Segment { place, segment, size } => self.worker.map(place, segment, size, &descriptors),
                ToWorker::Rings => {}
                // Not counted: they come whenever they come.
                ToWorker::Reserved { .. } | ToWorker::Proceed { .. } => continue,
                ToWorker::Quit => return Err(ChannelError::Closed),
            }
            self.received += 1;
        }
        Ok(task)
    }

    fn call(&mut self, call: &record::Call<'_>, started: Instant) -> Result<(), ChannelError> {
        let token = call.head.token;
        let Some(inputs) = find_inputs(call, &self.before) else {
            self.answer.not_begun(self.head(token));
            return Ok(());
        };
        self.worker.begin(token);
        let outcome = match (inputs, self.runs.get(&call.run)) {
            (Ok(inputs), Some(run)) => self.worker.call(call, run, inputs),
            (Err(problem), _) => Err(Failure::new(PROTOCOL, problem.to_string())),
            (_, None) => Err(Failure::new(PROTOCOL, format!("nothing is known of run number {}", call.run))),
        };
        journal::set_token(0);
        match outcome {
            Ok(mut made) => {
                self.worker.announce(&made)?;
                let took_ns = self.lap_ns(started);
                let head = self.head(token);
                if made.write(&mut self.answer, head, took_ns) {
                    self.worker.keep_out_of_use(made);
                    return Ok(());
                }
                self.worker.send_made(token, String::new(), made, Vec::new())?;
            }
            Err(failure) => self.worker.send_failure(token, failure, None)?,
        }
        let took_ns = self.lap_ns(started);
        self.answer.answered_by_message(self.head(token), took_ns);
        Ok(())
    }

    /// The task ends now; how long it took.
    fn lap_ns(&mut self, started: Instant) -> u64 {
        self.ended = Instant::now();
        let took = self.ended.saturating_duration_since(started);
        self.may_hold_memory |= took > MEMORY_TAKES;
        u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
    }

    fn head(&self, token: u64) -> Head {
        Head { token, messages: self.worker.link.sent() }
    }
}

type Found<'a> = Result<Slots<'a>, record::Malformed>;

/// The inputs of a call; nothing if one was to be made by the task before and was not.
fn find_inputs<'a>(call: &record::Call<'a>, before: &'a Record) -> Option<Found<'a>> {
    let mut found = Slots::with_capacity(call.inputs_count as usize);
    for input in call.inputs.clone() {
        found.push(match input {
            Err(problem) => return Some(Err(problem)),
            Ok(Input::Absent) => Given::Absent,
            Ok(Input::Json(json)) => {
                Given::Small(SmallBlock { format: Format::Json, metadata: "", payload: json.as_bytes() })
            }
            Ok(Input::Block(block)) => Given::Small(block),
            Ok(Input::Part(block)) => Given::Part(block),
            Ok(Input::Made { token, port }) => made_before(before, token, port)?,
        });
    }
    Some(Ok(found))
}

/// What the task before made on a port.
fn made_before(before: &Record, token: u64, port: u32) -> Option<Given<'_>> {
    match before.as_answer().ok().filter(|answer| answer.head.token == token)?.outcome {
        Outcome::Done(outputs) => {
            outputs.flatten().find(|(made, _)| *made == port).map(|(_, block)| Given::Small(block))
        }
        Outcome::Shared(outputs) => {
            let (_, output) = outputs.flatten().find(|(made, _)| *made == port)?;
            Some(match output {
                Output::Small(block) => Given::Small(block),
                Output::Part(MadePart { format, part, size }) => {
                    let place = SegmentPlace::Own { segment: part.segment };
                    Given::Part(PartBlock { format, place, offset: part.offset, size })
                }
            })
        }
        Outcome::Message | Outcome::NotBegun => None,
    }
}
