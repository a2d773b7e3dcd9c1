//! Questions to dataset types that are no part of a run: does the data exist?
//!
//! They go to a worker of their own ([`super::beside`]), started for the batch. A question that costs the worker is named and the others go to
//! another one. All of it is bounded in time.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use engine::credentials::Redactor;
use engine::failure::{Failure, FailureKind};
use engine::plan::{Dataset, Persisted};

use crate::ipc::client::{TaskOperation, TaskRequest};
use crate::ipc::message::{DatasetOperation, Lasting};
use crate::server::beside::{self, Terms};
use crate::server::generations::Generation;
use crate::server::json::JsonObject;
use crate::server::pool::{Subject, Worker, describe_storage, doing_dataset};
use crate::server::versions;

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
        if let Some(answer) = question.answer {
            return Ok(answer);
        }
        let redact = |failure| question.redactor.redact_failure(failure);
        // Also of what no worker said; and it was none of the numbered ones.
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

impl Prober<'_> {
    fn ask(&mut self, token: u64, question: &Question) -> Result<bool, Failure> {
        let subject = &question.subject;
        if Instant::now() >= self.deadline {
            return Err(self.late(subject));
        }
        if self.lost >= WORKERS_LOST_MAX {
            return Err(subject.no_worker(format!("questions before this one cost {WORKERS_LOST_MAX} of them")));
        }
        let worker = match self.worker.take() {
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
                lasting: Lasting::ALL,
                file: None,
            },
        };
        let terms = Terms {
            subject,
            redactor: &question.redactor,
            deadline: self.deadline,
            late: &|| self.late(subject),
            reserve: &mut |_| Err("a question is answered without datasets".to_owned()),
        };
        match beside::perform(worker, &request, terms) {
            Ok((mut worker, answer)) => {
                worker.process.output.forget_tail();
                self.worker = Some(worker);
                match answer?.answer.trim() {
                    "true" => Ok(true),
                    "false" => Ok(false),
                    other => Err(subject.protocol(format!("it answered {other:?}, expected true or false"))),
                }
            }
            Err(failure) => {
                self.lost += 1;
                Err(failure)
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
