//! One load or save that is no part of a run: for an output that a client fetches.
//!
//! It goes to a worker of its own ([`super::beside`]), as the questions of [`super::probe`] do.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::credentials::Redactor;
use engine::failure::{Failure, FailureKind};

use crate::block::Block;
use crate::block::adopt::ClaimedBlock;
use crate::ipc::client::{Input, TaskOperation, TaskRequest};
use crate::ipc::message::{DatasetOperation, Lasting};
use crate::server::beside::{self, Terms};
use crate::server::budget::Charge;
use crate::server::generations::Generation;
use crate::server::pool::Subject;
use crate::server::services::Services;

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
    let worker = generation.extra_worker().map_err(|reason| subject.no_worker(reason))?;
    let request = TaskRequest {
        token: TOKEN,
        plugin: errand.plugin.0,
        argument: errand.argument.clone(),
        operation: TaskOperation::Dataset {
            dataset_type: errand.dataset_type,
            operation,
            input: errand.input.clone().map(Input::Block),
            lasting: Lasting::ALL,
            file: None,
        },
    };
    let late = || {
        let message = format!("{} was given up after {} s", subject.doing, PATIENCE.as_secs());
        subject.failure(FailureKind::Timeout, message)
    };
    let terms = Terms {
        subject,
        redactor: &errand.redactor,
        deadline: Instant::now() + PATIENCE,
        late: &late,
        reserve: &mut |bytes| charge.grow(bytes),
    };
    let (worker, answer) = beside::perform(worker, &request, terms)?;
    worker.quit();
    answer.map(|handed| handed.outputs)
}
