//! A call's argument: JSON that a plugin may ask for. That of a node is put together when it does, for most do not.

use std::sync::OnceLock;

use crate::ipc::manifest::NodeDescription;
use crate::ipc::message::RunBriefing;

/// An argument.
#[derive(Clone, Copy)]
pub enum Argument<'a> {
    /// There already.
    Given(&'a str),
    /// To be made when it is asked for.
    OfNode(&'a NodeArgument<'a>),
}

impl<'a> Argument<'a> {
    /// As JSON.
    pub fn json(&self) -> &'a str {
        match self {
            Argument::Given(json) => json,
            Argument::OfNode(argument) => argument.made.get_or_init(|| argument.make()),
        }
    }
}

/// What the argument of a node's call is made of.
pub struct NodeArgument<'a> {
    /// The run.
    pub run: &'a RunBriefing,
    /// The plugin.
    pub plugin: &'a str,
    /// The plugin's node.
    pub node: &'a NodeDescription,
    /// The node's name in the pipeline.
    pub name: &'a str,
    /// Which attempt it is.
    pub attempt: u32,
    /// Once it was asked for.
    pub made: OnceLock<String>,
}

impl NodeArgument<'_> {
    /// With the keys that `plugin_api::argument::NodeArgument` reads. The parameters are JSON already, and the server's.
    fn make(&self) -> String {
        let quote = |text: &str| serde_json::to_string(text).unwrap_or_else(|_| "null".to_owned());
        let ports: Vec<String> = self.node.inputs.iter().map(|port| quote(&port.name)).collect();
        let parameters = if self.run.parameters.is_empty() { "null" } else { &self.run.parameters };
        format!(
            r#"{{"run":{},"node":{},"plugin":{},"call":{},"attempt":{},"worker":{},"parameters":{parameters},"ports":[{}]}}"#,
            quote(&self.run.id),
            quote(self.name),
            quote(self.plugin),
            quote(&self.node.name),
            self.attempt,
            self.run.worker,
            ports.join(",")
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::ipc::manifest::PortDescription;

    #[test]
    fn a_plugin_reads_what_was_put_together() {
        let run = RunBriefing { number: 1, id: "r\"1".to_owned(), parameters: r#"{"a":[1]}"#.to_owned(), worker: 3 };
        let port = PortDescription { name: "table".to_owned(), ..PortDescription::default() };
        let node = NodeDescription { name: "f".to_owned(), inputs: vec![port], ..NodeDescription::default() };
        let argument =
            NodeArgument { run: &run, plugin: "p", node: &node, name: "n_1", attempt: 2, made: OnceLock::new() };
        let read: plugin_api::argument::NodeArgument =
            serde_json::from_str(Argument::OfNode(&argument).json()).unwrap();
        assert_eq!((read.run.as_str(), read.node.as_str(), read.plugin.as_str()), ("r\"1", "n_1", "p"));
        assert_eq!((read.call.as_str(), read.attempt, read.worker), ("f", 2, 3));
        assert_eq!((read.parameters.to_string(), read.ports), (r#"{"a":[1]}"#.to_owned(), vec!["table".to_owned()]));
    }
}
