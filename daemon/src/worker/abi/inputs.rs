//! A call's inputs: each mapped when it is first asked for.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use plugin_api::abi::{Failure, InputBlock, SharedBytes, failure_kind, format};

use super::PROTOCOL;
use crate::block::view::{View, ViewProblem};
use crate::ipc::message::{BlockPlace, InputValue};

/// All of them.
pub(super) struct Inputs(Mutex<Vec<Slot>>);

/// One of them.
enum Slot {
    Absent,
    /// Never asked for so far.
    Waiting {
        file: OwnedFd,
        size: u64,
        format: String,
        metadata: String,
    },
    /// There; a second request gets the same bytes.
    Ready(InputBlock),
    /// It could not be mapped, and will not be.
    Broken(Failure),
}

impl Inputs {
    pub(super) fn new(values: Vec<InputValue>, descriptors: Vec<OwnedFd>) -> Result<Inputs, Failure> {
        let mut descriptors: Vec<_> = descriptors.into_iter().map(Some).collect();
        let slots: Result<Vec<Slot>, Failure> = values.into_iter().map(|value| slot(value, &mut descriptors)).collect();
        Ok(Inputs(Mutex::new(slots?)))
    }

    pub(super) fn get(&self, port: u32) -> Result<Option<InputBlock>, Failure> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(slot) = slots.get_mut(port as usize) else { return Ok(None) };
        if let Slot::Waiting { .. } = slot {
            *slot = match std::mem::replace(slot, Slot::Absent) {
                Slot::Waiting { file, size, format, metadata } => {
                    open(port, file, size, &format, &metadata).map_or_else(Slot::Broken, Slot::Ready)
                }
                other => other,
            };
        }
        match slot {
            Slot::Absent | Slot::Waiting { .. } => Ok(None),
            Slot::Ready(block) => Ok(Some(block.clone())),
            Slot::Broken(failure) => Err(failure.clone()),
        }
    }
}

fn slot(value: InputValue, descriptors: &mut [Option<OwnedFd>]) -> Result<Slot, Failure> {
    let block = match value {
        InputValue::Absent => return Ok(Slot::Absent),
        InputValue::Json(json) => {
            return Ok(Slot::Ready(InputBlock::new(json.into_bytes().into(), format::JSON, "")));
        }
        InputValue::Block(block) => block,
    };
    match block.place {
        BlockPlace::Inline(payload) => Ok(Slot::Ready(InputBlock::new(payload.into(), &block.format, &block.metadata))),
        BlockPlace::Memfd { descriptor, size } => {
            let file = descriptors.get_mut(descriptor as usize).and_then(Option::take).ok_or_else(|| {
                Failure::new(
                    PROTOCOL,
                    format!("block {} names descriptor {descriptor}, which did not come along", block.id),
                )
            })?;
            Ok(Slot::Waiting { file, size, format: block.format, metadata: block.metadata })
        }
    }
}

fn open(port: u32, file: OwnedFd, size: u64, format: &str, metadata: &str) -> Result<InputBlock, Failure> {
    let problem = |problem: &dyn std::fmt::Display| {
        Failure::new(failure_kind::INPUT, format!("the block at input port {port} cannot be read: {problem}"))
    };
    let view = View::open(file, size).map_err(|found| match &found {
        ViewProblem::Map { source, .. } if source.kind() == std::io::ErrorKind::OutOfMemory => {
            problem(&found).with_hint("this process may have too many mappings (sysctl vm.max_map_count)")
        }
        _ => problem(&found),
    })?;
    if view.layout().format().as_str() != format {
        return Err(problem(&format_args!("its format is {}, {format} was announced", view.layout().format())));
    }
    Ok(InputBlock::new(SharedBytes::from_owner(Arc::new(view)), format, metadata))
}
