//! What hooks hear of tasks: [`before`] they go out, and [`after`] they have ended. Many at a time, where hooks are quick.
//!
//! What hooks have heard stays with the task ([`Heard`]), wherever it goes from there: they are asked about an attempt once. How
//! long who asks may look for what they say is said in [`super::spin`].
#![forbid(unsafe_code)]

mod after;
mod before;

use engine::failure::Failure;
use engine::plan::InputBinding;

use super::Job;
use super::adopt::Output;
use super::request::Work;
use crate::block::Block;
use crate::ipc::client::Input;
use crate::server::hooks::Telling;

pub use after::{End, Finished};
pub use before::Waiting;

/// What an event says of a small node takes no more than so many bytes.
const DETAILS_BYTES: usize = 384;

/// What the hooks that heard of an attempt before it began have made of it.
#[derive(Debug)]
pub struct Heard {
    /// The blocks it reads, with their input ports.
    pub inputs: Vec<(usize, Block)>,
    /// Some of them a hook has put there.
    pub has_new_inputs: bool,
    /// When they were asked, in microseconds since 1970.
    pub asked_us: i64,
}

impl Heard {
    /// What hooks said to what they were told, if they would have the task.
    fn of(telling: Telling<'_>, mut inputs: Vec<(usize, Block)>, asked_us: i64) -> Result<Heard, Box<Failure>> {
        telling.result?;
        if telling.has_new_inputs {
            for ((_, block), input) in inputs.iter_mut().zip(telling.inputs) {
                if let Input::Block(new) = input {
                    *block = new;
                }
            }
        }
        Ok(Heard { inputs, has_new_inputs: telling.has_new_inputs, asked_us })
    }
}

/// The blocks that a task reads, with their input ports; some of them may just have been `made`, and their run does not have them yet.
pub fn shown_inputs(job: &Job, made: &[Output]) -> Vec<(usize, Block)> {
    let run = &job.run;
    let block = |dataset| {
        let made = made.iter().find(|output| output.dataset == Some(dataset));
        made.map(|output| output.block.clone()).or_else(|| run.block(dataset))
    };
    match Work::of_job(job) {
        Some(Work::Call(node)) => {
            let input = |(port, input): (usize, &Option<InputBinding>)| match input {
                Some(InputBinding::Dataset(dataset)) => Some((port, block(*dataset)?)),
                _ => None,
            };
            node.inputs.iter().enumerate().filter_map(input).collect()
        }
        Some(Work::Save(dataset, _)) => run.block(dataset.id).map(|block| (0, block)).into_iter().collect(),
        Some(Work::Load(..) | Work::Confirm(..)) | None => Vec::new(),
    }
}
