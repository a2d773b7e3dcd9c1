//! A driver's worker process: started, spoken to, ended.
#![forbid(unsafe_code)]

use std::os::fd::AsFd as _;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use engine::credentials::Redactor;

use super::DriverSettings;
use crate::block::Block;
use crate::block::pool::NewSegment;
use crate::block::segment::{Introduction, Segments};
use crate::ipc::channel::ChannelError;
use crate::ipc::client::{Input, WorkerChannel, WorkerEvent};
use crate::ipc::message::{Role, RunBriefing, SegmentPlace};
use crate::ipc::ring::record::Record;
use crate::ipc::ring::{DriverRings, WorkerDescriptors};
use crate::server::generations::{Process, ProcessEnd, Zygote, ending_in_words};
use crate::server::runs::Run;
use crate::server::services::Services;
use crate::server::spare::Keeper;
use crate::sys::wait;

/// How long a worker that closed its channel may take to be reported dead, and a killed one to die.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// A worker that takes tasks.
#[derive(Debug)]
pub struct Worker {
    /// Its channel: for what does not fit into the rings.
    pub channel: WorkerChannel,
    /// Tasks to it, answers from it.
    pub rings: DriverRings,
    /// Its process.
    pub process: Process,
    /// Its memory for blocks, from the moment it has rings.
    segments: Option<OwnSegments>,
    /// What the worker needs of the rings, until it was given it.
    rings_to_give: Option<WorkerDescriptors>,
    /// Messages that came over the channel.
    pub received: u64,
    /// Messages that went over the channel, but for answers to requests for memory.
    pub sent: u64,
    runs: Briefed,
}

/// A worker's memory for blocks, which goes with it.
#[derive(Debug)]
struct OwnSegments(Arc<Segments>);

impl Drop for OwnSegments {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The runs that a worker was told of.
#[derive(Debug, Default)]
struct Briefed {
    /// By number. Weak handles: they keep a place in memory from being taken by another run, not the run.
    known: Vec<Weak<Run>>,
    next: usize,
}

impl Briefed {
    /// More than these are not remembered; a run that is forgotten is told again.
    const RUNS_MAX: usize = 16;

    fn number(&self, run: &Arc<Run>) -> Option<usize> {
        self.known.iter().position(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(run)))
    }

    fn add(&mut self, run: &Arc<Run>) -> usize {
        let number = self.next;
        self.next = (self.next + 1) % Briefed::RUNS_MAX;
        match self.known.get_mut(number) {
            Some(place) => *place = Arc::downgrade(run),
            None => self.known.push(Arc::downgrade(run)),
        }
        number
    }
}

impl Worker {
    /// Starts one and waits until it is ready.
    pub fn start(zygote: &Zygote, settings: &DriverSettings) -> Result<Worker, String> {
        let deadline = Instant::now() + settings.start_timeout;
        let (channel, socket) =
            WorkerChannel::pair().map_err(|error| format!("cannot make a channel for a worker: {error}"))?;
        let process = zygote.start_process(Role::Worker, settings.limits, socket, settings.start_timeout)?;
        let (rings, theirs) =
            DriverRings::create().map_err(|error| format!("cannot make rings for a worker: {error}"))?;
        let mut worker = Worker {
            channel,
            rings,
            process,
            segments: None,
            rings_to_give: Some(theirs),
            received: 0,
            sent: 0,
            runs: Briefed::default(),
        };
        match worker.await_ready(deadline) {
            Ok(()) => {
                worker.log_output(&Redactor::default());
                worker.process.output.forget_tail();
                Ok(worker)
            }
            Err(reason) => {
                let end = worker.end();
                let said = worker.process.output.tail().join(" | ");
                let said = if said.is_empty() { said } else { format!("; it printed last: {said}") };
                Err(format!("a new worker {reason}{}{said}", end.map(|end| format!(" ({end})")).unwrap_or_default()))
            }
        }
    }

    /// Listens until it is ready. A spawned one loads its plugins meanwhile: what they print must be read, or they
    /// would wait for their reader.
    fn await_ready(&mut self, deadline: Instant) -> Result<(), String> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut watched = vec![self.channel.as_fd(), self.process.watched()];
            watched.extend(self.process.output.watched());
            let ready =
                wait::readable(&watched, Some(left)).map_err(|error| format!("cannot be waited for: {error}"))?;
            if ready.get(2) == Some(&true) {
                self.log_output(&Redactor::default());
            }
            if ready.first() == Some(&true) {
                match self.channel.receive() {
                    Ok(WorkerEvent::Ready { .. }) => {
                        self.received += 1;
                        return Ok(());
                    }
                    Ok(WorkerEvent::Log(record)) => {
                        self.received += 1;
                        log::info!(target: "plugin", "{}: {}", record.target, record.message);
                    }
                    Ok(_) => return Err("spoke out of turn".to_owned()),
                    Err(ChannelError::Closed) => return Err("ended before it was ready".to_owned()),
                    Err(error) => return Err(format!("broke the protocol: {error}")),
                }
            } else if ready.get(1) == Some(&true) {
                return Err("ended before it was ready".to_owned());
            }
            // However much there is to hear and to read.
            if left.is_zero() {
                return Err("was not ready in time ([workers] start_timeout_ms)".to_owned());
            }
        }
    }

    /// Kills the worker if it still lives, waits for its end, and says in words how it ended.
    fn end(&mut self) -> Option<String> {
        let end = self.process.wait(Duration::from_millis(500)).or_else(|| self.kill());
        self.log_output(&Redactor::default());
        match end {
            Some(ProcessEnd::Ended { ending, .. }) => Some(ending_in_words(ending)),
            Some(ProcessEnd::WithZygote(reason)) => Some(reason),
            Some(ProcessEnd::Unknown) | None => None,
        }
    }

    /// Ends the worker for certain and waits until it has ended.
    pub fn kill(&mut self) -> Option<ProcessEnd> {
        self.process.kill();
        self.process.wait(END_PATIENCE)
    }

    /// How a worker ended that has gone or closed its channel. One that closed it and lives on is killed.
    pub fn await_end(&mut self) -> ProcessEnd {
        self.process.wait(END_PATIENCE).or_else(|| self.kill()).unwrap_or(ProcessEnd::Unknown)
    }

    /// Logs what it printed while it had no task of a run, without what it was told in confidence.
    pub fn log_output(&mut self, redactor: &Redactor) {
        for line in self.process.output.read() {
            log::info!(target: "plugin", "a new worker: {}", redactor.redact(line));
        }
    }

    /// Gives the worker its rings: from now on it takes tasks from there, and messages only where a record points to them. And memory that it may
    /// use for block after block.
    pub fn give_rings(&mut self, services: &Services) -> Result<(), String> {
        let Some(rings) = self.rings_to_give.take() else { return Ok(()) };
        let keeper = Arc::new(Keeper(Arc::clone(&services.spare)));
        let (segments, returns) = Segments::create(Arc::clone(&services.accounts), keeper)
            .map_err(|error| format!("a new worker could not be given memory for blocks: {error}"))?;
        services.spare.add(&segments);
        self.segments = Some(OwnSegments(segments));
        self.channel
            .rings(&rings, &returns)
            .map_err(|error| format!("a new worker could not be given its rings: {error}"))
    }

    /// Asks the worker, which is at nothing, to leave, and kills it if it does not.
    pub fn quit(mut self) {
        let is_asked = if self.rings_to_give.is_some() {
            self.channel.quit().is_ok()
        } else {
            let mut record = Record::default();
            record.quit();
            let is_pushed = self.rings.push(&record, None).is_some();
            self.rings.publish();
            is_pushed
        };
        if !is_asked || self.process.wait(Duration::from_millis(500)).is_none() {
            self.kill();
        }
    }

    /// How the worker knows the segment that a block lies in, which it is told of if need be; nothing for a block that lies in none.
    pub fn place(&mut self, block: &Block) -> Result<Option<SegmentPlace>, ChannelError> {
        let Some(part) = block.part() else { return Ok(None) };
        let Some(OwnSegments(segments)) = &self.segments else { return Ok(Some(SegmentPlace::Descriptor(0))) };
        match segments.introduce(part) {
            Introduction::Known(place) => Ok(Some(place)),
            Introduction::New(place) => {
                if let SegmentPlace::Foreign { place, .. } = place {
                    self.channel.segment(place, part.segment())?;
                    self.sent += 1;
                }
                Ok(Some(place))
            }
        }
    }

    /// The same for each input of a task, in their order.
    pub fn places(&mut self, inputs: &[Input]) -> Result<Vec<SegmentPlace>, ChannelError> {
        let place = |input: &Input| match input {
            Input::Block(block) => Ok(self.place(block)?.unwrap_or(SegmentPlace::Descriptor(0))),
            Input::Absent | Input::Json(_) => Ok(SegmentPlace::Descriptor(0)),
        };
        inputs.iter().map(place).collect()
    }

    /// Its memory for blocks, if it was given some.
    pub fn segments(&self) -> Option<&Arc<Segments>> {
        self.segments.as_ref().map(|OwnSegments(segments)| segments)
    }

    /// Takes note of a segment that the worker says it has no more.
    pub fn segment_dropped(&self, number: u32) {
        if let Some(segments) = self.segments() {
            segments.dropped(number);
        }
    }

    /// Takes note of a segment that the worker says it has.
    pub fn new_segment(&self, segment: NewSegment) -> Result<(), String> {
        let NewSegment { number, size, part_bytes, file } = segment;
        let segments = self.segments().ok_or("it has a segment, and was given no memory for blocks")?;
        let announced = segments.announce(number, size, part_bytes, file);
        announced.map_err(|problem| format!("its segment {number} was refused: {problem}"))
    }

    /// The number by which the worker knows a run, which it is told of if need be.
    pub fn brief(&mut self, run: &Arc<Run>, worker: u32) -> Result<u32, ChannelError> {
        let number = match self.runs.number(run) {
            Some(number) => number,
            None => {
                let number = self.runs.add(run);
                let briefing = RunBriefing {
                    number: number as u32,
                    id: run.id.clone(),
                    parameters: run.plan.parameters_json().to_owned(),
                    worker,
                };
                self.channel.brief(briefing)?;
                self.sent += 1;
                number
            }
        };
        // No more than `RUNS_MAX`.
        Ok(number as u32)
    }
}
