//! From a plugin's nodes, dataset types and hooks to the root module that its library exports. [`plugin!`](crate::plugin)
//! writes the [`Plugin`] implementation; nothing here is for authors.

use std::sync::OnceLock;

use abi_stable::std_types::{RResult, RString};

use crate::{
    Error, Result,
    abi::{Call, Failure, Host, PluginModule, PluginModuleRef},
    context::Context,
    dataset::{self, Dataset, Sessions},
    hook::{self, Hook, HookSlot},
    logging,
    manifest::{DatasetManifest, HookManifest, NodeManifest, PluginManifest},
    node::Node,
    panics,
};

pub use crate::abi::root::{Header, header};

/// All that a plugin offers.
pub trait Plugin: 'static {
    /// Its name.
    const NAME: &'static str;
    /// Its version.
    const VERSION: &'static str;
    /// Its nodes.
    const NODES: &'static [NodeEntry];

    /// Its dataset types.
    fn datasets() -> &'static [&'static dyn DatasetEntry];
    /// Its hooks.
    fn hooks() -> &'static [&'static dyn HookEntry];
}

/// A node without its type.
#[derive(Clone, Copy)]
pub struct NodeEntry {
    pub(crate) manifest: fn() -> NodeManifest,
    pub(crate) call: fn(Call<'_>) -> Result<()>,
}

impl NodeEntry {
    /// The entry of a node.
    pub const fn of<N: Node>() -> Self {
        NodeEntry { manifest: N::manifest, call: |call| Context::scope(call, N::OUTPUTS, N::call) }
    }
}

/// A dataset type without its type.
pub trait DatasetEntry: Sync {
    /// What it says of itself.
    fn manifest(&self) -> DatasetManifest;
    /// Performs an operation.
    fn call(&self, operation: u32, call: Call<'_>) -> Result<String>;
}

/// Holds the one instance of a dataset type in its process.
pub struct DatasetSlot<D> {
    dataset: OnceLock<D>,
    sessions: OnceLock<Sessions>,
}

impl<D: Dataset> DatasetSlot<D> {
    /// An empty one.
    #[expect(clippy::new_without_default, reason = "made in a const context only")]
    pub const fn new() -> Self {
        DatasetSlot { dataset: OnceLock::new(), sessions: OnceLock::new() }
    }
}

impl<D: Dataset> DatasetEntry for DatasetSlot<D> {
    fn manifest(&self) -> DatasetManifest {
        dataset::manifest::<D>()
    }

    fn call(&self, operation: u32, call: Call<'_>) -> Result<String> {
        let sessions = self.sessions.get_or_init(Sessions::default);
        dataset::perform(self.dataset.get_or_init(D::default), sessions, operation, call)
    }
}

/// A hook without its type.
pub trait HookEntry: Sync {
    /// What it says of itself.
    fn manifest(&self) -> HookManifest;
    /// Hands it an event.
    fn call(&self, call: Call<'_>) -> Result<String>;
}

impl<H: Hook> HookEntry for HookSlot<H> {
    fn manifest(&self) -> HookManifest {
        hook::manifest::<H>()
    }

    fn call(&self, call: Call<'_>) -> Result<String> {
        HookSlot::call(self, call)
    }
}

/// The root module of a plugin.
pub fn module<P: Plugin>() -> PluginModuleRef {
    use abi_stable::prefix_type::PrefixTypeTrait;
    PluginModule {
        name: P::NAME.into(),
        version: P::VERSION.into(),
        describe: describe::<P>,
        initialise,
        call_node: call_node::<P>,
        call_dataset: call_dataset::<P>,
        call_hook: call_hook::<P>,
    }
    .leak_into_prefix()
}

/// What a plugin says about itself.
pub fn manifest<P: Plugin>() -> PluginManifest {
    PluginManifest {
        name: P::NAME.to_owned(),
        version: P::VERSION.to_owned(),
        nodes: P::NODES.iter().map(|node| (node.manifest)()).collect(),
        datasets: P::datasets().iter().map(|dataset| dataset.manifest()).collect(),
        hooks: P::hooks().iter().map(|hook| hook.manifest()).collect(),
    }
}

extern "C" fn describe<P: Plugin>() -> RString {
    // An empty answer, which is no JSON, is how a panic in here shows: the signature has no room for a failure.
    panics::catch(|| Ok(serde_json::to_string(&manifest::<P>()).unwrap_or_default())).unwrap_or_default().into()
}

extern "C" fn initialise(host: Host) {
    let installed = panics::catch(|| {
        logging::install(host);
        panics::install(true);
        Ok(())
    });
    drop(installed); // without them calls still work; logs and places are missing
}

extern "C" fn call_node<P: Plugin>(node: u32, call: Call<'_>) -> RResult<(), Failure> {
    guard(|| {
        let entry = P::NODES.get(node as usize).ok_or_else(|| no_such::<P>("nodes", P::NODES.len(), node))?;
        (entry.call)(call)
    })
}

extern "C" fn call_dataset<P: Plugin>(dataset_type: u32, operation: u32, call: Call<'_>) -> RResult<RString, Failure> {
    guard(|| {
        let all = P::datasets();
        let entry =
            all.get(dataset_type as usize).ok_or_else(|| no_such::<P>("dataset types", all.len(), dataset_type))?;
        entry.call(operation, call).map(RString::from)
    })
}

extern "C" fn call_hook<P: Plugin>(hook: u32, call: Call<'_>) -> RResult<RString, Failure> {
    guard(|| {
        let all = P::hooks();
        let entry = all.get(hook as usize).ok_or_else(|| no_such::<P>("hooks", all.len(), hook))?;
        entry.call(call).map(RString::from)
    })
}

fn guard<T>(body: impl FnOnce() -> Result<T>) -> RResult<T, Failure> {
    panics::catch(|| body().map_err(Failure::from)).into()
}

fn no_such<P: Plugin>(what: &str, count: usize, number: u32) -> Error {
    Error::input(format!("the plugin `{}` has {count} {what}, there is no number {number}", P::NAME))
}
