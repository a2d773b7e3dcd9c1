//! What a running node may know and ask: identity, parameters, progress, cancelling, memory for large outputs.

use std::sync::OnceLock;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    Error, Result,
    abi::{Call, InputBlock},
    argument::NodeArgument,
    array::{Array, ArrayBuilder, Number},
    output::{OutputPort, OutputWriter},
};

/// The call a node runs in; a node that wants it takes `ctx: &Context`.
///
/// May be shared with threads of the node's own.
///
/// ```
/// use plugin_api::prelude::*;
///
/// /// Counts up, politely.
/// #[node(outputs = ["count"])]
/// fn count(limit: i64, ctx: &Context) -> Result<i64> {
///     for step in 0..limit {
///         ctx.check_cancelled()?;
///         ctx.progress(step as u64, limit as u64);
///     }
///     Ok(limit)
/// }
/// # let outputs = plugin_api::testing::node::<count>().input("limit", 3_i64).run().unwrap();
/// # assert_eq!(outputs.get::<i64>("count").unwrap(), 3);
/// ```
pub struct Context {
    call: Call<'static>,
    argument: OnceLock<NodeArgument>,
    outputs: &'static [&'static str],
}

impl Context {
    /// Runs `body` with a context over `call`; neither can outlive this function.
    pub(crate) fn scope<R>(call: Call<'_>, outputs: &'static [&'static str], body: impl FnOnce(&Context) -> R) -> R {
        call.scope(|call| Context { call, argument: OnceLock::new(), outputs }, body)
    }

    /// For the crate's other types over a call, inside their own [`Call::scope`].
    pub(crate) fn over(call: Call<'static>) -> Self {
        Context { call, argument: OnceLock::new(), outputs: &[] }
    }

    pub(crate) fn call(&self) -> &Call<'static> {
        &self.call
    }

    /// The output ports whose chunks are saved as they come.
    pub(crate) fn chunked(&self) -> &[u32] {
        &self.argument().chunked
    }

    fn argument(&self) -> &NodeArgument {
        // Read only when a node asks: most calls never pay for it. The host writes it, so it is well-formed.
        self.argument.get_or_init(|| serde_json::from_str(self.call.argument()).unwrap_or_default())
    }

    /// The id of the run.
    pub fn run(&self) -> &str {
        &self.argument().run
    }

    /// The node's name in the pipeline (`train_EWR`).
    pub fn node(&self) -> &str {
        &self.argument().node
    }

    /// The plugin's name (`flights`).
    pub fn plugin(&self) -> &str {
        &self.argument().plugin
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.argument().attempt.max(1)
    }

    /// The number of the worker that runs the call.
    pub fn worker(&self) -> u32 {
        self.argument().worker
    }

    /// All parameters of the run, a JSON object. A node that needs some should take them as a port: then the plan
    /// checks them.
    pub fn parameters(&self) -> &Value {
        &self.argument().parameters
    }

    /// One parameter by its dotted path (`model.features`).
    pub fn parameter<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let mut value = self.parameters();
        for key in path.split('.') {
            value = value.get(key).ok_or_else(|| {
                Error::input(format!("the parameter `{path}` is missing: there is no `{key}`"))
                    .with_hint("give it in parameters.toml or with --params")
            })?;
        }
        T::deserialize(value)
            .map_err(|error| Error::input(format!("the parameter `{path}` does not fit")).because(error))
    }

    /// Says how far the node has come. Costs a store to shared memory, so it may be called often.
    pub fn progress(&self, done: u64, total: u64) {
        self.call.progress(done, total);
    }

    /// Whether the node should stop: its run was cancelled or its time is up. A node that does not ask is killed
    /// after a while.
    pub fn is_cancelled(&self) -> bool {
        self.call.is_cancelled()
    }

    /// An error if the node should stop, for use with `?` in loops.
    pub fn check_cancelled(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(Error::of_kind(crate::abi::failure_kind::ERROR, "the node was cancelled"));
        }
        Ok(())
    }

    /// Memory of the block that will be the output `port`, to write a large result in place.
    /// [`OutputWriter::finish_bytes`] and its kin give the value to return for that output.
    ///
    /// ```
    /// use std::io::Write;
    /// use plugin_api::prelude::*;
    ///
    /// /// A megabyte of zeros, then a one.
    /// #[node(outputs = ["data"])]
    /// fn zeros(ctx: &Context) -> Result<Written<Bytes>> {
    ///     let mut output = ctx.output_buffer("data", 1 << 20)?;
    ///     output.write_all(&[0; 1 << 20])?;
    ///     output.write_all(&[1])?; // grows as needed
    ///     output.finish_bytes()
    /// }
    /// # let outputs = plugin_api::testing::node::<zeros>().run().unwrap();
    /// # assert_eq!(outputs.get::<Bytes>("data").unwrap().len(), (1 << 20) + 1);
    /// ```
    pub fn output_buffer(&self, port: &str, capacity: usize) -> Result<OutputWriter<'_>> {
        self.output_port(port)?.writer(capacity)
    }

    /// An array in the block that will be the output `port`, zero at first, to be computed in place.
    ///
    /// ```
    /// use plugin_api::prelude::*;
    ///
    /// /// The multiplication table.
    /// #[node(outputs = ["products"])]
    /// fn products(ctx: &Context) -> Result<Written<Array<f64>>> {
    ///     let mut products = ctx.output_array::<f64>("products", &[10, 10])?;
    ///     for (index, product) in products.iter_mut().enumerate() {
    ///         *product = ((index / 10 + 1) * (index % 10 + 1)) as f64;
    ///     }
    ///     products.finish()
    /// }
    /// # let outputs = plugin_api::testing::node::<products>().run().unwrap();
    /// # assert_eq!(outputs.get::<Array<f64>>("products").unwrap()[99], 100.0);
    /// ```
    pub fn output_array<T: Number>(&self, port: &str, shape: &[usize]) -> Result<ArrayBuilder<'_, T>> {
        let length = Array::<T>::byte_length(shape)?;
        ArrayBuilder::new(self.output_buffer(port, length)?, shape, length)
    }

    fn output_port(&self, name: &str) -> Result<OutputPort<'_>> {
        match self.outputs.iter().position(|output| *output == name) {
            Some(index) => Ok(self.output(index as u32, name)),
            None => Err(Error::output(format!("the node has no output `{name}`; its outputs are {:?}", self.outputs))),
        }
    }

    pub(crate) fn output<'a>(&'a self, index: u32, name: &str) -> OutputPort<'a> {
        OutputPort::new(self, index, name)
    }

    pub(crate) fn input(&self, port: u32) -> Result<Option<InputBlock>> {
        self.call.input(port).map_err(Error::from)
    }
}
