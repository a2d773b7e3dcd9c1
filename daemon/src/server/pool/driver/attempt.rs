//! One task, before it goes out and after it has ended: what hooks are shown of it, and what it made, for its run.
#![forbid(unsafe_code)]

use std::sync::Arc;

use engine::failure::Failure;
use engine::id::DatasetId;

use super::Driver;
use super::adopt::Output;
use super::failure::Subject;
use super::hearing::{self, End};
use super::request::Work;
use crate::block::Block;
use crate::ipc::client::Input;
use crate::ipc::message::SavedChunks;
use crate::server::budget::Allowance;
use crate::server::hooks::HookEventName;
use crate::server::pool::Job;
use crate::server::residents::Share;
use crate::server::runs::{Keep, Made};

/// What hooks are shown of a task: its blocks and its times.
#[derive(Debug, Default)]
pub struct Shown {
    /// The blocks it reads, with their input ports.
    pub inputs: Vec<(usize, Block)>,
    /// When it started and finished, in microseconds since 1970.
    pub times_us: (i64, i64),
    /// The output whose chunks could not be saved, if that is why a call failed.
    pub unsaved: Option<DatasetId>,
    /// What a call saved chunk by chunk: how many chunks, of how many bytes.
    pub saved: Vec<(DatasetId, SavedChunks)>,
}

impl Driver {
    /// What hooks are shown of a task, if any hook wants to hear of such.
    pub fn shown(&self, job: &Job, work: &Work<'_>) -> Option<Box<Shown>> {
        let hooks = &job.run.generation.hooks;
        if hooks.want_nothing() || !work.events().into_iter().any(|event| hooks.wants(event)) {
            return None;
        }
        let (inputs, sent_us) = match &job.heard {
            Some(heard) => (heard.inputs.clone(), heard.asked_us),
            None => (hearing::shown_inputs(job, &[]), self.shared.services.clock.unix_us_now()),
        };
        Some(Box::new(Shown { inputs, times_us: (sent_us, sent_us), ..Shown::default() }))
    }

    /// Gives the inputs of a task, as hooks have left them.
    pub fn inputs(job: &Job, work: &Work<'_>, subject: &Subject) -> Result<Vec<Input>, Failure> {
        let mut inputs = work.inputs(&job.run, subject)?;
        if let Some(heard) = job.heard.as_ref().filter(|heard| heard.has_new_inputs) {
            for (port, block) in &heard.inputs {
                if let Some(input) = inputs.get_mut(*port) {
                    *input = Input::Block(block.clone());
                }
            }
        }
        if let (Work::Save(..), Some(Input::Block(block))) = (work, inputs.first()) {
            work.check_schema(&job.run, block, subject)?;
        }
        Ok(inputs)
    }

    /// Tells the hooks how a task ended; what it made, for its run.
    pub fn conclude(
        &self,
        job: &Job,
        shown: &mut Option<Box<Shown>>,
        share: &mut Share,
        result: Result<Vec<Output>, Failure>,
    ) -> Result<Made, Failure> {
        let result = if job.run.generation.hooks.want_nothing() {
            result.map_err(|failure| job.run.redacted(failure))
        } else {
            let mut ends =
                [End { job, shown: shown.get_or_insert_default(), took_ns: None, result: result.map_err(Box::new) }];
            self.tell_ends(&mut ends, None);
            let [End { result, .. }] = ends;
            result.map_err(|failure| *failure)
        };
        Ok(self.made(job, shown, share, result?))
    }

    /// What a task made, for its run.
    pub fn made(&self, job: &Job, shown: &mut Option<Box<Shown>>, share: &mut Share, outputs: Vec<Output>) -> Made {
        for (dataset, SavedChunks { chunks, bytes, .. }) in shown.iter_mut().flat_map(|shown| shown.saved.drain(..)) {
            job.run.note_chunks(dataset, chunks, bytes);
        }
        let made = |Output { dataset, block, charge, .. }: Output| {
            let keep = match (share.take_loading(), charge) {
                (Some(loading), charge) => {
                    let charge = charge.unwrap_or_else(|| self.shared.services.budget.charge(block.size()));
                    Keep::Lease(loading.finish(block.clone(), charge))
                }
                (None, Some(charge)) => Keep::Charge(charge),
                (None, None) => Keep::Small,
            };
            Some((dataset?, block, keep))
        };
        outputs.into_iter().filter_map(made).collect()
    }

    /// What failures of a task are about. Texts are made for it, so it is for when they are needed.
    pub fn subject(&self, job: &Job) -> Subject {
        match Work::of_job(job) {
            Some(work) => work.subject(self.number),
            None => Subject { doing: format!("at task {}", job.task), plugin: String::new(), worker: self.number },
        }
    }

    /// What a task was granted so far, from the first time it asks.
    pub fn allowance<'f>(&self, allowance: &'f mut Option<Box<Allowance>>) -> &'f mut Allowance {
        allowance.get_or_insert_with(|| {
            let (budget, party) = (&self.shared.services.budget, &self.shared.party);
            Box::new(Allowance::new(Arc::clone(budget), Arc::clone(party), Arc::clone(self.slot().bell())))
        })
    }
}

impl Work<'_> {
    /// The hook events of this kind of work: before, after, on error.
    pub fn events(&self) -> [HookEventName; 3] {
        use HookEventName as Name;
        match self {
            Work::Call(_) => [Name::BeforeNodeRun, Name::AfterNodeRun, Name::OnNodeError],
            Work::Load(..) => [Name::BeforeDatasetLoaded, Name::AfterDatasetLoaded, Name::OnDatasetError],
            Work::Save(..) => [Name::BeforeDatasetSaved, Name::AfterDatasetSaved, Name::OnDatasetError],
            // Hooks hear of it only when it fails.
            Work::Confirm(..) => [Name::OnDatasetError; 3],
        }
    }
}
