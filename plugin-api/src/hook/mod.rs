//! Hooks: listeners to runs, nodes and datasets.
//!
//! All hooks of a daemon live in one process, the hook host, on one thread: each sees every event that it asked for, once, in
//! order, and can keep state in `&mut self`.

mod blocks;
mod event;
mod slot;

use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use self::slot::manifest;
pub use self::{
    blocks::{Blocks, NodeInputs},
    event::{
        AfterCatalogCreated, AfterDatasetLoaded, AfterDatasetSaved, AfterGenerationLoaded, AfterNodeRun,
        AfterPipelineRun, BeforeDatasetLoaded, BeforeDatasetSaved, BeforeNodeRun, BeforePipelineRun, BlockInfo,
        DatasetInfo, EventName, FailureInfo, OnDatasetError, OnNodeError, OnPipelineError, PluginInfo,
    },
    slot::HookSlot,
};
use crate::{Error, Result};

/// A listener. `#[hook]` on the `impl` fills in [`NAME`](Hook::NAME), [`DOC`](Hook::DOC) (its doc comment) and
/// [`EVENTS`](Hook::EVENTS) (the methods that are there): only those events are ever sent.
///
/// An error from a method fails the run, or is ignored and logged, as the configuration says for the hook.
///
/// ```standalone_crate
/// use plugin_api::prelude::*;
///
/// struct Timing { slowest_us: u64 }
///
/// /// Logs the slowest node of each run.
/// #[hook]
/// impl Hook for Timing {
///     fn new(_options: HookOptions) -> Result<Self> {
///         Ok(Timing { slowest_us: 0 })
///     }
///
///     fn after_node_run(&mut self, event: &AfterNodeRun, _blocks: &Blocks) -> Result<()> {
///         self.slowest_us = self.slowest_us.max(event.finished_us - event.started_us);
///         Ok(())
///     }
///
///     fn after_pipeline_run(&mut self, event: &AfterPipelineRun) -> Result<()> {
///         info!("{}: the slowest node took {} µs", event.pipeline, self.slowest_us);
///         Ok(())
///     }
/// }
///
/// plugin! { name: "timing", nodes: [], hooks: [Timing] }
/// # fn main() {
/// # let mut hook = plugin_api::testing::hook::<Timing>("{}").unwrap();
/// # hook.send(r#"{"event":"after_node_run","started_us":1,"finished_us":5}"#).unwrap();
/// # assert_eq!(hook.manifest().events, ["after_node_run", "after_pipeline_run"]);
/// # }
/// ```
#[diagnostic::on_unimplemented(message = "`{Self}` is not a hook", note = "write `#[hook] impl Hook for {Self}`")]
pub trait Hook: Sized + Send + 'static {
    /// The hook's name; `#[hook]` takes that of the type.
    const NAME: &'static str;
    /// What it does, for people; `#[hook]` takes the doc comment of the `impl`.
    const DOC: &'static str = "";
    /// The events it wants; `#[hook]` takes the methods that are there.
    const EVENTS: &'static [EventName];
    /// Whether it is registered as soon as its plugin is there, without being listed in the configuration.
    const SELF_REGISTERING: bool = false;
    /// Where it stands among hooks whose order the configuration does not say.
    const ORDER: Order = Order::AsListed;

    /// Makes the hook, from the options in the configuration. On the first event.
    fn new(options: HookOptions) -> Result<Self>;

    /// A generation of plugins is there.
    fn after_generation_loaded(&mut self, event: &AfterGenerationLoaded) -> Result<()> {
        let _ = event;
        Ok(())
    }

    /// A run's catalog is resolved.
    fn after_catalog_created(&mut self, event: &AfterCatalogCreated) -> Result<()> {
        let _ = event;
        Ok(())
    }

    /// A run is about to start.
    fn before_pipeline_run(&mut self, event: &BeforePipelineRun) -> Result<()> {
        let _ = event;
        Ok(())
    }

    /// A run has succeeded.
    fn after_pipeline_run(&mut self, event: &AfterPipelineRun) -> Result<()> {
        let _ = event;
        Ok(())
    }

    /// A run is over and has not succeeded; `event.state` says whether it failed or was cancelled.
    fn on_pipeline_error(&mut self, event: &OnPipelineError) -> Result<()> {
        let _ = event;
        Ok(())
    }

    /// A node is about to be called; its inputs may be read and replaced. It begins after this has returned, and if the run is cut short
    /// meanwhile not at all.
    fn before_node_run(&mut self, event: &BeforeNodeRun, inputs: &NodeInputs) -> Result<()> {
        let _ = (event, inputs);
        Ok(())
    }

    /// A node has been called; `blocks` gives what it read and wrote, by dataset.
    fn after_node_run(&mut self, event: &AfterNodeRun, blocks: &Blocks) -> Result<()> {
        let _ = (event, blocks);
        Ok(())
    }

    /// A node's call has failed; `blocks` gives what it read.
    fn on_node_error(&mut self, event: &OnNodeError, blocks: &Blocks) -> Result<()> {
        let _ = (event, blocks);
        Ok(())
    }

    /// A dataset is about to be loaded.
    fn before_dataset_loaded(&mut self, event: &BeforeDatasetLoaded) -> Result<()> {
        let _ = event;
        Ok(())
    }

    /// A dataset has been loaded; `blocks` gives it.
    fn after_dataset_loaded(&mut self, event: &AfterDatasetLoaded, blocks: &Blocks) -> Result<()> {
        let _ = (event, blocks);
        Ok(())
    }

    /// A dataset is about to be saved; `blocks` gives it.
    fn before_dataset_saved(&mut self, event: &BeforeDatasetSaved, blocks: &Blocks) -> Result<()> {
        let _ = (event, blocks);
        Ok(())
    }

    /// A dataset has been saved; `blocks` gives it.
    fn after_dataset_saved(&mut self, event: &AfterDatasetSaved, blocks: &Blocks) -> Result<()> {
        let _ = (event, blocks);
        Ok(())
    }

    /// A load or a save has failed.
    fn on_dataset_error(&mut self, event: &OnDatasetError) -> Result<()> {
        let _ = event;
        Ok(())
    }
}

/// Where a hook stands among others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As the configuration lists it.
    AsListed,
    /// Before the others.
    First,
    /// After the others.
    Last,
}

impl Order {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Order::AsListed => "",
            Order::First => "first",
            Order::Last => "last",
        }
    }
}

/// What the configuration gives a hook as `options`.
#[derive(Clone, Debug, Default)]
pub struct HookOptions {
    value: Value,
}

impl HookOptions {
    pub(crate) fn of(value: Value) -> Self {
        HookOptions { value }
    }

    /// The options as a serde type; without any, those of an empty object.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        let empty = Value::Object(serde_json::Map::new());
        T::deserialize(if self.value.is_null() { &empty } else { &self.value }).map_err(|error| {
            Error::of_kind("error", "the hook's options do not fit")
                .because(error)
                .with_hint("correct `options` under [hooks.settings] in the daemon's configuration")
        })
    }

    /// The options as they are.
    pub fn value(&self) -> &Value {
        &self.value
    }
}
