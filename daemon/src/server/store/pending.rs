//! What was said about runs and is not on disk yet, so that reading never lags behind.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::{RunDetail, RunSummary};

/// Newest known state of runs whose record is on its way to the disk.
#[derive(Debug, Default)]
pub(super) struct Pending {
    runs: Mutex<HashMap<String, Entry>>,
}

#[derive(Debug)]
enum Entry {
    Summary(Box<RunSummary>),
    Detail(Arc<RunDetail>),
}

impl Pending {
    pub(super) fn put_summary(&self, summary: RunSummary) {
        let id = summary.id.clone();
        self.lock().insert(id, Entry::Summary(Box::new(summary)));
    }

    pub(super) fn put_detail(&self, detail: Arc<RunDetail>) {
        let id = detail.summary.id.clone();
        self.lock().insert(id, Entry::Detail(detail));
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn summary(&self, id: &str) -> Option<RunSummary> {
        match self.lock().get(id)? {
            Entry::Summary(summary) => Some(RunSummary::clone(summary)),
            Entry::Detail(detail) => Some(detail.summary.clone()),
        }
    }

    pub(super) fn detail(&self, id: &str) -> Option<Arc<RunDetail>> {
        match self.lock().get(id)? {
            Entry::Summary(_) => None,
            Entry::Detail(detail) => Some(Arc::clone(detail)),
        }
    }

    pub(super) fn summaries(&self) -> HashMap<String, RunSummary> {
        let runs = self.lock();
        runs.iter()
            .map(|(id, entry)| match entry {
                Entry::Summary(summary) => (id.clone(), RunSummary::clone(summary)),
                Entry::Detail(detail) => (id.clone(), detail.summary.clone()),
            })
            .collect()
    }

    /// Whether this is still the newest that was said about the run.
    pub(super) fn awaits_summary(&self, said: &RunSummary) -> bool {
        matches!(self.lock().get(&said.id), Some(Entry::Summary(summary)) if **summary == *said)
    }

    /// Whether this report is still to be written.
    pub(super) fn awaits_detail(&self, said: &Arc<RunDetail>) -> bool {
        matches!(self.lock().get(&said.summary.id), Some(Entry::Detail(detail)) if Arc::ptr_eq(detail, said))
    }

    /// Forgets what is now on disk, unless something newer was said meanwhile.
    pub(super) fn written_summary(&self, written: &RunSummary) {
        let mut runs = self.lock();
        if matches!(runs.get(&written.id), Some(Entry::Summary(summary)) if **summary == *written) {
            runs.remove(&written.id);
        }
    }

    /// Forgets a report that is now on disk.
    pub(super) fn written_detail(&self, written: &Arc<RunDetail>) {
        let mut runs = self.lock();
        let id = &written.summary.id;
        if matches!(runs.get(id), Some(Entry::Detail(detail)) if Arc::ptr_eq(detail, written)) {
            runs.remove(id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
