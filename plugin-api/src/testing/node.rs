//! One call of a node.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{MemoryHost, block};
use crate::{
    Result,
    abi::{Call, Failure, InputBlock, failure_kind, format},
    argument::NodeArgument,
    export::NodeEntry,
    manifest::NodeManifest,
    node::{Input, Node},
    output::Output,
    panics,
};

/// A test of the node `N`: give it inputs, then [`run`](NodeTest::run) it. See the [module](super) for an example.
pub fn node<N: Node>() -> NodeTest {
    panics::install(false);
    let entry = NodeEntry::of::<N>();
    let call = move |call: Call<'_>| panics::catch(|| (entry.call)(call).map_err(Failure::from));
    NodeTest::new((entry.manifest)(), Box::new(call))
}

type Callable = Box<dyn Fn(Call<'_>) -> Result<(), Failure>>;

/// A call of a node in plain memory.
pub struct NodeTest {
    manifest: NodeManifest,
    call: Callable,
    inputs: Vec<Option<InputBlock>>,
    argument: NodeArgument,
    problem: Option<Failure>,
    cancelled: bool,
    partitions: BTreeMap<(String, String), InputBlock>,
}

impl NodeTest {
    pub(super) fn new(manifest: NodeManifest, call: Callable) -> Self {
        let ports = manifest.inputs.iter().map(|port| port.name.clone()).collect();
        let argument = NodeArgument {
            run: "test".to_owned(),
            node: manifest.name.clone(),
            call: manifest.name.clone(),
            attempt: 1,
            parameters: json!({}),
            ports,
            ..NodeArgument::default()
        };
        NodeTest {
            inputs: vec![None; manifest.inputs.len()],
            manifest,
            call,
            argument,
            problem: None,
            cancelled: false,
            partitions: BTreeMap::new(),
        }
    }

    /// What the node says of itself.
    pub fn manifest(&self) -> &NodeManifest {
        &self.manifest
    }

    /// Binds a value to an input port: any that a node could return.
    #[must_use]
    pub fn input(self, port: &str, value: impl Output) -> Self {
        match block(value) {
            Ok(block) => self.block(port, block),
            Err(failure) => self.with_problem(failure),
        }
    }

    /// Binds a parameter, as JSON, to an input port.
    #[must_use]
    pub fn parameter(self, port: &str, json: &str) -> Self {
        self.block(port, InputBlock::new(json.as_bytes().to_vec().into(), format::JSON, ""))
    }

    /// Binds a block to an input port, such as an output of another node.
    #[must_use]
    pub fn block(mut self, port: &str, block: InputBlock) -> Self {
        match self.manifest.inputs.iter().position(|input| input.name == port) {
            Some(index) => {
                self.inputs[index] = Some(block);
                self
            }
            None => {
                let ports: Vec<&str> = self.manifest.inputs.iter().map(|input| input.name.as_str()).collect();
                let message =
                    format!("the node `{}` has no input `{port}`; it has: {}", self.manifest.name, ports.join(", "));
                self.with_problem(Failure::new(failure_kind::INPUT, message))
            }
        }
    }

    /// What `ctx.parameters()` gives: all parameters of the run.
    #[must_use]
    pub fn run_parameters(mut self, parameters: Value) -> Self {
        self.argument.parameters = parameters;
        self
    }

    /// The node's name in the pipeline.
    #[must_use]
    pub fn named(mut self, node: &str) -> Self {
        self.argument.node = node.to_owned();
        self
    }

    /// Binds partitions to an input port.
    #[must_use]
    pub fn partitions<T: Output>(
        mut self,
        port: &str,
        partitions: impl IntoIterator<Item = (&'static str, T)>,
    ) -> Self {
        let mut names = Vec::new();
        for (name, value) in partitions {
            match block(value) {
                Ok(block) => drop(self.partitions.insert((port.to_owned(), name.to_owned()), block)),
                Err(failure) => return self.with_problem(failure),
            }
            names.push(name);
        }
        let listing = json!({ "dataset": port, "partitions": names }).to_string();
        self.parameter(port, &listing)
    }

    /// Has the chunks of an output be given one by one, as when they are saved as they come: [`NodeOutputs::chunks`].
    #[must_use]
    pub fn chunked(mut self, output: &str) -> Self {
        match (0..).zip(&self.manifest.outputs).find(|(_, port)| port.name == output && port.chunks) {
            Some((index, _)) => {
                self.argument.chunked.push(index);
                self
            }
            None => {
                let message =
                    format!("the node `{}` has no output `{output}` that comes in chunks", self.manifest.name);
                self.with_problem(Failure::new(failure_kind::OUTPUT, message))
            }
        }
    }

    /// Lets the call find that it is cancelled.
    #[must_use]
    pub fn cancelled(mut self) -> Self {
        self.cancelled = true;
        self
    }

    /// Calls the node. A panic is a failure, as in the daemon.
    pub fn run(self) -> Result<NodeOutputs, Failure> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let argument = serde_json::to_string(&self.argument).unwrap_or_default();
        let host = MemoryHost::new(argument).with_inputs(self.inputs).with_partitions(self.partitions);
        if self.cancelled {
            host.cancel();
        }
        (self.call)(Call::new(&host))?;
        let mut committed = host.take_outputs();
        let mut blocks = BTreeMap::new();
        let name =
            |index: u32| self.manifest.outputs.get(index as usize).map_or("", |port| port.name.as_str()).to_owned();
        let chunks = host.take_chunks().into_iter().map(|(port, chunk)| (name(port), chunk)).collect();
        for (index, port) in self.manifest.outputs.iter().enumerate() {
            if self.argument.chunked.contains(&(index as u32)) {
                continue;
            }
            let block = committed.remove(&(index as u32)).ok_or_else(|| {
                Failure::new(failure_kind::OUTPUT, format!("the node gave no output `{}`", port.name))
            })?;
            blocks.insert(port.name.clone(), block);
        }
        Ok(NodeOutputs { blocks, chunks, progress: host.progress() })
    }

    fn with_problem(mut self, failure: Failure) -> Self {
        self.problem.get_or_insert(failure);
        self
    }
}

/// What a node gave.
#[derive(Debug)]
pub struct NodeOutputs {
    blocks: BTreeMap<String, InputBlock>,
    chunks: Vec<(String, InputBlock)>,
    progress: (u64, u64),
}

impl NodeOutputs {
    /// An output as any type that a node could take.
    pub fn get<T: Input>(&self, output: &str) -> Result<T> {
        T::from_block(self.block(output)?)
    }

    /// An output's block, for the next node.
    pub fn block(&self, output: &str) -> Result<InputBlock> {
        self.blocks.get(output).cloned().ok_or_else(|| {
            let outputs: Vec<&str> = self.blocks.keys().map(String::as_str).collect();
            crate::Error::output(format!("there is no output `{output}`; there are: {}", outputs.join(", ")))
        })
    }

    /// The chunks of all outputs that were given one by one, each with its output's name, in the order in which they came.
    pub fn chunks(&self) -> &[(String, InputBlock)] {
        &self.chunks
    }

    /// The last that the node said of its progress: done, total.
    pub fn progress(&self) -> (u64, u64) {
        self.progress
    }
}
