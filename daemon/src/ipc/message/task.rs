//! One unit of work, and all that it is about.

use serde::{Deserialize, Serialize};

use super::DescriptorIndex;
use super::block::{BlockReference, InputValue, Lasting};

/// One unit of work. Its blocks and files are what its message names, or, before it is sent, the server's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task<Block = BlockReference, File = DescriptorIndex> {
    /// The server's number for it; comes back in every answer and stands in the worker page meanwhile.
    pub token: u64,
    /// Index into [`GenerationManifest::plugins`](crate::ipc::manifest::GenerationManifest::plugins).
    pub plugin: u32,
    /// The call's argument, JSON.
    pub argument: String,
    /// What to do.
    pub operation: Operation<Block, File>,
}

/// What a task does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation<Block = BlockReference, File = DescriptorIndex> {
    /// Call a node.
    Call {
        /// Index into [`PluginDescription::nodes`](crate::ipc::manifest::PluginDescription::nodes).
        node: u32,
        /// One value for each input port, in order.
        inputs: Vec<InputValue<Block>>,
        /// How many output ports there are.
        outputs: u32,
        /// What it makes that leaves the run, and so must be in a file of its own.
        lasting: Lasting,
        /// Those of them whose chunks are saved as they come. The server expects all others to be filled.
        chunks: Vec<ChunkPort>,
        /// What the partitions of its inputs are loaded by.
        partitions: Vec<PartitionSource>,
    },
    /// Fill output port 0 with the names of the partitions in a directory.
    ListPartitions {
        /// The dataset's name.
        dataset: String,
        /// The directory.
        directory: String,
        /// What the files' names end in.
        suffix: String,
        /// Where it says which of them were processed before, if those are to be left out.
        checkpoint: Option<CheckpointFile>,
    },
    /// Note that the partitions up to this one were processed.
    Confirm {
        /// The dataset's name.
        dataset: String,
        /// The partition's name.
        partition: String,
        /// The file that says so.
        path: String,
    },
    /// Call a dataset type.
    Dataset {
        /// Index into [`PluginDescription::datasets`](crate::ipc::manifest::PluginDescription::datasets).
        dataset_type: u32,
        /// Load, save, exists, release or describe.
        operation: DatasetOperation,
        /// What to save.
        input: Option<InputValue<Block>>,
        /// What it makes that leaves the run, and so must be in a file of its own.
        lasting: Lasting,
        /// The sealed file to load from, instead of the path, which is then its name for people.
        file: Option<File>,
    },
}

impl<Block, File> Operation<Block, File> {
    /// What it reads, in order.
    pub fn inputs(&self) -> &[InputValue<Block>] {
        match self {
            Operation::Call { inputs, .. } => inputs,
            Operation::Dataset { input, .. } => input.as_slice(),
            Operation::ListPartitions { .. } | Operation::Confirm { .. } => &[],
        }
    }
}

/// An output port whose chunks are saved as they come, by the worker that runs the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkPort {
    /// The output port.
    pub port: u32,
    /// Index into [`GenerationManifest::plugins`](crate::ipc::manifest::GenerationManifest::plugins).
    pub plugin: u32,
    /// Index into [`PluginDescription::datasets`](crate::ipc::manifest::PluginDescription::datasets).
    pub dataset_type: u32,
    /// The argument of the dataset type's operations, JSON; names the session that the chunks belong to.
    pub argument: String,
    /// Whether the server wants to see each chunk before it is saved, and to hear when it was.
    pub announced: bool,
    /// Whether each chunk is a partition, a file of its own in the directory that is the argument's `path`.
    pub partitions: Option<PartitionFiles>,
}

/// Partitions that are saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionFiles {
    /// What the files' names end in.
    pub suffix: String,
    /// Whether partitions that were there before go, once all new ones are saved.
    pub overwrite: bool,
    /// A file that may be among them and is none, or empty.
    pub checkpoint: String,
}

/// Which partitions of a dataset were processed before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointFile {
    /// The file that holds the name of the last one.
    pub path: String,
    /// What counts instead of what the file says.
    pub from: Option<String>,
    /// Whether the last one is to be processed once more.
    pub inclusive: bool,
}

/// What the partitions of an input are loaded by, by the worker that runs the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionSource {
    /// The dataset's name.
    pub dataset: String,
    /// Index into [`GenerationManifest::plugins`](crate::ipc::manifest::GenerationManifest::plugins).
    pub plugin: u32,
    /// Index into [`PluginDescription::datasets`](crate::ipc::manifest::PluginDescription::datasets).
    pub dataset_type: u32,
    /// The argument of a load, JSON; its `path` is the directory.
    pub argument: String,
    /// What the files' names end in.
    pub suffix: String,
}

/// What became of a port whose chunks were saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedChunks {
    /// The output port.
    pub port: u32,
    /// How many there were.
    pub chunks: u64,
    /// Their bytes as blocks, all together.
    pub bytes: u64,
}

/// What a dataset type can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DatasetOperation {
    /// Fill output port 0 from storage.
    Load,
    /// Write input port 0 to storage.
    Save,
    /// Answer `true` or `false`.
    Exists,
    /// Let go of whatever is kept for it.
    Release,
    /// Answer an object that describes it.
    Describe,
}
