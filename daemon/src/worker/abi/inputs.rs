//! A call's inputs: each mapped when it is first asked for.

use std::borrow::Cow;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use plugin_api::abi::{Failure, InputBlock, SharedBytes, failure_kind, format};

use super::{PROTOCOL, Setting, Spare};
use crate::block::pool::Pool;
use crate::block::view::{View, ViewProblem};
use crate::ipc::message::{BlockPlace, BlockReference, InputValue, SegmentPlace};
use crate::ipc::ring::record::{PartBlock, SmallBlock};

/// All of them.
pub struct Inputs<'a> {
    slots: Mutex<Vec<Slot<'a>>>,
    pool: Option<&'a Pool>,
    spare: &'a Spare,
    /// What was mapped of memory that is used again when nobody reads it any more.
    views: Mutex<Vec<Weak<View>>>,
}

/// What an input port is given, where a record of the ring says so.
#[derive(Debug)]
pub enum Given<'a> {
    /// Nothing.
    Absent,
    /// Bytes in the record.
    Small(SmallBlock<'a>),
    /// A block in a segment.
    Part(PartBlock),
}

/// What the ports of a call are given, one after the other.
#[derive(Default)]
pub struct Slots<'a>(Vec<Slot<'a>>);

/// One of them. Small: most are few bytes in a record.
enum Slot<'a> {
    Absent,
    /// In a record of the ring: copied out when it is asked for, as few ask twice.
    Small(SmallBlock<'a>),
    /// Never asked for so far.
    Waiting(Box<Waiting>),
    /// There; a second request gets the same bytes.
    Ready(Box<InputBlock>),
    /// It could not be mapped, and will not be.
    Broken(Box<Failure>),
}

/// A block in shared memory.
struct Waiting {
    format: Cow<'static, str>,
    /// As announced; nothing if the block itself is to say.
    metadata: Option<String>,
    place: Place,
    size: u64,
}

enum Place {
    /// A sealed file.
    File(OwnedFd),
    /// A segment that this process knows.
    Known { segment: SegmentPlace, offset: u64 },
    /// One that came along.
    Segment { file: OwnedFd, offset: u64 },
}

impl<'a> Inputs<'a> {
    pub(super) fn new(
        setting: &Setting<'a>,
        values: Vec<InputValue>,
        descriptors: Vec<OwnedFd>,
    ) -> Result<Inputs<'a>, Failure> {
        let mut descriptors: Vec<_> = descriptors.into_iter().map(Some).collect();
        let slots: Result<Vec<Slot<'_>>, Failure> =
            values.into_iter().map(|value| slot(value, &mut descriptors)).collect();
        Ok(Inputs::given(setting, Slots(slots?)))
    }

    /// As a record of the ring gives them.
    pub fn given(setting: &Setting<'a>, Slots(slots): Slots<'a>) -> Inputs<'a> {
        Inputs { slots: Mutex::new(slots), pool: setting.pool, spare: setting.spare, views: Mutex::default() }
    }

    pub(super) fn get(&self, port: u32) -> Result<Option<InputBlock>, Failure> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(slot) = slots.get_mut(port as usize) else { return Ok(None) };
        if let Slot::Waiting(_) = slot {
            *slot = match std::mem::replace(slot, Slot::Absent) {
                Slot::Waiting(waiting) => match self.open(port, *waiting) {
                    Ok(block) => ready(block),
                    Err(failure) => Slot::Broken(Box::new(failure)),
                },
                other => other,
            };
        }
        match slot {
            Slot::Absent | Slot::Waiting(_) => Ok(None),
            Slot::Small(block) => {
                Ok(Some(InputBlock::new(copied(block.payload), block.format.as_str(), block.metadata)))
            }
            Slot::Ready(block) => Ok(Some(InputBlock::clone(block))),
            Slot::Broken(failure) => Err(Failure::clone(failure)),
        }
    }

    fn open(&self, port: u32, waiting: Waiting) -> Result<InputBlock, Failure> {
        let Waiting { format, metadata, place, size } = waiting;
        let problem = |problem: &dyn std::fmt::Display| {
            Failure::new(failure_kind::INPUT, format!("the block at input port {port} cannot be read: {problem}"))
        };
        let is_shared = !matches!(place, Place::File(_));
        let view = match place {
            Place::File(file) => View::open(file, size),
            Place::Segment { file, offset } => View::in_file(&file, offset, size),
            Place::Known { segment, offset } => self
                .known(segment, offset, size)
                .ok_or_else(|| problem(&format_args!("it lies in {segment:?}, which is not known here")))?,
        };
        let view = view.map_err(|found| match &found {
            ViewProblem::Map { source, .. } if source.kind() == std::io::ErrorKind::OutOfMemory => {
                problem(&found).with_hint("this process may have too many mappings (sysctl vm.max_map_count)")
            }
            _ => problem(&found),
        })?;
        if view.layout().format().as_str() != format {
            return Err(problem(&format_args!("its format is {}, {format} was announced", view.layout().format())));
        }
        let metadata = match metadata {
            Some(metadata) => metadata,
            None => view.metadata().ok_or_else(|| problem(&"its metadata are not UTF-8"))?.to_owned(),
        };
        let view = Arc::new(view);
        if is_shared {
            self.views.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&view));
        }
        Ok(InputBlock::new(SharedBytes::from_owner(view), &format, &metadata))
    }

    /// A block in a segment that this process knows, if it does.
    fn known(&self, segment: SegmentPlace, offset: u64, size: u64) -> Option<Result<View, ViewProblem>> {
        let pool = self.pool?;
        match segment {
            SegmentPlace::Own { segment } => Some(View::own(pool.own(segment)?, offset, size)),
            SegmentPlace::Foreign { place, segment } => {
                Some(View::foreign(pool.foreign(place, segment)?, offset, size))
            }
            SegmentPlace::Descriptor(_) => None,
        }
    }
}

impl<'a> Slots<'a> {
    /// Room for so many.
    pub fn with_capacity(count: usize) -> Slots<'a> {
        Slots(Vec::with_capacity(count))
    }

    /// Adds the next port.
    pub fn push(&mut self, given: Given<'a>) {
        self.0.push(match given {
            Given::Absent => Slot::Absent,
            Given::Small(block) => Slot::Small(block),
            Given::Part(PartBlock { format, place, offset, size }) => {
                let (format, place) = (Cow::Borrowed(format.as_str()), Place::Known { segment: place, offset });
                Slot::Waiting(Box::new(Waiting { format, metadata: None, place, size }))
            }
        });
    }
}

impl Drop for Inputs<'_> {
    /// The call is over. What a plugin goes on reading must not be used again: the server is told.
    fn drop(&mut self) {
        self.slots.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        let views = self.views.get_mut().unwrap_or_else(PoisonError::into_inner);
        if views.iter().any(|view| view.strong_count() > 0) {
            self.spare.note_kept();
        }
    }
}

/// Bytes with an owner of their own.
fn copied(bytes: &[u8]) -> SharedBytes {
    match Few::of(bytes) {
        Some(few) => SharedBytes::from_owner(Arc::new(few)),
        None => bytes.to_vec().into(),
    }
}

/// A number or a short text: lies with its count, where a list would be memory of its own. Aligned as what the heap gives.
#[repr(C, align(16))]
struct Few {
    bytes: [u8; Few::MOST],
    length: u8,
}

impl Few {
    const MOST: usize = 31;

    fn of(bytes: &[u8]) -> Option<Few> {
        let length = u8::try_from(bytes.len()).ok()?;
        let mut few = Few { bytes: [0; Few::MOST], length };
        few.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(few)
    }
}

impl AsRef<[u8]> for Few {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

fn slot<'a>(value: InputValue, descriptors: &mut [Option<OwnedFd>]) -> Result<Slot<'a>, Failure> {
    let block = match value {
        InputValue::Absent => return Ok(Slot::Absent),
        InputValue::Json(json) => {
            return Ok(ready(InputBlock::new(json.into_bytes().into(), format::JSON, "")));
        }
        InputValue::Block(block) => block,
    };
    let BlockReference { id, format, metadata, place } = block;
    let mut file = |descriptor: u32| {
        descriptors.get_mut(descriptor as usize).and_then(Option::take).ok_or_else(|| {
            Failure::new(PROTOCOL, format!("block {id} names descriptor {descriptor}, which did not come along"))
        })
    };
    let (place, size) = match place {
        BlockPlace::Inline(payload) => {
            return Ok(ready(InputBlock::new(payload.into(), &format, &metadata)));
        }
        BlockPlace::Memfd { descriptor, size } => (Place::File(file(descriptor)?), size),
        BlockPlace::Segment { place: SegmentPlace::Descriptor(descriptor), offset, size } => {
            (Place::Segment { file: file(descriptor)?, offset }, size)
        }
        BlockPlace::Segment { place: segment, offset, size } => (Place::Known { segment, offset }, size),
    };
    Ok(Slot::Waiting(Box::new(Waiting { format: format.into(), metadata: Some(metadata), place, size })))
}

fn ready<'a>(block: InputBlock) -> Slot<'a> {
    Slot::Ready(Box::new(block))
}
