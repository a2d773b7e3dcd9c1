//! One load or save that is no part of a run: for an output that a client fetches.
//!
//! It goes to a worker of its own, as the questions of [`super::probe`] do: the pool may be busy for hours, and a run must not pay for a
//! dataset type that hangs or crashes over it.
#![forbid(unsafe_code)]

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::credentials::Redactor;
use engine::failure::{Failure, FailureKind};

use crate::block::Block;
use crate::block::adopt::ClaimedBlock;
use crate::ipc::channel::ChannelError;
use crate::ipc::client::{Input, TaskOperation, TaskRequest, WorkerEvent};
use crate::ipc::message::DatasetOperation;
use crate::server::budget::Charge;
use crate::server::generations::Generation;
use crate::server::pool::{Subject, Worker};
use crate::server::services::Services;
use crate::sys::wait;

/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// There is one task, so it has one number.
const TOKEN: u64 = 1;

/// What is to be done.
#[derive(Debug)]
pub struct Errand {
    /// In words, as it stands after "while".
    pub doing: String,
    /// The plugin's position in the manifest, and its name.
    pub plugin: (u32, String),
    /// The dataset type's position in the plugin.
    pub dataset_type: u32,
    /// The operation's argument, JSON.
    pub argument: String,
    /// What to save; nothing for a load.
    pub input: Option<Block>,
    /// Takes what the argument holds in confidence out of what is told of it.
    pub redactor: Redactor,
}

/// Loads a dataset.
pub fn load(errand: &Errand, generation: &Generation, services: &Arc<Services>) -> Result<(Block, Charge), Failure> {
    let subject = subject(errand);
    let mut charge = services.budget.charge(0);
    let claims = perform(errand, DatasetOperation::Load, generation, &subject, &mut charge)?;
    let mut claims = claims.into_iter();
    match (claims.next(), claims.next()) {
        (Some(claim), None) => {
            let block = claim
                .adopt(&services.accounts)
                .map_err(|problem| subject.protocol(format!("the block that it loaded was refused: {problem}")))?;
            // It asked before it took memory; what it asked for too much goes back.
            let surplus = charge.bytes().saturating_sub(block.size());
            charge.shrink(surplus);
            Ok((block, charge))
        }
        _ => Err(subject.protocol("a load did not hand in just one block")),
    }
}

/// Saves a dataset.
pub fn save(errand: &Errand, generation: &Generation, services: &Arc<Services>) -> Result<(), Failure> {
    let mut charge = services.budget.charge(0);
    perform(errand, DatasetOperation::Save, generation, &subject(errand), &mut charge).map(drop)
}

fn subject(errand: &Errand) -> Subject {
    Subject { doing: errand.doing.clone(), plugin: errand.plugin.1.clone(), worker: 0 }
}

fn perform(
    errand: &Errand,
    operation: DatasetOperation,
    generation: &Generation,
    subject: &Subject,
    charge: &mut Charge,
) -> Result<Vec<ClaimedBlock>, Failure> {
    let mut worker = generation.extra_worker().map_err(|reason| subject.no_worker(reason))?;
    let request = TaskRequest {
        token: TOKEN,
        plugin: errand.plugin.0,
        argument: errand.argument.clone(),
        operation: TaskOperation::Dataset {
            dataset_type: errand.dataset_type,
            operation,
            input: errand.input.clone().map(Input::Block),
            file: None,
        },
    };
    let end = match worker.channel.send_task(&request) {
        Ok(()) => listen(&mut worker, errand, subject, charge),
        Err(ChannelError::Closed) => End::Gone,
        Err(error) => End::Unusable(subject.protocol(error.to_string())),
    };
    worker.log_output(&errand.redactor);
    let result = match end {
        End::Answered(answer) => {
            worker.quit();
            answer
        }
        End::Unusable(failure) => {
            worker.kill();
            Err(failure)
        }
        End::Gone => {
            let ended = worker.await_end();
            worker.log_output(&errand.redactor);
            Err(subject.died(&ended, &worker.process.output.tail(), 0))
        }
    };
    // It was none of the numbered workers.
    result.map_err(|failure| errand.redactor.redact_failure(Failure { worker: None, ..failure }))
}

/// How it ended, for the worker.
enum End {
    Answered(Result<Vec<ClaimedBlock>, Failure>),
    Unusable(Failure),
    Gone,
}

fn listen(worker: &mut Worker, errand: &Errand, subject: &Subject, charge: &mut Charge) -> End {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut watched = vec![worker.channel.as_fd(), worker.process.watched()];
        watched.extend(worker.process.output.watched());
        let ready = match wait::readable(&watched, Some(left)) {
            Ok(ready) => ready,
            Err(error) => return End::Unusable(subject.protocol(format!("cannot wait for it: {error}"))),
        };
        if ready.get(2) == Some(&true) {
            worker.log_output(&errand.redactor);
        }
        if ready.first() == Some(&true) {
            if let Some(end) = hear(worker, subject, charge) {
                return end;
            }
        } else if ready.get(1) == Some(&true) {
            return End::Gone;
        }
        if left.is_zero() {
            let message = format!("{} was given up after {} s", subject.doing, PATIENCE.as_secs());
            return End::Unusable(subject.failure(FailureKind::Timeout, message));
        }
    }
}

/// Takes one message; says if it is over.
fn hear(worker: &Worker, subject: &Subject, charge: &mut Charge) -> Option<End> {
    let event = match worker.channel.receive() {
        Ok(event) => event,
        Err(ChannelError::Closed) => return Some(End::Gone),
        Err(error) => return Some(End::Unusable(subject.protocol(error.to_string()))),
    };
    match event {
        WorkerEvent::Log(record) => {
            log::info!(target: "plugin", "{}: {}", record.target, record.message);
            None
        }
        WorkerEvent::Done { token: TOKEN, outputs, .. } => Some(End::Answered(Ok(outputs))),
        WorkerEvent::Failed { token: TOKEN, failure, .. } => Some(End::Answered(Err(subject.reported(failure)))),
        WorkerEvent::Reserve { token: TOKEN, bytes } => {
            let answered = match charge.grow(bytes) {
                Ok(()) => worker.channel.grant(TOKEN),
                Err(reason) => worker.channel.refuse(TOKEN, reason),
            };
            answered.err().map(|error| End::Unusable(subject.protocol(error.to_string())))
        }
        other => Some(End::Unusable(subject.protocol(format!("it spoke out of turn: {other:?}")))),
    }
}
