//! Errands: what a worker is asked between jobs. One kind so far: a dataset type lets go of what it keeps for a dataset, in the
//! very process that loaded or saved it.
//!
//! No run waits for an errand, and none fails by one: what goes wrong is a warning in the run's log. Errands that are
//! there when the pool stops are done before the worker leaves.
#![forbid(unsafe_code)]

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::id::DatasetId;
use engine::plan::{Dataset, Persisted};
use protocol::LogSource;

use super::failure::Subject;
use super::request::{describe_storage, doing_dataset};
use super::worker::Worker;
use super::{Driver, WorkerState};
use crate::ipc::client::{TaskOperation, TaskRequest, WorkerEvent};
use crate::ipc::message::{DatasetOperation, Lasting};
use crate::ipc::ring::record::{Head, Record};
use crate::server::json::JsonObject;
use crate::server::runs::{Origin, Run};
use crate::sys::wait;

/// How long an errand may take: whoever lets go of memory is quick, and a job may be waiting.
const PATIENCE: Duration = Duration::from_secs(10);

/// A worker that does not ring is looked at so often.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// What a driver's worker is asked.
#[derive(Debug)]
pub struct Errand {
    /// For whom.
    pub run: Arc<Run>,
    /// What is to be let go of.
    pub dataset: DatasetId,
    /// The process that has it.
    pub pid: u32,
}

/// How an errand ended, for the worker.
enum End {
    Done,
    Failed(String),
    /// The worker must not be used again.
    Lost(String),
}

impl Driver {
    /// Does what has gathered.
    pub(super) fn do_errands(&mut self) {
        if self.slot().has_errands() {
            // It may take a while, and a job may lie in a queue that was left for this driver.
            self.shared.queues.wake_for_work();
        }
        while let Some(errand) = self.slot().next_errand() {
            self.do_errand(&errand);
        }
    }

    fn do_errand(&mut self, errand: &Errand) {
        let run = &errand.run;
        let Some((dataset, storage)) = run.plan.dataset(errand.dataset).and_then(|it| Some((it, it.storage?))) else {
            return;
        };
        // A worker that is another process by now has nothing to let go of.
        let Some(mut worker) = self.worker.take_if(|worker| worker.process.pid == errand.pid) else { return };
        self.last_token += 1;
        let end = release(&mut worker, self.last_token, run, &dataset, storage, self.number);
        let origin = Origin { node: Some(dataset.name), plugin: &storage.plugin_name, worker: Some(self.number) };
        for line in worker.process.output.read() {
            run.log_line(&origin, LogSource::Output, "info", String::new(), line);
        }
        let warn = |why: &str| {
            let message = format!("{}: {why}", doing_dataset("releasing", dataset.name, storage));
            run.log_line(&origin, LogSource::Daemon, "warn", "release".to_owned(), message);
        };
        match end {
            End::Done => self.worker = Some(worker),
            End::Failed(why) => {
                warn(&why);
                self.worker = Some(worker);
            }
            End::Lost(why) => {
                warn(&why);
                worker.kill();
                self.slot().set_worker(WorkerState::Starting, 0);
            }
        }
    }
}

fn release(worker: &mut Worker, token: u64, run: &Run, dataset: &Dataset<'_>, storage: &Persisted, number: u32) -> End {
    let mut argument = JsonObject::new();
    argument.text("run", &run.id);
    describe_storage(&mut argument, dataset.name, storage);
    let request = TaskRequest {
        token,
        plugin: storage.plugin,
        argument: argument.end(),
        operation: TaskOperation::Dataset {
            dataset_type: storage.dataset_type,
            operation: DatasetOperation::Release,
            input: None,
            lasting: Lasting::ALL,
            file: None,
        },
    };
    if let Err(error) = worker.channel.send_task(&request, &[]) {
        return End::Lost(error.to_string());
    }
    worker.sent += 1;
    let mut record = Record::default();
    record.message(Head { token, messages: worker.sent });
    // There is nothing else in the ring: errands are done between tasks.
    if worker.rings.push(&record, None).is_none() {
        return End::Lost("the worker's ring has no room".to_owned());
    }
    worker.rings.publish();
    let deadline = Instant::now() + PATIENCE;
    let doing = doing_dataset("releasing", dataset.name, storage);
    let subject = Subject { doing, plugin: storage.plugin_name.clone(), worker: number };
    let origin = Origin { node: Some(dataset.name), plugin: &storage.plugin_name, worker: Some(number) };
    // Its end comes as a message; the answer in the ring says that the worker is ready for the next task. It needs both.
    let (mut end, mut is_answered) = (None, false);
    loop {
        while let Some(event) = match worker.channel.try_receive() {
            Ok(event) => event,
            Err(error) => return End::Lost(error.to_string()),
        } {
            worker.received += 1;
            match event {
                WorkerEvent::Log(record) => {
                    run.log_line(&origin, LogSource::Log, "info", record.target, record.message);
                }
                WorkerEvent::SegmentDropped(number) => worker.segment_dropped(number),
                WorkerEvent::Done { token: found, .. } if found == token => end = Some(End::Done),
                WorkerEvent::Failed { token: found, failure, .. } if found == token => {
                    end = Some(End::Failed(subject.reported(failure).message));
                }
                _ => return End::Lost("the worker spoke out of turn".to_owned()),
            }
        }
        match worker.rings.take_answer(&mut record) {
            Ok(false) => {}
            Ok(true) => match record.as_answer() {
                Ok(answer) if answer.head.token == token => is_answered = true,
                Ok(_) => return End::Lost("the worker answered to another task".to_owned()),
                Err(problem) => return End::Lost(problem.to_string()),
            },
            Err(problem) => return End::Lost(problem.to_string()),
        }
        if is_answered && let Some(end) = end.take() {
            return end;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        match worker.rings.lie_down(1) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(problem) => return End::Lost(problem.to_string()),
        }
        let watched = [worker.rings.as_fd(), worker.channel.as_fd(), worker.process.watched()];
        let ready = wait::readable(&watched, Some(left.min(LOOK_INTERVAL)));
        worker.rings.get_up(ready.as_ref().is_ok_and(|ready| ready.first() == Some(&true)));
        match ready {
            Ok(ready) if ready.get(2) == Some(&true) && ready.get(1) != Some(&true) => {
                return End::Lost("the worker ended".to_owned());
            }
            Ok(_) => {}
            Err(error) => return End::Lost(format!("the worker cannot be waited for: {error}")),
        }
        if left.is_zero() {
            return End::Lost(format!("it took longer than {} s", PATIENCE.as_secs()));
        }
    }
}
