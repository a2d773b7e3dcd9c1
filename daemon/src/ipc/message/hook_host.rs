//! Between the server and a hook host: events go down, what hooks say comes up.

use serde::{Deserialize, Serialize};

use super::DescriptorIndex;
use super::block::{BlockClaim, InputValue};
use super::said::{LogRecord, TaskFailure};

/// What the server asks of a hook host. Use [`HookChannel`](crate::ipc::client::HookChannel) to send these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToHookHost {
    /// Give a hook its options; sent once, before its first event. Answered.
    Configure {
        /// The server's number for this exchange.
        token: u64,
        /// Index into [`GenerationManifest::plugins`](crate::ipc::manifest::GenerationManifest::plugins).
        plugin: u32,
        /// Index into [`PluginDescription::hooks`](crate::ipc::manifest::PluginDescription::hooks).
        hook: u32,
        /// Its options, a JSON object.
        options: String,
    },
    /// An event the hook asked for. Answered. Descriptors: those its blocks name by index.
    Event {
        /// The server's number for this exchange.
        token: u64,
        /// Index into [`GenerationManifest::plugins`](crate::ipc::manifest::GenerationManifest::plugins).
        plugin: u32,
        /// Index into [`PluginDescription::hooks`](crate::ipc::manifest::PluginDescription::hooks).
        hook: u32,
        /// The event, JSON.
        argument: String,
        /// The node's inputs where the event has some.
        inputs: Vec<InputValue>,
        /// Whether another hook hears of the same event next.
        has_more: bool,
    },
    /// From now on events go through rings, or a record there says when the next message is to be read. Descriptors: their
    /// memory, the server's bell.
    Rings,
    /// Leave, with exit code 0, if there are no rings.
    Quit,
}

/// What a hook host tells the server, as it travels.
pub type FromHookHost = HookHostMessage<DescriptorIndex>;

/// What a hook host tells the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HookHostMessage<File> {
    /// The first message.
    Ready {
        /// The hook host's process id.
        pid: i32,
    },
    /// A log record.
    Log(LogRecord),
    /// The hook answered.
    Answer {
        /// The exchange.
        token: u64,
        /// `null` or an object, JSON.
        answer: String,
        /// Inputs the hook replaced, to be checked; the port is the input's.
        outputs: Vec<BlockClaim<File>>,
    },
    /// The hook failed.
    Failed {
        /// The exchange.
        token: u64,
        /// Why.
        failure: TaskFailure,
    },
}

impl From<LogRecord> for FromHookHost {
    fn from(record: LogRecord) -> Self {
        FromHookHost::Log(record)
    }
}
