//! A call's inputs: each mapped when it is first asked for.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use plugin_api::abi::{Failure, InputBlock, SharedBytes, failure_kind, format};

use super::PROTOCOL;
use crate::block::view::{View, ViewProblem};
use crate::ipc::message::{BlockPlace, InputValue};
use crate::ipc::ring::record::SmallBlock;

/// All of them.
pub struct Inputs<'a>(Mutex<Vec<Slot<'a>>>);

/// One of them.
enum Slot<'a> {
    Absent,
    /// In a record of the ring: copied out when it is asked for, as few ask twice.
    Small(SmallBlock<'a>),
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

impl<'a> Inputs<'a> {
    pub(super) fn new(values: Vec<InputValue>, descriptors: Vec<OwnedFd>) -> Result<Inputs<'a>, Failure> {
        let mut descriptors: Vec<_> = descriptors.into_iter().map(Some).collect();
        let slots: Result<Vec<Slot<'_>>, Failure> =
            values.into_iter().map(|value| slot(value, &mut descriptors)).collect();
        Ok(Inputs(Mutex::new(slots?)))
    }

    /// Inputs that are small, or absent.
    pub fn small(blocks: impl Iterator<Item = Option<SmallBlock<'a>>>) -> Inputs<'a> {
        Inputs(Mutex::new(blocks.map(|block| block.map_or(Slot::Absent, Slot::Small)).collect()))
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
            Slot::Small(block) => {
                Ok(Some(InputBlock::new(block.payload.to_vec().into(), block.format.as_str(), block.metadata)))
            }
            Slot::Ready(block) => Ok(Some(block.clone())),
            Slot::Broken(failure) => Err(failure.clone()),
        }
    }
}

fn slot<'a>(value: InputValue, descriptors: &mut [Option<OwnedFd>]) -> Result<Slot<'a>, Failure> {
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
