//! What is answered to a job once its batch is committed, or has failed to be.

use std::sync::Arc;

use protocol::RunDetail;

use super::StoreError;
use super::kept::Kept;
use super::ledger::Entries;
use super::pending::Pending;
use super::writer::{Job, Reply, Then};

/// To be done once the batch is committed, or has failed to.
pub(super) type Answer = Box<dyn FnOnce(Result<(), StoreError>, &mut Kept)>;

/// The answer of a job that was never tried, for a batch that failed.
pub(super) fn refusal(job: Job) -> Answer {
    match job {
        Job::Interrupt { reply, .. } => answer_with(reply, Ok(())),
        Job::Prune { reply, .. } => answer_with(reply, Ok(0)),
        Job::Flush { reply } => flushed(reply),
        Job::Fetch { ledger } => Box::new(move |_, _| ledger.take_back(Entries::default())),
        Job::Finish { detail, then } => {
            let job = Job::Finish { detail: Arc::clone(&detail), then: None };
            and_then(kept_if_failed(job), detail, then)
        }
        job @ (Job::Update { .. } | Job::Logs { .. }) => kept_if_failed(job),
    }
}

fn kept_if_failed(job: Job) -> Answer {
    Box::new(move |committed, kept| {
        if let Err(error) = committed {
            kept.keep(job, error);
        }
    })
}

/// For a job that nobody waits for: what it said is let go from memory when it is on disk, and kept until then.
pub(super) fn done_or_kept(result: Result<(), StoreError>, pending: Arc<Pending>, job: Job) -> Answer {
    Box::new(move |committed, kept| match (committed.and(result), &job) {
        (Ok(()), Job::Update { summary }) => pending.written_summary(summary),
        (Ok(()), Job::Finish { detail, .. }) => pending.written_detail(detail),
        (Ok(()), _) => (),
        (Err(error), _) => kept.keep(job, error),
    })
}

/// Calls what follows when the answer was given, whether it was good or not.
pub(super) fn and_then(answer: Answer, detail: Arc<RunDetail>, then: Option<Then>) -> Answer {
    Box::new(move |committed, kept| {
        answer(committed, kept);
        if let Some(then) = then {
            then(detail);
        }
    })
}

pub(super) fn answer_with<T: 'static>(reply: Reply<T>, result: Result<T, StoreError>) -> Answer {
    Box::new(move |committed, _| {
        // Who asked may have given up waiting.
        let _ = reply.send(committed.and(result));
    })
}

/// Everything is on disk if the batch is, and nothing from before is kept.
pub(super) fn flushed(reply: Reply<()>) -> Answer {
    Box::new(move |committed, kept| {
        // Who asked may have given up waiting.
        let _ = reply.send(committed.and_then(|()| kept.verdict()));
    })
}
