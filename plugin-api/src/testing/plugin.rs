//! A whole plugin in this process: from its library, or linked in.

use std::path::Path;

use super::{DatasetTest, HookTest, NodeTest};
use crate::{
    Error, Result,
    abi::{self, Failure, PluginModuleRef},
    export::{self, Plugin},
    manifest::PluginManifest,
};

/// A plugin whose nodes, dataset types and hooks are called by name: what a sequential driver needs.
///
/// ```no_run
/// use plugin_api::testing::LoadedPlugin;
///
/// let plugin = LoadedPlugin::open("target/debug/libflights.so".as_ref()).unwrap();
/// let formats = LoadedPlugin::open("target/debug/libformats.so".as_ref()).unwrap();
/// let flights = formats.dataset("csv").unwrap().path("flights.csv").load_block().unwrap();
/// let outputs = plugin.node("clean_flights").unwrap().block("flights", flights).run().unwrap();
/// let clean = outputs.block("flights_clean").unwrap(); // for the next node
/// ```
pub struct LoadedPlugin {
    module: PluginModuleRef,
    manifest: PluginManifest,
}

impl LoadedPlugin {
    /// Opens and checks a plugin's library. It stays loaded.
    pub fn open(library: &Path) -> Result<Self> {
        let module = abi::open(library).map_err(|error| {
            let hint = error.hint();
            Error::new(error).context(format!("opening the plugin `{}`", library.display())).with_hint(hint)
        })?;
        Self::of_module(module)
    }

    /// A plugin that is linked into this program: `LoadedPlugin::linked::<flights::DagdPlugin>()`. A program can link
    /// only one (each exports the same symbol); several are opened as libraries.
    pub fn linked<P: Plugin>() -> Result<Self> {
        Self::of_module(export::module::<P>())
    }

    fn of_module(module: PluginModuleRef) -> Result<Self> {
        let manifest = serde_json::from_str(&module.describe()())
            .map_err(|error| Error::new("the plugin's manifest cannot be read").context(error))?;
        Ok(LoadedPlugin { module, manifest })
    }

    /// What the plugin says of itself.
    pub fn manifest(&self) -> &PluginManifest {
        &self.manifest
    }

    /// A call of one of its nodes.
    pub fn node(&self, name: &str) -> Result<NodeTest> {
        let index = position(&self.manifest.nodes, name, "node", |node| &node.name)?;
        let call_node = self.module.call_node();
        let call = move |call: abi::Call<'_>| call_node(index as u32, call).into_result();
        Ok(NodeTest::new(self.manifest.nodes[index].clone(), Box::new(call)))
    }

    /// A dataset of one of its types.
    pub fn dataset(&self, name: &str) -> Result<DatasetTest> {
        let index = position(&self.manifest.datasets, name, "dataset type", |dataset| &dataset.name)?;
        let call_dataset = self.module.call_dataset();
        let call = move |operation: u32, call: abi::Call<'_>| {
            call_dataset(index as u32, operation, call).into_result().map(String::from)
        };
        Ok(DatasetTest::new(self.manifest.datasets[index].clone(), Box::new(call)))
    }

    /// One of its hooks, with these options (JSON). There is one instance of each hook in a process.
    pub fn hook(&self, name: &str, options: &str) -> Result<HookTest, Failure> {
        let index = position(&self.manifest.hooks, name, "hook", |hook| &hook.name)?;
        let call_hook = self.module.call_hook();
        let call = move |call: abi::Call<'_>| call_hook(index as u32, call).into_result().map(String::from);
        HookTest::new(self.manifest.hooks[index].clone(), Box::new(call), options)
    }
}

fn position<T>(all: &[T], name: &str, what: &str, name_of: impl Fn(&T) -> &String) -> Result<usize> {
    all.iter().position(|item| name_of(item) == name).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|item| name_of(item).as_str()).collect();
        Error::new(format!("the plugin has no {what} `{name}`; it has: {}", names.join(", ")))
    })
}
