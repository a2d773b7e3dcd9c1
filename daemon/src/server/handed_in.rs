//! What came with a submission: finds the bytes that it names.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::id::DatasetId;
use engine::plan::Plan;
use protocol::{InputData, Problem, Submission};

use crate::server::uploads::{Upload, Uploads};

/// The bytes that a submission names, by the dataset of the plan that they are; or a problem for each that is not there.
pub fn uploads(
    uploads: &Uploads,
    submission: &Submission,
    plan: &Plan,
) -> Result<BTreeMap<DatasetId, Arc<Upload>>, Vec<Problem>> {
    let mut found = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, input) in &submission.inputs {
        let InputData::Block(block) = input else { continue };
        // What no node of the plan reads was told while planning, or is left out by a filter.
        let Some(dataset) = plan.find_dataset(name) else { continue };
        match uploads.find(&block.id) {
            Some(upload) => {
                found.insert(dataset, upload);
            }
            None => problems.push(Problem {
                code: "unknown-block".to_owned(),
                message: format!("the bytes of `{name}` ({}) are not in the daemon's memory", block.name),
                place: None,
                causes: vec![match block.id.as_str() {
                    "" => "the submission names no block for them".to_owned(),
                    id => format!("there is no block {id:?}: a run has used it, or it has expired"),
                }],
                hints: vec![
                    "send them with `POST /v1/blocks` and name the id that it answers; `--input NAME=@FILE` does both"
                        .to_owned(),
                ],
            }),
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}
