//! Questions to dataset types that are no part of a run: does the data exist?
//!
//! They go to a worker of their own, started for the batch: the pool may be busy for hours, and a dataset type that hangs or
//! crashes over a question must not cost a run anything. A question that costs the worker is named and the others go to
//! another one. All of it is bounded in time.
#![forbid(unsafe_code)]

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use engine::credentials::Redactor;
use engine::failure::{Failure, FailureKind};
use engine::plan::{Dataset, Persisted};

use crate::ipc::channel::ChannelError;
use crate::ipc::client::{TaskOperation, TaskRequest, WorkerEvent};
use crate::ipc::message::DatasetOperation;
use crate::server::generations::Generation;
use crate::server::json::JsonObject;
use crate::server::pool::{Subject, Worker, describe_storage, doing_dataset};
use crate::server::versions;
use crate::sys::wait;

/// How many workers one batch may cost before the rest of it is given up.
const WORKERS_LOST_MAX: u32 = 3;

/// A question about one dataset.
#[derive(Debug)]
pub struct Question {
    plugin: u32,
    dataset_type: u32,
    argument: String,
    subject: Subject,
    /// Known without asking: of a versioned dataset that has no version yet.
    answer: Option<bool>,
    redactor: Redactor,
}

impl Question {
    /// Asks whether a dataset's data exists. `run` is the run that wants to know; empty for none.
    pub fn exists(dataset: &Dataset<'_>, storage: &Persisted, run: &str) -> Question {
        Question::exists_at(dataset.name, storage, run)
    }

    /// The same for a dataset that is in no plan. Of a versioned one it is about the latest version.
    pub fn exists_at(dataset: &str, storage: &Persisted, run: &str) -> Question {
        let latest = (storage.versioned && storage.version.is_empty()).then(|| versions::latest_path(&storage.path));
        let (path, answer) = match latest {
            Some(Ok(Some(path))) => (path, None),
            Some(Ok(None)) => (storage.path.clone(), Some(false)),
            // Its type finds out what is wrong with the folder, and says so in its own words.
            Some(Err(_)) | None => (storage.path.clone(), None),
        };
        let storage = &Persisted { path, ..storage.clone() };
        let mut argument = JsonObject::new();
        argument.text("run", run);
        describe_storage(&mut argument, dataset, storage);
        Question {
            plugin: storage.plugin,
            dataset_type: storage.dataset_type,
            argument: argument.end(),
            subject: Subject {
                doing: doing_dataset("looking for", dataset, storage),
                plugin: storage.plugin_name.clone(),
                worker: 0,
            },
            answer,
            redactor: Redactor::new(std::iter::once(&storage.credentials)),
        }
    }
}

/// Asks a batch of questions; the answers come in the order of the questions. Blocks no longer than `patience`, and the start
/// of a worker.
pub fn exist(generation: &Generation, questions: &[Question], patience: Duration) -> Vec<Result<bool, Failure>> {
    let mut prober = Prober { generation, worker: None, lost: 0, deadline: Instant::now() + patience, patience };
    let answers = (1..).zip(questions).map(|(token, question)| {
        // It was none of the numbered workers.
        if let Some(answer) = question.answer {
            return Ok(answer);
        }
        let redact = |failure| question.redactor.redact_failure(failure);
        prober.ask(token, question).map_err(|failure| redact(Failure { worker: None, ..failure }))
    });
    let answers = answers.collect();
    if let Some(worker) = prober.worker {
        worker.quit();
    }
    answers
}

struct Prober<'a> {
    generation: &'a Generation,
    worker: Option<Worker>,
    lost: u32,
    deadline: Instant,
    patience: Duration,
}

/// How a question ended, for the worker.
enum End {
    Answered(Result<bool, Failure>),
    Unusable(Failure),
    Gone,
}

impl Prober<'_> {
    fn ask(&mut self, token: u64, question: &Question) -> Result<bool, Failure> {
        let subject = &question.subject;
        if Instant::now() >= self.deadline {
            return Err(self.late(subject));
        }
        if self.lost >= WORKERS_LOST_MAX {
            return Err(subject.no_worker(format!("questions before this one cost {WORKERS_LOST_MAX} of them")));
        }
        let mut worker = match self.worker.take() {
            Some(worker) => worker,
            None => self.generation.extra_worker().map_err(|reason| {
                self.lost += 1;
                subject.no_worker(reason)
            })?,
        };
        let request = TaskRequest {
            token,
            plugin: question.plugin,
            argument: question.argument.clone(),
            operation: TaskOperation::Dataset {
                dataset_type: question.dataset_type,
                operation: DatasetOperation::Exists,
                input: None,
                file: None,
            },
        };
        let end = match worker.channel.send_task(&request) {
            Ok(()) => self.listen(&mut worker, token, question),
            Err(ChannelError::Closed) => End::Gone,
            Err(error) => End::Unusable(subject.protocol(error.to_string())),
        };
        worker.log_output(&question.redactor);
        match end {
            End::Answered(answer) => {
                worker.process.output.forget_tail();
                self.worker = Some(worker);
                answer
            }
            End::Unusable(failure) => {
                self.lost += 1;
                worker.kill();
                Err(failure)
            }
            End::Gone => {
                self.lost += 1;
                let ended = worker.await_end();
                worker.log_output(&question.redactor);
                Err(subject.died(&ended, &worker.process.output.tail(), 0))
            }
        }
    }

    fn listen(&self, worker: &mut Worker, token: u64, question: &Question) -> End {
        let subject = &question.subject;
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let mut watched = vec![worker.channel.as_fd(), worker.process.watched()];
            watched.extend(worker.process.output.watched());
            let ready = match wait::readable(&watched, Some(left)) {
                Ok(ready) => ready,
                Err(error) => return End::Unusable(subject.protocol(format!("cannot wait for it: {error}"))),
            };
            if ready.get(2) == Some(&true) {
                worker.log_output(&question.redactor);
            }
            if ready.first() == Some(&true) {
                if let Some(end) = hear(worker, token, question) {
                    return end;
                }
            } else if ready.get(1) == Some(&true) {
                return End::Gone;
            }
            if left.is_zero() {
                return End::Unusable(self.late(subject));
            }
        }
    }

    fn late(&self, subject: &Subject) -> Failure {
        let seconds = self.patience.as_secs();
        let message = format!("{} was given up: all questions of this kind may take {seconds} s", subject.doing);
        let mut failure = subject.failure(FailureKind::Timeout, message);
        failure.hints.push("look at what the dataset's type waits for: a server, a slow disk".to_owned());
        failure
    }
}

/// Takes one message; says if the question is over.
fn hear(worker: &Worker, token: u64, question: &Question) -> Option<End> {
    let subject = &question.subject;
    let event = match worker.channel.receive() {
        Ok(event) => event,
        Err(ChannelError::Closed) => return Some(End::Gone),
        Err(error) => return Some(End::Unusable(subject.protocol(error.to_string()))),
    };
    match event {
        WorkerEvent::Log(record) => {
            let message = question.redactor.redact(record.message);
            log::info!(target: "plugin", "{}: {message}", record.target);
            None
        }
        WorkerEvent::Done { token: found, answer, .. } if found == token => Some(match answer.trim() {
            "true" => End::Answered(Ok(true)),
            "false" => End::Answered(Ok(false)),
            other => End::Answered(Err(subject.protocol(format!("it answered {other:?}, expected true or false")))),
        }),
        WorkerEvent::Failed { token: found, failure, .. } if found == token => {
            Some(End::Answered(Err(subject.reported(failure))))
        }
        WorkerEvent::Reserve { token: found, .. } if found == token => {
            let refused = worker.channel.refuse(token, "a question is answered without datasets".to_owned());
            refused.err().map(|error| End::Unusable(subject.protocol(error.to_string())))
        }
        other => Some(End::Unusable(subject.protocol(format!("it spoke out of turn: {other:?}")))),
    }
}
