//! What a driver and its worker say to each other while it has tasks, but for tasks and answers: the worker's messages, what it asks and
//! is told, how far it says it is.
#![forbid(unsafe_code)]

use protocol::Progress;

use super::flight::Told;
use super::loss::End;
use super::request::Work;
use super::{Driver, Job, Local, Worker};
use crate::ipc::channel::ChannelError;
use crate::ipc::client::WorkerEvent;
use crate::server::budget::{Answer, Reclaim as _};

/// Memory that a task takes anew from this size on takes the place of as much as is kept: what is kept must not double what a run needs.
const LARGE_BYTES: u64 = 64 << 20;

impl Driver {
    /// Takes one message, if there is one; says whether there was.
    pub fn hear(&mut self) -> Result<bool, End> {
        let Some(worker) = &mut self.worker else { return Ok(false) };
        let event = match worker.channel.try_receive() {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(false),
            Err(error) => return Err(self.channel_end(error)),
        };
        worker.received += 1;
        match event {
            WorkerEvent::Log(record) => self.log_record(record),
            WorkerEvent::Reserve { token, bytes } => self.reserve(token, bytes)?,
            WorkerEvent::Done { token, outputs, chunks, .. } => self.note_told(token, Told::Done(outputs, chunks))?,
            WorkerEvent::Chunk { token, chunk } => self.chunk_came(token, chunk)?,
            WorkerEvent::ChunkSaved { token } => self.chunk_was_saved(token)?,
            WorkerEvent::Failed { token, failure, saving } => self.note_told(token, Told::Failed(failure, saving))?,
            WorkerEvent::Segment(segment) => worker.new_segment(segment).map_err(|lie| self.unusable(lie))?,
            WorkerEvent::SegmentDropped(number) => worker.segment_dropped(number),
            WorkerEvent::Ready { .. } => {
                return Err(self.unusable("it said that it is ready while it had a task".to_owned()));
            }
        }
        Ok(true)
    }

    fn note_told(&mut self, token: u64, told: Told) -> Result<(), End> {
        match self.flights.find(token) {
            Some(flight) => {
                flight.told = Some(Box::new(told));
                Ok(())
            }
            None => Err(self.unusable(format!("an answer to task {token} came, which is not under way"))),
        }
    }

    /// The task under way asks for memory.
    fn reserve(&mut self, token: u64, bytes: u64) -> Result<(), End> {
        let Some(flight) = self.flights.find(token) else {
            return Err(self.unusable(format!("task {token} asked for memory, which is not under way")));
        };
        let mut allowance = flight.allowance.take();
        let has_spare = |worker: &Worker| worker.segments().is_some_and(|segments| segments.has_spare(bytes));
        if bytes >= LARGE_BYTES && !self.worker.as_ref().is_some_and(has_spare) {
            self.shared.services.spare.reclaim(bytes);
        }
        let answer = self.allowance(&mut allowance).request(bytes);
        if let Some(flight) = self.flights.find(token) {
            flight.allowance = allowance;
        }
        // Somebody else must be able to go on with what waits behind it: it may be what frees memory.
        self.is_to_take_back |= matches!(answer, Answer::Waiting);
        let Some(worker) = &self.worker else { return Ok(()) };
        pass_on(answer, worker, token).map_err(|error| self.channel_end(error))
    }

    /// Somebody rang: a request for memory was answered, a task is to be stopped, or others would have what waits behind it.
    pub fn answer_bell(&mut self, local: &Local<Job>) -> Result<(), End> {
        self.slot().bell().answer();
        if self.slot().take_wanted_back() {
            self.take_back(local);
        }
        if let (Some(front), Some(worker)) = (self.flights.front_mut(), &self.worker)
            && let Some(answer) = front.allowance.as_mut().and_then(|allowance| allowance.poll())
        {
            pass_on(answer, worker, front.token).map_err(|error| self.channel_end(error))?;
        }
        self.stop_if_asked(local)
    }

    /// Publishes the progress in the page if it is of the task under way and has changed.
    pub fn tell_progress(&mut self) {
        let (Some(front), Some(worker)) = (self.flights.front(), &self.worker) else { return };
        let Some(Work::Call(node)) = Work::of_job(&front.job) else { return };
        let page = &worker.process.page;
        if page.token() != front.token {
            return;
        }
        let progress = page.progress();
        if let Some((done, total)) = progress.filter(|_| progress != self.told_progress) {
            self.told_progress = progress;
            front.job.run.tell_progress(node.id, Progress { done, total });
        }
    }
}

/// Tells the worker what became of its task's request for memory, if that is known.
fn pass_on(answer: Answer, worker: &Worker, token: u64) -> Result<(), ChannelError> {
    match answer {
        Answer::Granted => worker.channel.grant(token),
        Answer::Refused(reason) => worker.channel.refuse(token, reason),
        Answer::Waiting => Ok(()),
    }
}
