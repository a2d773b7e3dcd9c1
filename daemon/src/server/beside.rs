//! One task for a worker beside the pool: the pool may be busy for hours, and a dataset type that hangs or crashes over what is no part
//! of a run must not cost a run anything. What is said over it is logged, and bounded in time.
#![forbid(unsafe_code)]

use std::os::fd::AsFd as _;
use std::time::Instant;

use engine::credentials::Redactor;
use engine::failure::Failure;

use crate::block::adopt::ClaimedBlock;
use crate::ipc::channel::ChannelError;
use crate::ipc::client::{TaskRequest, WorkerEvent};
use crate::server::pool::{Subject, Worker};
use crate::sys::wait;

/// Under what terms a task is done.
pub struct Terms<'a> {
    /// How it is called in failures.
    pub subject: &'a Subject,
    /// Takes what it was told in confidence out of what is told of it.
    pub redactor: &'a Redactor,
    /// It is given up then.
    pub deadline: Instant,
    /// The failure that this is.
    pub late: &'a dyn Fn() -> Failure,
    /// Answers a request for memory, or says why not.
    pub reserve: &'a mut dyn FnMut(u64) -> Result<(), String>,
}

/// What a worker hands in.
pub struct Handed {
    /// Blocks, unchecked.
    pub outputs: Vec<ClaimedBlock>,
    /// JSON.
    pub answer: String,
}

/// Has a worker do a task. With an answer, good or bad, the worker comes back; without one it is gone.
pub fn perform(
    mut worker: Worker,
    request: &TaskRequest,
    mut terms: Terms<'_>,
) -> Result<(Worker, Result<Handed, Failure>), Failure> {
    let end = match worker.channel.send_task(request, &[]) {
        Ok(()) => listen(&mut worker, request.token, &mut terms),
        Err(ChannelError::Closed) => End::Gone,
        Err(error) => End::Unusable(terms.subject.protocol(error.to_string())),
    };
    worker.log_output(terms.redactor);
    let failure = match end {
        End::Answered(Ok(handed)) => return Ok((worker, Ok(handed))),
        End::Answered(Err(failure)) => return Ok((worker, Err(terms.told(failure)))),
        End::Unusable(failure) => {
            worker.kill();
            failure
        }
        End::Gone => {
            let ended = worker.await_end();
            worker.log_output(terms.redactor);
            terms.subject.died(&ended, &worker.process.output.tail(), 0)
        }
    };
    Err(terms.told(failure))
}

/// How it ended, for the worker.
enum End {
    Answered(Result<Handed, Failure>),
    Unusable(Failure),
    Gone,
}

impl Terms<'_> {
    fn told(&self, failure: Failure) -> Failure {
        // It was none of the numbered workers.
        self.redactor.redact_failure(Failure { worker: None, ..failure })
    }
}

fn listen(worker: &mut Worker, token: u64, terms: &mut Terms<'_>) -> End {
    loop {
        let left = terms.deadline.saturating_duration_since(Instant::now());
        let mut watched = vec![worker.channel.as_fd(), worker.process.watched()];
        watched.extend(worker.process.output.watched());
        let ready = match wait::readable(&watched, Some(left)) {
            Ok(ready) => ready,
            Err(error) => return End::Unusable(terms.subject.protocol(format!("cannot wait for it: {error}"))),
        };
        if ready.get(2) == Some(&true) {
            worker.log_output(terms.redactor);
        }
        if ready.first() == Some(&true) {
            if let Some(end) = hear(worker, token, terms) {
                return end;
            }
        } else if ready.get(1) == Some(&true) {
            return End::Gone;
        }
        if left.is_zero() {
            return End::Unusable((terms.late)());
        }
    }
}

/// Takes one message; says if it is over.
fn hear(worker: &Worker, token: u64, terms: &mut Terms<'_>) -> Option<End> {
    let subject = terms.subject;
    let event = match worker.channel.receive() {
        Ok(event) => event,
        Err(ChannelError::Closed) => return Some(End::Gone),
        Err(error) => return Some(End::Unusable(subject.protocol(error.to_string()))),
    };
    match event {
        WorkerEvent::Log(record) => {
            let message = terms.redactor.redact(record.message);
            log::info!(target: "plugin", "{}: {message}", record.target);
            None
        }
        WorkerEvent::Done { token: found, outputs, answer, .. } if found == token => {
            Some(End::Answered(Ok(Handed { outputs, answer })))
        }
        WorkerEvent::Failed { token: found, failure, .. } if found == token => {
            Some(End::Answered(Err(subject.reported(failure))))
        }
        WorkerEvent::Reserve { token: found, bytes } if found == token => {
            let answered = match (terms.reserve)(bytes) {
                Ok(()) => worker.channel.grant(token),
                Err(reason) => worker.channel.refuse(token, reason),
            };
            answered.err().map(|error| End::Unusable(subject.protocol(error.to_string())))
        }
        other => Some(End::Unusable(subject.protocol(format!("it spoke out of turn: {other:?}")))),
    }
}
