//! The data that goes with an event.

use std::sync::Mutex;

use super::BlockInfo;
use crate::{
    Error, Result,
    abi::{self, InputBlock},
    context::Context,
    node::Input,
    output::Output,
};

/// The blocks that go with an event, read only when a hook asks.
pub struct Blocks {
    context: Context,
    /// Datasets in the order of the call's input ports.
    datasets: Vec<String>,
}

impl Blocks {
    pub(super) fn new(context: Context, datasets: Vec<String>) -> Self {
        Blocks { context, datasets }
    }

    /// The names of the datasets.
    pub fn datasets(&self) -> &[String] {
        &self.datasets
    }

    /// A dataset's data, as any type that a node could take.
    pub fn get<T: Input>(&self, dataset: &str) -> Result<T> {
        T::from_block(self.block(dataset)?).map_err(|error| error.context(format!("reading the dataset `{dataset}`")))
    }

    /// A dataset's block as it is.
    pub fn block(&self, dataset: &str) -> Result<InputBlock> {
        let port = self.port(dataset)?;
        self.context
            .input(port)?
            .ok_or_else(|| Error::input(format!("the event came without the data of the dataset `{dataset}`")))
    }

    fn port(&self, dataset: &str) -> Result<u32> {
        match self.datasets.iter().position(|name| name == dataset) {
            Some(port) => Ok(port as u32),
            None => Err(Error::input(format!("the event is not about a dataset `{dataset}`"))
                .with_hint(format!("its datasets are: {}", self.datasets.join(", ")))),
        }
    }
}

/// The inputs of a node that is about to run: to read, and to replace.
///
/// ```
/// use plugin_api::prelude::*;
///
/// struct Doubling;
///
/// /// Doubles whatever `factor` is.
/// #[hook]
/// impl Hook for Doubling {
///     fn new(_options: HookOptions) -> Result<Self> {
///         Ok(Doubling)
///     }
///
///     fn before_node_run(&mut self, _event: &BeforeNodeRun, inputs: &NodeInputs) -> Result<()> {
///         let factor: f64 = inputs.get("factor")?;
///         inputs.replace("factor", 2.0 * factor)
///     }
/// }
/// # let mut hook = plugin_api::testing::hook::<Doubling>("{}").unwrap();
/// # let event = r#"{"event":"before_node_run","inputs":[{"dataset":"factor","format":"json"}]}"#;
/// # let answer = hook.send_with(event, vec![plugin_api::testing::block(21.0).unwrap()]).unwrap();
/// # assert_eq!(answer.json, r#"{"replaced":["factor"]}"#);
/// # assert_eq!(answer.get::<f64>(0).unwrap(), 42.0);
/// ```
pub struct NodeInputs {
    blocks: Blocks,
    formats: Vec<String>,
    replaced: Mutex<Vec<String>>,
}

impl NodeInputs {
    pub(super) fn new(context: Context, inputs: &[BlockInfo]) -> Self {
        NodeInputs {
            blocks: Blocks::new(context, inputs.iter().map(|input| input.dataset.clone()).collect()),
            formats: inputs.iter().map(|input| input.format.clone()).collect(),
            replaced: Mutex::new(Vec::new()),
        }
    }

    /// The names of the datasets.
    pub fn datasets(&self) -> &[String] {
        self.blocks.datasets()
    }

    /// An input's data, as any type that a node could take.
    pub fn get<T: Input>(&self, dataset: &str) -> Result<T> {
        self.blocks.get(dataset)
    }

    /// Gives the node another value for this run of it; of the same kind, and once. The dataset itself stays as it is.
    pub fn replace<T: Output>(&self, dataset: &str, value: T) -> Result<()> {
        let port = self.blocks.port(dataset)?;
        let expected = self.formats.get(port as usize).map_or("", String::as_str);
        if let Some(format) = abi::format::of_kind(T::KIND)
            && !expected.is_empty()
            && format != expected
        {
            return Err(Error::output(format!(
                "the input `{dataset}` is of format `{expected}`, its replacement would be `{format}`"
            )));
        }
        let mut replaced = self.replaced.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if replaced.iter().any(|name| name == dataset) {
            return Err(Error::output(format!("the input `{dataset}` was replaced twice")));
        }
        value.write(&self.blocks.context.output(port, dataset))?;
        replaced.push(dataset.to_owned());
        Ok(())
    }

    pub(super) fn answer(&self) -> String {
        let replaced = self.replaced.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if replaced.is_empty() {
            return "null".to_owned();
        }
        serde_json::json!({ "replaced": *replaced }).to_string()
    }
}
