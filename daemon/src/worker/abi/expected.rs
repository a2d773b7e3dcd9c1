//! What a call is expected to make. Texts are put together only for a failure: most calls have none.

use std::borrow::Cow;

use plugin_api::abi::{Failure, failure_kind};

use crate::ipc::manifest::NodeDescription;

/// What a call is expected to make.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    of: Of<'a>,
    /// Ports that are given chunk by chunk, and left with nothing at the end.
    in_chunks: Vec<u32>,
}

#[derive(Clone, Debug)]
enum Of<'a> {
    /// Every output of a node.
    Node { plugin: &'a str, node: &'a NodeDescription },
    /// Something else.
    Other { of: String, ports: Vec<String>, all: bool },
}

impl<'a> Expected<'a> {
    /// Every output of a node of this plugin.
    pub fn of_node(plugin: &'a str, node: &'a NodeDescription) -> Expected<'a> {
        Expected { of: Of::Node { plugin, node }, in_chunks: Vec::new() }
    }

    /// One output for each of these ports, by `of` (a node `a::b`, say).
    pub fn all_of(of: String, ports: Vec<String>) -> Expected<'a> {
        Expected { of: Of::Other { of, ports, all: true }, in_chunks: Vec::new() }
    }

    /// Any of so many ports.
    pub fn any_of(of: String, count: usize) -> Expected<'a> {
        let ports = (0..count).map(|index| index.to_string()).collect();
        Expected { of: Of::Other { of, ports, all: false }, in_chunks: Vec::new() }
    }

    /// The same, but these ports are given chunk by chunk.
    #[must_use]
    pub fn with_chunks(mut self, ports: impl IntoIterator<Item = u32>) -> Expected<'a> {
        self.in_chunks.extend(ports);
        self
    }

    /// The ports that are given chunk by chunk.
    pub(super) fn in_chunks(&self) -> &[u32] {
        &self.in_chunks
    }

    /// Who makes it.
    pub fn of(&self) -> Cow<'_, str> {
        match &self.of {
            Of::Node { plugin, node } => Cow::Owned(format!("node `{plugin}::{}`", node.name)),
            Of::Other { of, .. } => Cow::Borrowed(of),
        }
    }

    /// How many ports there are.
    pub fn count(&self) -> usize {
        match &self.of {
            Of::Node { node, .. } => node.outputs.len(),
            Of::Other { ports, .. } => ports.len(),
        }
    }

    /// The name of a port.
    pub(super) fn name(&self, port: u32) -> Option<&str> {
        match &self.of {
            Of::Node { node, .. } => node.outputs.get(port as usize).map(|port| port.name.as_str()),
            Of::Other { ports, .. } => ports.get(port as usize).map(String::as_str),
        }
    }

    /// The names of all ports.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        (0..).map_while(|port| self.name(port))
    }

    /// Whether every port must be filled.
    pub(super) fn wants_all(&self) -> bool {
        match &self.of {
            Of::Node { .. } => true,
            Of::Other { all, .. } => *all,
        }
    }

    /// A failure that says whose it is.
    pub(super) fn failure(&self, text: std::fmt::Arguments<'_>) -> Failure {
        Failure::new(failure_kind::OUTPUT, format!("{}: {text}", self.of()))
    }
}
