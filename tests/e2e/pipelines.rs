//! Pipelines that several topics use, and the gate that holds one open.

use std::fs;
use std::path::PathBuf;

use tests::Scene;

/// A pipeline of one node without inputs; `call` is `plugin::node`, `output` the name of its output port.
pub fn single(node: &str, call: &str) -> String {
    format!("name = \"{node}\"\n\n[[node]]\nname = \"{node}\"\ncall = \"{call}\"\noutputs = [\"{node}_out\"]\n")
}

/// A node that waits until the test opens the gate: how a test holds a run open for as long as it needs.
pub struct Gate {
    file: PathBuf,
}

impl Gate {
    /// A closed gate.
    pub fn new(scene: &Scene) -> Self {
        Self { file: scene.path("gate") }
    }

    /// Lets the waiting nodes go on.
    pub fn open(&self) {
        fs::write(&self.file, "").unwrap();
    }

    /// A pipeline of one node, `waits`, that ends when the gate is opened.
    pub fn pipeline(&self) -> String {
        format!("name = \"beside\"\n{}{}", self.parameters(), self.node("waits"))
    }

    /// The parameter that [`Gate::node`] needs.
    pub fn parameters(&self) -> String {
        format!("parameters = {{ gate = {} }}\n", self.value())
    }

    /// The value of that parameter, for pipelines with parameters of their own.
    pub fn value(&self) -> String {
        format!("{:?}", self.file)
    }

    /// A node that waits at the gate.
    pub fn node(&self, name: &str) -> String {
        format!(
            "\n[[node]]\nname = \"{name}\"\ncall = \"faults::waits_for_file\"\n\
             inputs = {{ file = \"params:gate\" }}\noutputs = [\"{name}_out\"]\n"
        )
    }
}
