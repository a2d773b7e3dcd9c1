//! Whose outputs are kept, and which go first. Every run's end passes here, so nothing takes longer for the runs before it.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use engine::id::Time;

use super::{Kept, Output, Place};

/// Of so many outputs at most something is remembered; of more, whole runs are forgotten, the oldest first.
const OUTPUTS_MAX: usize = 20_000;

/// Outputs of one run. The plan is not kept: it may be large, and ten minutes are long.
#[derive(Debug)]
pub(super) struct RunOutputs {
    pub(super) ended: Time,
    pub(super) expires: Time,
    /// By name. A list, as most runs have one output or two, and there may be thousands of runs.
    outputs: Vec<(String, Output)>,
    /// Whether they were taken over from another process: then they may expire before those that came earlier.
    is_adopted: bool,
}

/// The table; behind one lock. Runs are numbered as they come, so the first number is the oldest run.
#[derive(Debug)]
pub(super) struct Table {
    /// Of so many runs that nobody asked anything of, outputs are kept.
    unasked_runs_max: usize,
    numbers: HashMap<String, u64>,
    runs: BTreeMap<u64, (String, RunOutputs)>,
    last_number: u64,
    /// Runs of which no output was asked for.
    unasked: BTreeSet<u64>,
    /// Runs that have outputs in memory that were not asked for.
    spare: BTreeSet<u64>,
    outputs: usize,
    spare_bytes: u64,
}

impl RunOutputs {
    /// Of a run that ended.
    pub(super) fn new(ended: Time, expires: Time, mut outputs: Vec<(String, Output)>) -> RunOutputs {
        outputs.sort_by(|one, other| one.0.cmp(&other.0));
        RunOutputs { ended, expires, outputs, is_adopted: false }
    }

    /// The output of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Output> {
        let place = self.outputs.binary_search_by(|(candidate, _)| candidate.as_str().cmp(name)).ok()?;
        self.outputs.get(place).map(|(_, output)| output)
    }

    /// All of them, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Output)> {
        self.outputs.iter().map(|(name, output)| (name.as_str(), output))
    }

    fn has_wanted(&self) -> bool {
        self.outputs.iter().any(|(_, output)| output.is_wanted)
    }

    fn spare_bytes(&self) -> u64 {
        self.outputs.iter().map(|(_, output)| output.spare_bytes()).sum()
    }
}

impl Output {
    /// What it takes of memory that may be taken from it.
    fn spare_bytes(&self) -> u64 {
        match &self.place {
            Some(Place::Memory(kept)) if !self.is_wanted => kept.block.size(),
            _ => 0,
        }
    }
}

impl Table {
    /// An empty one; with 0, the number of runs is not bounded.
    pub(super) fn new(unasked_runs_max: usize) -> Table {
        Table {
            unasked_runs_max: if unasked_runs_max == 0 { usize::MAX } else { unasked_runs_max },
            numbers: HashMap::new(),
            runs: BTreeMap::new(),
            last_number: 0,
            unasked: BTreeSet::new(),
            spare: BTreeSet::new(),
            outputs: 0,
            spare_bytes: 0,
        }
    }

    /// Adds a run's outputs; gives those that are forgotten for it, to be dropped without the lock. The newest run stays, however
    /// many outputs it has.
    pub(super) fn insert(&mut self, run: &str, outputs: RunOutputs) -> Vec<RunOutputs> {
        let mut forgotten: Vec<RunOutputs> = self.remove_named(run).into_iter().collect();
        let number = self.add(run, outputs);
        while self.unasked.len() > self.unasked_runs_max {
            let oldest = self.unasked.first().copied().filter(|oldest| *oldest != number);
            let Some(removed) = oldest.and_then(|oldest| self.remove(oldest)) else { break };
            forgotten.push(removed);
        }
        while self.outputs > OUTPUTS_MAX {
            let oldest = self.runs.keys().next().copied().filter(|oldest| *oldest != number);
            let Some(removed) = oldest.and_then(|oldest| self.remove(oldest)) else { break };
            forgotten.push(removed);
        }
        forgotten
    }

    /// Adds an output that another process kept.
    pub(super) fn adopt(&mut self, run: &str, ended: Time, expires: Time, name: String, output: Output) {
        let before = self.remove_named(run);
        let (mut outputs, expires) = match before {
            Some(before) => (before.outputs, before.expires.min(expires)),
            None => (Vec::new(), expires),
        };
        outputs.retain(|(other, _)| *other != name);
        outputs.push((name, output));
        self.add(run, RunOutputs { is_adopted: true, ..RunOutputs::new(ended, expires, outputs) });
    }

    /// The outputs of a run.
    pub(super) fn get(&self, run: &str) -> Option<&RunOutputs> {
        self.runs.get(self.numbers.get(run)?).map(|(_, outputs)| outputs)
    }

    /// All of them, the oldest run first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &RunOutputs)> {
        self.runs.values().map(|(run, outputs)| (run.as_str(), outputs))
    }

    /// An output is no longer wanted by anybody.
    pub(super) fn fetched(&mut self, run: &str, name: &str) {
        let Some(number) = self.numbers.get(run).copied() else { return };
        let Some((_, outputs)) = self.runs.get_mut(&number) else { return };
        let Some((_, output)) = outputs.outputs.iter_mut().find(|(other, _)| other == name) else { return };
        if std::mem::take(&mut output.is_wanted) {
            let bytes = output.spare_bytes();
            self.spare_bytes += bytes;
            if bytes > 0 {
                self.spare.insert(number);
            }
            if !outputs.has_wanted() {
                self.unasked.insert(number);
            }
        }
    }

    /// What outputs take that nobody asked for.
    pub(super) fn spare_bytes(&self) -> u64 {
        self.spare_bytes
    }

    /// Drops at least so many bytes of what nobody asked for, the oldest first. The blocks are the caller's to let go of, without the
    /// lock.
    pub(super) fn drop_oldest(&mut self, bytes: u64, why: &str) -> Vec<Arc<Kept>> {
        let mut dropped = Vec::new();
        let mut freed = 0_u64;
        while freed < bytes {
            let Some(number) = self.spare.first().copied() else { break };
            let Some((_, outputs)) = self.runs.get_mut(&number) else { break };
            for (_, output) in outputs.outputs.iter_mut().filter(|(_, output)| output.spare_bytes() > 0) {
                if freed >= bytes {
                    break;
                }
                let size = output.spare_bytes();
                if let Some(Place::Memory(kept)) = output.place.replace(Place::Gone(why.to_owned())) {
                    dropped.push(kept);
                }
                freed += size;
                self.spare_bytes = self.spare_bytes.saturating_sub(size);
            }
            if outputs.spare_bytes() == 0 {
                self.spare.remove(&number);
            }
        }
        dropped
    }

    /// When the next run expires.
    pub(super) fn next_expiry(&self) -> Option<Time> {
        self.next().map(|(expires, _)| expires)
    }

    /// Takes out the runs that have expired.
    pub(super) fn take_expired(&mut self, now: Time) -> Vec<RunOutputs> {
        let mut expired = Vec::new();
        while let Some((_, number)) = self.next().filter(|(expires, _)| *expires <= now) {
            expired.extend(self.remove(number));
        }
        expired
    }

    /// Runs expire in their order, but for those that were adopted, which are few and come first.
    fn next(&self) -> Option<(Time, u64)> {
        let mut next = None;
        for (number, (_, run)) in &self.runs {
            let this = (run.expires, *number);
            next = Some(next.map_or(this, |next| this.min(next)));
            if !run.is_adopted {
                break;
            }
        }
        next
    }

    fn add(&mut self, run: &str, outputs: RunOutputs) -> u64 {
        self.last_number += 1;
        let number = self.last_number;
        self.outputs += outputs.outputs.len();
        let bytes = outputs.spare_bytes();
        self.spare_bytes += bytes;
        if bytes > 0 {
            self.spare.insert(number);
        }
        if !outputs.has_wanted() {
            self.unasked.insert(number);
        }
        self.numbers.insert(run.to_owned(), number);
        self.runs.insert(number, (run.to_owned(), outputs));
        number
    }

    fn remove_named(&mut self, run: &str) -> Option<RunOutputs> {
        let number = self.numbers.get(run).copied()?;
        self.remove(number)
    }

    fn remove(&mut self, number: u64) -> Option<RunOutputs> {
        let (run, outputs) = self.runs.remove(&number)?;
        self.numbers.remove(&run);
        self.unasked.remove(&number);
        self.spare.remove(&number);
        self.outputs = self.outputs.saturating_sub(outputs.outputs.len());
        self.spare_bytes = self.spare_bytes.saturating_sub(outputs.spare_bytes());
        Some(outputs)
    }
}
