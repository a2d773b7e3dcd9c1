//! What crosses the boundary between a plugin's library and its host: layout-checked `repr(C)` types, nothing else.
//!
//! An author never needs this module: [`plugin!`](crate::plugin) writes the library's side of it, and the worker and
//! zygote of the daemon are the other side. It is the only module of the crate with `unsafe` code.
//!
//! * A library exports one [`PluginModule`], found under [`ROOT_SYMBOL`] and opened by [`open`] or [`module_from_header`].
//! * Every call gets a [`Call`]: what it may ask of its host. A host implements the safe trait [`CallHost`].
//! * Bytes travel as [`SharedBytes`] with a format tag ([`InputBlock`]) and are written into an [`OutputBuffer`].
//! * No panic crosses in either direction: both sides catch it; a call then answers with a [`Failure`].
//!
//! Growth is by appending: new functions go after the last field of a prefix type, and [`ABI_VERSION`] gets a new
//! minor number. Anything else is a new major number, and the loader refuses libraries of another one.

mod block;
mod call;
mod failure;
mod heap;
mod host;
pub(crate) mod number;
mod open;
pub(crate) mod root;
mod shared_bytes;
mod shared_text;

use abi_stable::{
    StableAbi,
    library::RootModule,
    sabi_types::VersionStrings,
    std_types::{RResult, RStr, RString},
};

pub use self::{
    block::{InputBlock, OutputBuffer, format},
    call::{Call, CallHost},
    failure::{Failure, failure_kind},
    heap::HeapBuffers,
    host::{Host, HostServices},
    number::Number,
    open::{OpenError, module_from_header, open},
    shared_bytes::SharedBytes,
    shared_text::SharedText,
};
pub use abi_stable::library::AbiHeaderRef;

/// The version of this boundary, checked before anything of a library is called. Not the version of the crate.
pub const ABI_VERSION: &str = "1.1.0";

/// The symbol under which a plugin's library exports its header, with the final NUL that `dlsym` wants.
///
/// With `libloading`: `library.get::<AbiHeaderRef>(ROOT_SYMBOL)`, then [`module_from_header`].
pub const ROOT_SYMBOL: &[u8] = abi_stable::library::ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes();

/// The numbers of the operations on a dataset type, as [`PluginModule`]'s `call_dataset` takes them.
pub mod operation {
    /// Read the persisted data and commit it to port 0.
    pub const LOAD: u32 = 0;
    /// Write input 0 to where the dataset lives.
    pub const SAVE: u32 = 1;
    /// Answer `true` or `false`.
    pub const EXISTS: u32 = 2;
    /// Drop whatever is cached for the dataset; answer `null`.
    pub const RELEASE: u32 = 3;
    /// Answer an object that describes the dataset for people.
    pub const DESCRIBE: u32 = 4;
    /// Add input 0, a chunk, to what the argument's `session` writes; the first chunk begins it. What was there stands.
    pub const APPEND: u32 = 5;
    /// Put what the session wrote in the place of what was there; a session without a chunk is begun for it.
    pub const FINISH: u32 = 6;
    /// Throw away what the session wrote; answer `null` if there is no such session, too.
    pub const ABANDON: u32 = 7;
}

/// The root module of a plugin's library: all that the host ever calls.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginModuleRef)))]
pub struct PluginModule {
    /// The plugin's name: what stands before `::` in a pipeline's `call`.
    pub name: RStr<'static>,
    /// The plugin's own version.
    pub version: RStr<'static>,
    /// JSON of [`PluginManifest`](crate::manifest::PluginManifest).
    pub describe: extern "C" fn() -> RString,
    /// Installs the log forwarder and the panic hook of the library; to be called once per process, before any call.
    pub initialise: extern "C" fn(host: Host),
    /// Calls a node, by its index in the manifest.
    pub call_node: extern "C" fn(node: u32, call: Call<'_>) -> RResult<(), Failure>,
    /// Performs an [`operation`] of a dataset type, by its index in the manifest; answers JSON.
    pub call_dataset: extern "C" fn(dataset_type: u32, operation: u32, call: Call<'_>) -> RResult<RString, Failure>,
    /// Hands an event to a hook, by its index in the manifest; the call's argument is the event, the answer JSON.
    #[sabi(last_prefix_field)]
    pub call_hook: extern "C" fn(hook: u32, call: Call<'_>) -> RResult<RString, Failure>,
}

impl RootModule for PluginModuleRef {
    abi_stable::declare_root_module_statics! {PluginModuleRef}
    const BASE_NAME: &'static str = "dagd_plugin";
    const NAME: &'static str = "dagd plugin";
    const VERSION_STRINGS: VersionStrings = VersionStrings::new(ABI_VERSION);
}

#[cfg(test)]
mod tests;
