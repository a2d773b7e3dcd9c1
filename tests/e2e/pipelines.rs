//! Pipelines that several topics use, and the gate that holds one open.

use std::fs;
use std::path::PathBuf;

use tests::Scene;

/// A pipeline of one node without inputs; `call` is `plugin::node`, `output` the name of its output port.
pub fn single(node: &str, call: &str) -> String {
    format!("name = \"{node}\"\n\n[[node]]\nname = \"{node}\"\ncall = \"{call}\"\noutputs = [\"{node}_out\"]\n")
}

/// Four nodes in a row, which leave their names in the file `trace`: `a` is persisted, `b` is in memory only, `c` does what the
/// call says with the file `file`, `d` follows.
pub fn steps(scene: &Scene, call: &str) -> String {
    let (trace, file) = (scene.path("trace"), scene.path("file"));
    format!(
        r#"
        name = "steps"
        parameters = {{ trace = {trace:?}, file = {file:?} }}
        [[node]]
        name = "a"
        call = "faults::step"
        inputs = {{ trace = "params:trace" }}
        outputs = ["a"]
        [[node]]
        name = "b"
        call = "faults::step"
        inputs = {{ trace = "params:trace", before = "a" }}
        outputs = ["b"]
        [[node]]
        name = "c"
        call = "faults::{call}"
        inputs = {{ trace = "params:trace", file = "params:file", before = "b" }}
        outputs = ["c"]
        [[node]]
        name = "d"
        call = "faults::step"
        inputs = {{ trace = "params:trace", before = "c" }}
        outputs = ["d"]
        [catalog]
        a = {{ type = "json", path = "a.json" }}
        c = {{ type = "json", path = "c.json" }}
        d = {{ type = "json", path = "d.json" }}
        "#
    )
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
