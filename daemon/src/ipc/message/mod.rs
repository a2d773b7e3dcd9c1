//! The messages that pass between our processes: closed enums, one pair for each kind of channel.
//!
//! File descriptors travel beside a message, not in it: it names each by its index, or its documentation says which they
//! are and in what order. A receiver judges everything here like user input: an index may be out of range, a text may be
//! nonsense. What decodes is well-formed, not true.
//!
//! What comes to the server is told in two ways by one type, which is generic over what stands for a descriptor: while
//! it travels an index among those beside the message (`FromWorker`), and once [`client`](super::client) has given them
//! out the descriptor itself (`client::WorkerEvent`). A task goes the same way down, its blocks with it.

mod block;
mod hook_host;
mod said;
mod task;
mod worker;
mod zygote;

pub use block::{BlockClaim, BlockPlace, BlockReference, ClaimedBytes, InputValue, Lasting, SegmentPlace};
pub use hook_host::{FromHookHost, HookHostMessage, ToHookHost};
pub use said::{LogRecord, TaskFailure};
pub use task::{
    CheckpointFile, ChunkPort, DatasetOperation, Operation, PartitionFiles, PartitionSource, SavedChunks, Task,
};
pub use worker::{FromWorker, RunBriefing, ToWorker, WorkerMessage};
pub use zygote::{Ending, FromZygote, LibraryCopy, Limits, Role, StartMethod, ToSpawned, ToZygote, ZygoteMessage};

/// The descriptor limit of one packet. The kernel takes 253; a few are kept for a large body and for growth.
pub const DESCRIPTORS_MAX: usize = 240;
/// No body that a worker or a hook host sends is larger than this: what a plugin has to say is small (its data travel in
/// blocks), and the server must not take whatever amount of memory a plugin likes.
pub const PLUGIN_BODY_MAX: u64 = 16 * 1024 * 1024;

/// A descriptor as a message names it: its index among those beside it. Each is named once.
pub type DescriptorIndex = u32;
