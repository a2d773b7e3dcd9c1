//! What hook events say of a task, and the blocks that go with them.
//!
//! A hook finds the data of the `i`-th dataset that an event names at position `i` of the blocks: of `inputs`, then of
//! `outputs`; of `dataset` for an event about one.
#![forbid(unsafe_code)]

use engine::failure::Failure;
use engine::id::DatasetId;
use engine::plan::{InputBinding, Node};

use super::adopt::Output;
use super::attempt::Shown;
use super::request::Work;
use crate::block::Block;
use crate::ipc::client::Input;
use crate::server::convert;
use crate::server::json::{JsonObject, list};
use crate::server::runs::Run;

impl Work<'_> {
    /// Adds what is known before the task runs.
    pub fn describe_start(&self, event: &mut JsonObject, run: &Run, worker: u32, inputs: &[(usize, Block)]) {
        self.describe(event, run, worker);
        if let Work::Call(node) = self {
            describe_inputs(event, node, run, inputs);
        }
    }

    /// Adds what is known after the task has ended well.
    pub fn describe_end(&self, event: &mut JsonObject, run: &Run, worker: u32, shown: &Shown, outputs: &[Output]) {
        self.describe(event, run, worker);
        describe_times(event, shown);
        match self {
            Work::Call(node) => {
                describe_inputs(event, node, run, &shown.inputs);
                let described = outputs.iter().map(|output| {
                    move |object: &mut JsonObject| {
                        let port = node.call.outputs.get(output.port).map_or("", String::as_str);
                        describe_block(object, run, port, output.dataset, &output.block);
                    }
                });
                event.objects("outputs", described);
            }
            Work::Load(..) => outputs.iter().for_each(|output| describe_bytes(event, run, &output.block)),
            Work::Save(..) => shown.inputs.iter().for_each(|(_, block)| describe_bytes(event, run, block)),
            // No data goes with it.
            Work::Confirm(..) => {}
        }
    }

    /// Adds why the task failed.
    pub fn describe_error(&self, event: &mut JsonObject, run: &Run, worker: u32, shown: &Shown, failure: &Failure) {
        self.describe(event, run, worker);
        describe_times(event, shown);
        match self {
            Work::Call(node) => describe_inputs(event, node, run, &shown.inputs),
            Work::Load(..) => event.text("operation", "load"),
            Work::Save(..) => event.text("operation", "save"),
            Work::Confirm(..) => event.text("operation", "confirm"),
        }
        event.raw("failure", &failure_json(failure));
    }

    /// The blocks that go with the event of a good end.
    pub fn blocks_at_end(&self, shown: &Shown, outputs: &[Output]) -> Vec<Input> {
        let inputs = shown.inputs.iter().map(|(_, block)| block);
        inputs.chain(outputs.iter().map(|output| &output.block)).map(|block| Input::Block(block.clone())).collect()
    }

    /// The blocks that go with the event of a failure: a node's inputs; a dataset's error has none.
    pub fn blocks_at_error(&self, shown: &Shown) -> Vec<Input> {
        match self {
            Work::Call(_) => shown.inputs.iter().map(|(_, block)| Input::Block(block.clone())).collect(),
            Work::Load(..) | Work::Save(..) | Work::Confirm(..) => Vec::new(),
        }
    }

    fn describe(&self, event: &mut JsonObject, run: &Run, worker: u32) {
        match self {
            Work::Call(node) => {
                event.text("node", node.name);
                event.text("plugin", &node.call.plugin_name);
                event.text("call", &node.call.node_name);
            }
            Work::Load(dataset, storage) | Work::Save(dataset, storage) | Work::Confirm(dataset, storage) => {
                event.text("dataset", dataset.name);
                event.text("type", &storage.type_name);
                event.text("path", &storage.path);
                let name = |id| run.plan.node(id).map(|node| node.name);
                match dataset.producer.and_then(name) {
                    Some(producer) => event.text("node", producer),
                    None => event.raw("nodes", &list(dataset.consumers.iter().filter_map(|id| name(*id)))),
                }
            }
        }
        event.number("worker", worker);
    }
}

/// A failure as the API shows it.
pub fn failure_json(failure: &Failure) -> String {
    serde_json::to_string(&convert::failure(failure)).unwrap_or_else(|_| "null".to_owned())
}

fn describe_times(event: &mut JsonObject, shown: &Shown) {
    event.number("started_us", shown.times_us.0);
    event.number("finished_us", shown.times_us.1);
}

fn describe_inputs(event: &mut JsonObject, node: &Node<'_>, run: &Run, inputs: &[(usize, Block)]) {
    let described = inputs.iter().map(|(port, block)| {
        move |object: &mut JsonObject| {
            let dataset = match node.inputs.get(*port) {
                Some(Some(InputBinding::Dataset(dataset))) => Some(*dataset),
                _ => None,
            };
            let port = node.call.inputs.get(*port).map_or("", String::as_str);
            describe_block(object, run, port, dataset, block);
        }
    });
    event.objects("inputs", described);
}

fn describe_block(object: &mut JsonObject, run: &Run, port: &str, dataset: Option<DatasetId>, block: &Block) {
    object.text("port", port);
    object.text("dataset", dataset.and_then(|id| run.plan.dataset(id)).map_or("", |dataset| dataset.name));
    describe_bytes(object, run, block);
}

fn describe_bytes(object: &mut JsonObject, run: &Run, block: &Block) {
    object.text("format", block.format().as_str());
    object.number("bytes", block.payload_length());
    if block.metadata().is_empty() {
        return;
    }
    // Written by a plugin: it may quote a secret, and what is no JSON would spoil the whole event.
    let metadata = run.redacted_text(block.metadata());
    if serde_json::from_str::<serde_json::Value>(&metadata).is_ok() {
        object.raw("metadata", &metadata);
    }
}
