//! The events that hooks hear: each a struct read from JSON. Unknown keys are ignored and missing ones have defaults, so
//! a plugin and a daemon of different ages understand each other.

use std::cell::Cell;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::Value;

/// Every event: its variant, its name, its struct, and what the struct holds beside the common fields.
macro_rules! events {
    ($(
        $(#[$doc:meta])*
        $event:ident $name:literal { $( $(#[$field_doc:meta])* $field:ident: $type:ty $(= $with:literal)?, )* }
    )+) => {
        /// The name of an event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum EventName {
            $( $(#[$doc])* $event, )+
        }

        impl EventName {
            /// All of them.
            pub const ALL: &'static [EventName] = &[$(EventName::$event),+];

            /// Its name on the wire (`after_node_run`), which is also that of the hook's method.
            ///
            /// ```
            /// use plugin_api::hook::EventName;
            /// assert_eq!(EventName::AfterNodeRun.as_str(), "after_node_run");
            /// assert_eq!(EventName::from_name("after_node_run"), Some(EventName::AfterNodeRun));
            /// ```
            pub const fn as_str(self) -> &'static str {
                match self { $(EventName::$event => $name,)+ }
            }

            /// The event of this name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(EventName::$event),)+ _ => None }
            }
        }

        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
            #[serde(default)]
            pub struct $event {
                /// The run's id; empty for events of no run.
                pub run: String,
                /// The pipeline's name.
                pub pipeline: String,
                /// Its number among the run's events, without gaps for a hook that wants all.
                pub sequence: u64,
                /// When it happened, in microseconds since 1970.
                pub time_us: u64,
                $(
                    $(#[$field_doc])*
                    $(#[serde(deserialize_with = $with)])?
                    pub $field: $type,
                )*
            }
        )+
    };
}

events! {
    /// A generation of plugins is there.
    AfterGenerationLoaded "after_generation_loaded" {
        /// Its number.
        generation: u64,
        /// The plugins in it.
        plugins: Vec<PluginInfo> = "tolerant",
        /// The daemon's configuration, by section; the options of hooks are left out.
        configuration: Value,
    }
    /// A run's catalog is resolved. Of credentials a hook learns the names, never what they are.
    AfterCatalogCreated "after_catalog_created" {
        /// The persisted datasets.
        datasets: Vec<DatasetInfo> = "tolerant",
        /// All parameters.
        parameters: Value,
        /// The credentials that datasets name, each as `[redacted]`.
        credentials: Value,
        /// The version that versioned datasets are saved as; nothing where the run saves none.
        save_version: Option<String>,
        /// The versions that the run was asked to load, by dataset.
        load_versions: Value,
    }
    /// A run is about to start.
    BeforePipelineRun "before_pipeline_run" {
        /// All parameters.
        parameters: Value,
        /// The names of the nodes.
        nodes: Vec<String> = "tolerant",
        /// How it was asked to run: `run_id`, `max_workers`, `filter`, `resumed_from` …
        run_params: Value,
    }
    /// A run has succeeded. (The end of any other is `on_pipeline_error`.)
    AfterPipelineRun "after_pipeline_run" {
        /// `succeeded`.
        state: String,
        /// How long it took.
        duration_us: u64,
        /// The names of the pipeline's free outputs.
        outputs: Vec<String> = "tolerant",
        /// How it was asked to run.
        run_params: Value,
    }
    /// A run is over and has not succeeded.
    OnPipelineError "on_pipeline_error" {
        /// `failed`, `cancelled` …; empty from a daemon that does not tell.
        state: String = "or_default",
        /// Why.
        failure: FailureInfo = "or_default",
        /// How it was asked to run.
        run_params: Value,
    }
    /// A node is about to be called. The hook may replace its inputs.
    BeforeNodeRun "before_node_run" {
        /// Its name in the pipeline.
        node: String,
        /// Its plugin.
        plugin: String,
        /// Its name in the plugin.
        call: String,
        /// The worker that will run it.
        worker: u32,
        /// What it reads.
        inputs: Vec<BlockInfo> = "tolerant",
    }
    /// A node has been called.
    AfterNodeRun "after_node_run" {
        /// Its name in the pipeline.
        node: String,
        /// Its plugin.
        plugin: String,
        /// Its name in the plugin.
        call: String,
        /// The worker that ran it.
        worker: u32,
        /// When it started.
        started_us: u64,
        /// When it was finished.
        finished_us: u64,
        /// What it read.
        inputs: Vec<BlockInfo> = "tolerant",
        /// What it wrote.
        outputs: Vec<BlockInfo> = "tolerant",
    }
    /// A node's call has failed. (Failures of loads and saves are `on_dataset_error`.)
    OnNodeError "on_node_error" {
        /// Its name in the pipeline.
        node: String,
        /// Its plugin.
        plugin: String,
        /// Its name in the plugin.
        call: String,
        /// The worker that ran it.
        worker: u32,
        /// When it started.
        started_us: u64,
        /// When it failed.
        finished_us: u64,
        /// Why.
        failure: FailureInfo,
        /// What it read.
        inputs: Vec<BlockInfo> = "tolerant",
    }
    /// A dataset is about to be loaded.
    BeforeDatasetLoaded "before_dataset_loaded" {
        /// Its name.
        dataset: String,
        /// Its type (`csv`).
        r#type: String,
        /// Where it lives.
        path: String,
        /// The worker that will load it.
        worker: u32,
        /// The nodes that will read it.
        nodes: Vec<String> = "tolerant",
    }
    /// A dataset has been loaded.
    AfterDatasetLoaded "after_dataset_loaded" {
        /// Its name.
        dataset: String,
        /// Its type (`csv`).
        r#type: String,
        /// Where it lives.
        path: String,
        /// The worker that loaded it.
        worker: u32,
        /// When that started.
        started_us: u64,
        /// When that was finished.
        finished_us: u64,
        /// The nodes that will read it.
        nodes: Vec<String> = "tolerant",
    }
    /// A dataset is about to be saved.
    BeforeDatasetSaved "before_dataset_saved" {
        /// Its name.
        dataset: String,
        /// Its type (`csv`).
        r#type: String,
        /// Where it will live.
        path: String,
        /// The node that wrote it.
        node: String,
        /// The worker that will save it.
        worker: u32,
    }
    /// A dataset has been saved.
    AfterDatasetSaved "after_dataset_saved" {
        /// Its name.
        dataset: String,
        /// Its type (`csv`).
        r#type: String,
        /// Where it lives.
        path: String,
        /// The node that wrote it.
        node: String,
        /// The worker that saved it.
        worker: u32,
        /// When that started.
        started_us: u64,
        /// When that was finished.
        finished_us: u64,
    }
    /// A load or a save has failed.
    OnDatasetError "on_dataset_error" {
        /// Its name.
        dataset: String,
        /// Its type (`csv`).
        r#type: String,
        /// Where it lives.
        path: String,
        /// `load` or `save`.
        operation: String,
        /// The worker that tried.
        worker: u32,
        /// Why it failed.
        failure: FailureInfo,
    }
}

/// A plugin of a generation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginInfo {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// A persisted dataset of a catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatasetInfo {
    /// Its name.
    pub name: String,
    /// Its type.
    pub r#type: String,
    /// Where it lives.
    pub path: String,
    /// The version that is loaded or saved; empty where it is not versioned.
    pub version: String,
}

/// A block that a node reads or writes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockInfo {
    /// The node's port.
    pub port: Value,
    /// The dataset bound to it.
    pub dataset: String,
    /// The block's format tag.
    pub format: String,
    /// Its size.
    pub bytes: u64,
    /// What the block says of itself (rows and columns of a table).
    pub metadata: Value,
}

/// Why something failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FailureInfo {
    /// `error`, `panic`, `signal`, `timeout` …
    pub kind: Value,
    /// What went wrong.
    pub message: String,
    /// Where in the plugin's source, if known.
    pub place: Option<String>,
    /// Why, each the reason of the one before.
    pub causes: Vec<String>,
    /// What to do about it.
    pub hints: Vec<String>,
}

/// Reads a value that may also be `null`, which is its default then.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

thread_local! {
    /// Lists are read as they should be.
    static IS_STRICT: Cell<bool> = const { Cell::new(false) };
}

/// Reads an event: as it should be, and only if that fails with an open mind, which takes twice as long.
pub(super) fn read<T: DeserializeOwned>(argument: &str) -> serde_json::Result<T> {
    IS_STRICT.set(true);
    let strictly = serde_json::from_str(argument);
    IS_STRICT.set(false);
    strictly.or_else(|_| serde_json::from_str(argument))
}

/// Reads a list of which the elements of another shape are left out: an event must reach a hook that was built against
/// an older or newer idea of its details.
fn tolerant<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Element<T> {
        Understood(T),
        Other(IgnoredAny),
    }
    if IS_STRICT.get() {
        return Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default());
    }
    let elements = Option::<Vec<Element<T>>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(elements
        .into_iter()
        .filter_map(|element| match element {
            Element::Understood(value) => Some(value),
            Element::Other(IgnoredAny) => None,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn what_is_not_understood_of_a_list_is_left_out_and_the_rest_is_read() {
        let text = |inputs: &str| format!(r#"{{"node":"n","inputs":{inputs},"later":{{}}}}"#);
        for (inputs, expected) in [
            (r#"[{"dataset":"a"},{"dataset":"b","later":1}]"#, &["a", "b"][..]),
            (r#"[{"dataset":"a"},7,{"dataset":["b"]},{"dataset":"c"}]"#, &["a", "c"]),
            ("null", &[]),
        ] {
            let event: BeforeNodeRun = read(&text(inputs)).unwrap();
            assert_eq!(event.node, "n");
            assert_eq!(event.inputs.iter().map(|block| block.dataset.as_str()).collect::<Vec<_>>(), expected);
        }
        assert!(read::<BeforeNodeRun>(r#"{"node":7}"#).is_err());
    }

    #[test]
    fn the_end_of_a_run_is_read_whatever_it_tells() {
        let read = |text: &str| serde_json::from_str::<OnPipelineError>(text).unwrap();
        let told = read(r#"{"run":"r","state":"cancelled","failure":{"message":"by hand"}}"#);
        assert_eq!((told.state.as_str(), told.failure.message.as_str()), ("cancelled", "by hand"));
        for text in [r#"{"run":"r"}"#, r#"{"run":"r","state":null,"failure":null,"later":1}"#] {
            assert_eq!(read(text), OnPipelineError { run: "r".to_owned(), ..OnPipelineError::default() });
        }
    }
}
