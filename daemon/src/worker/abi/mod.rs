//! What a plugin's call sees of this process: inputs mapped from blocks, outputs built into blocks.
//!
//! The thunks between this and the plugin's library are `plugin_api::abi`'s; here is only their safe trait, and one
//! `unsafe` where memory is handed out.

mod argument;
mod buffers;
mod expected;
mod heap;
mod inputs;
mod made;
mod outputs;
mod spare;

use std::os::fd::OwnedFd;

use plugin_api::abi::{CallHost, Failure, InputBlock, OutputBuffer, failure_kind};

pub use self::argument::{Argument, NodeArgument};
pub use self::expected::Expected;
pub use self::inputs::{Given, Inputs, Slots};
pub use self::made::{Chunk, Claims, Made};
pub use self::spare::Spare;

use self::outputs::Outputs;
use crate::block::layout::Format;
use crate::block::pool::Pool;
use crate::ipc::message::{InputValue, Lasting, TaskFailure};
use crate::ipc::page::WorkerPage;
use crate::zygote::{Plugin, Plugins};

/// The kind of failure that is this program's own fault.
pub const PROTOCOL: &str = "protocol";

/// Asks for permission to take shared memory.
pub trait Reserve: Sync {
    /// Waits for the permission; the error is the reason why not.
    fn reserve(&self, token: u64, bytes: u64) -> Result<(), String>;
}

/// Permission for everything: for the hook host, whose outputs are counted when they are adopted.
pub struct Granted;

impl Reserve for Granted {
    fn reserve(&self, _token: u64, _bytes: u64) -> Result<(), String> {
        Ok(())
    }
}

/// Saves what a call makes chunk by chunk.
pub trait SaveChunk: Sync {
    /// Saves the next chunk of a port, or the partition of this name.
    fn save(&self, port: u32, name: &str, chunk: Chunk) -> Result<(), Failure>;
}

/// Loads the partitions of a call's inputs.
pub trait LoadPartition: Sync {
    /// Loads one partition of a dataset.
    fn load(&self, dataset: &str, name: &str) -> Result<InputBlock, Failure>;
}

/// Around a call: what it is told and where its signs go.
pub struct Setting<'a> {
    /// The call's argument.
    pub argument: Argument<'a>,
    /// The task.
    pub token: u64,
    /// Its page.
    pub page: &'a WorkerPage,
    /// Who grants memory.
    pub reserve: &'a dyn Reserve,
    /// Memory of earlier calls, to be used again.
    pub spare: &'a Spare,
    /// The worker's memory for blocks, and what it has mapped of others'; a hook host has none.
    pub pool: Option<&'a Pool>,
    /// The outputs that leave the run, and so must be in files of their own.
    pub lasting: Lasting,
    /// Who saves chunks, if any port has some.
    pub chunks: Option<&'a dyn SaveChunk>,
    /// Who loads partitions, if any input has some.
    pub partitions: Option<&'a dyn LoadPartition>,
    /// Whether it is within another call, whose progress is the one to be told.
    pub is_inner: bool,
}

impl<'a> Setting<'a> {
    /// That of a call of its own, which has neither chunks nor partitions.
    pub fn new(
        argument: Argument<'a>,
        token: u64,
        page: &'a WorkerPage,
        reserve: &'a dyn Reserve,
        spare: &'a Spare,
    ) -> Setting<'a> {
        Setting {
            argument,
            token,
            page,
            reserve,
            spare,
            pool: None,
            lasting: Lasting::NONE,
            chunks: None,
            partitions: None,
            is_inner: false,
        }
    }
}

/// One call, while it lasts. Its mappings go with it, but for what the plugin keeps.
pub struct CallState<'a> {
    setting: &'a Setting<'a>,
    inputs: Inputs<'a>,
    outputs: Outputs<'a>,
}

impl<'a> CallState<'a> {
    /// A call about to begin, as a message asks for it.
    pub fn new(
        setting: &'a Setting<'a>,
        inputs: Vec<InputValue>,
        descriptors: Vec<OwnedFd>,
        expected: Expected<'a>,
    ) -> Result<CallState<'a>, Failure> {
        Ok(CallState::with(setting, Inputs::new(setting, inputs, descriptors)?, expected))
    }

    /// A call about to begin.
    pub fn with(setting: &'a Setting<'a>, inputs: Inputs<'a>, expected: Expected<'a>) -> CallState<'a> {
        CallState { inputs, outputs: Outputs::new(expected, setting), setting }
    }

    /// Takes what was committed to a port that is given in chunks, as the input of another call.
    pub fn take_input(&self, port: u32) -> Result<InputBlock, Failure> {
        let (value, files) = self.outputs.take(port)?.into_input();
        let block = Inputs::new(self.setting, vec![value], files)?.get(0)?;
        block.ok_or_else(|| Failure::new(PROTOCOL, "a block that was just made is not there"))
    }

    /// Fills a port with a few bytes of our own.
    pub fn put(&self, port: u32, bytes: &[u8], format: Format, metadata: &str) -> Result<(), Failure> {
        self.outputs.put(port, bytes, format, metadata)
    }

    /// What the call has made; a failure if that is not what was expected of it.
    pub fn finish(self) -> Result<Made, Failure> {
        self.outputs.finish()
    }
}

impl CallHost for CallState<'_> {
    fn argument(&self) -> &str {
        self.setting.argument.json()
    }

    fn input(&self, port: u32) -> Result<Option<InputBlock>, Failure> {
        self.inputs.get(port)
    }

    fn allocate(&self, port: u32, capacity: u64) -> Result<OutputBuffer, Failure> {
        self.outputs.allocate(port, capacity)
    }

    fn grow(&self, buffer: OutputBuffer, capacity: u64) -> Result<OutputBuffer, Failure> {
        self.outputs.grow(buffer.id(), capacity)
    }

    fn discard(&self, id: u64) {
        self.outputs.discard(id);
    }

    fn commit(&self, id: u64, length: u64, format: &str, metadata: &str) -> Result<(), Failure> {
        self.outputs.commit(id, length, format, metadata)
    }

    fn progress(&self, done: u64, total: u64) {
        if !self.setting.is_inner {
            self.setting.page.set_progress(done, total);
        }
    }

    fn is_cancelled(&self) -> bool {
        self.setting.page.is_cancelled(self.setting.token)
    }

    fn load_partition(&self, dataset: &str, name: &str) -> Result<InputBlock, Failure> {
        let loader = self.setting.partitions.ok_or_else(|| {
            Failure::new(failure_kind::INPUT, format!("the node has no input with partitions, so no `{dataset}`"))
        })?;
        loader.load(dataset, name)
    }

    fn give_chunk(&self, port: u32, name: &str) -> Result<(), Failure> {
        // A generator that never asks stops here: between two chunks is where it costs nothing.
        if self.is_cancelled() {
            return Err(Failure::new(failure_kind::ERROR, "the call was told to stop"));
        }
        let saver = self.setting.chunks.ok_or_else(|| {
            Failure::new(failure_kind::OUTPUT, format!("a chunk of output port {port} came, and none is to be saved"))
        })?;
        let chunk = self.outputs.take(port)?;
        let charged = chunk.charged();
        let saved = saver.save(port, name, chunk);
        self.outputs.give_back(charged);
        saved
    }
}

/// The plugin of an index.
pub fn plugin(plugins: &Plugins, index: u32) -> Result<&Plugin, Failure> {
    plugins.get(index as usize).ok_or_else(|| {
        Failure::new(PROTOCOL, format!("plugin number {index} was asked for, this process has {}", plugins.len()))
    })
}

/// A node, dataset type or hook of an index.
pub fn entry<'a, T>(plugin: &Plugin, what: &str, entries: &'a [T], index: u32) -> Result<&'a T, Failure> {
    entries.get(index as usize).ok_or_else(|| {
        let name = &plugin.description.name;
        Failure::new(
            PROTOCOL,
            format!("{what} number {index} of plugin `{name}` was asked for, it has {}", entries.len()),
        )
    })
}

/// Checks that server and plugin speak of the same outputs.
pub fn agree(expected: &Expected<'_>, count: u32) -> Result<(), Failure> {
    if expected.count() == count as usize {
        return Ok(());
    }
    let message = format!("the server expects {count} outputs, {} has {}", expected.of(), expected.count());
    Err(Failure::new(PROTOCOL, message))
}

/// A failure as it travels to the server.
pub fn task_failure(failure: Failure) -> TaskFailure {
    TaskFailure {
        kind: failure.kind.into(),
        message: failure.message.into(),
        place: failure.place.into(),
        causes: failure.causes.into_iter().map(String::from).collect(),
        hint: failure.hint.into(),
    }
    .cut()
}

#[cfg(test)]
mod tests;
