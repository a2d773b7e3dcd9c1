//! A pipeline drawn by chance, as text for the daemon and as a model of what may come of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use protocol::{FailureKind, OnFailure, SourceText, Submission};

use crate::draw::Draw;

/// Sizes of what `big` makes: in the message, in one page, in many.
const SIZES: [usize; 5] = [100, 3_000, 5_000, 100_000, 3_000_000];
/// What is in the file that pipelines load.
pub const GIVEN: i64 = 7;

/// A pipeline, how it is to be run, and what each of its parts shall do.
pub struct Pipeline {
    /// Its nodes; each is after those it needs. The run's number is in their names, so they are different in all runs.
    pub nodes: Vec<Node>,
    /// Its datasets.
    pub datasets: BTreeMap<String, Dataset>,
    /// How often what has no number of its own is tried again.
    pub retries: u32,
    /// What is to be fetched when it is over.
    pub wanted: Vec<String>,
    /// How it is run.
    pub submission: Submission,
    /// Where nodes leave their names.
    pub trace: String,
}

/// What one node shall do.
pub struct Node {
    /// Its name.
    pub name: String,
    /// The node of the plugin `faults`.
    call: &'static str,
    /// Port and dataset.
    inputs: Vec<(&'static str, String)>,
    /// Port and value.
    parameters: Vec<(&'static str, String)>,
    outputs: Vec<String>,
    /// How often it is tried again, where it says so itself.
    retries: Option<u32>,
    on_failure: Option<OnFailure>,
    /// How it misbehaves, and on how many of its first attempts.
    fault: Option<(Fault, u32)>,
}

/// One dataset.
pub struct Dataset {
    /// What is in it once it is made.
    pub value: Value,
    /// The node that makes it; none for one that is loaded.
    pub maker: Option<String>,
    /// Whether the catalog says where it is saved.
    pub is_saved: bool,
    /// Whether its readers load what was saved.
    pub is_reread: bool,
    /// Whether some node reads it.
    pub is_read: bool,
}

/// The value of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(i64),
    /// So many bytes, which count up from 0 to 250 and again.
    Bytes(usize),
}

impl Value {
    /// Whether these bytes, as they are fetched, say the same.
    pub fn is(self, fetched: &[u8]) -> bool {
        match self {
            Value::Number(number) => serde_json::from_slice::<i64>(fetched).is_ok_and(|found| found == number),
            Value::Bytes(length) => {
                let counts_up = |(index, byte): (usize, &u8)| usize::from(*byte) == index % 251;
                fetched.len() == length && fetched.iter().enumerate().all(counts_up)
            }
        }
    }
}

/// How a node misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Fails,
    Panics,
    Segfaults,
    Aborts,
    Exits,
    Loops,
}

impl Fault {
    const WITHOUT_TIME: [Fault; 5] = [Fault::Fails, Fault::Panics, Fault::Segfaults, Fault::Aborts, Fault::Exits];

    fn word(self) -> &'static str {
        match self {
            Fault::Fails => "fails",
            Fault::Panics => "panics",
            Fault::Segfaults => "segfaults",
            Fault::Aborts => "aborts",
            Fault::Exits => "exits",
            Fault::Loops => "loops",
        }
    }

    /// What the daemon calls it, and the signal if it is one.
    pub fn failure(self) -> (FailureKind, Option<i32>) {
        match self {
            Fault::Fails => (FailureKind::Error, None),
            Fault::Panics => (FailureKind::Panic, None),
            Fault::Segfaults => (FailureKind::Signal, Some(11)),
            Fault::Aborts => (FailureKind::Signal, Some(6)),
            Fault::Exits => (FailureKind::Exit, None),
            Fault::Loops => (FailureKind::Timeout, None),
        }
    }
}

impl Node {
    fn new(name: String, call: &'static str) -> Node {
        let (inputs, parameters, outputs) = (Vec::new(), Vec::new(), Vec::new());
        Node { name, call, inputs, parameters, outputs, retries: None, on_failure: None, fault: None }
    }

    /// The datasets it reads.
    pub fn reads(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().map(|(_, dataset)| dataset.as_str())
    }

    /// The datasets it makes.
    pub fn makes(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().map(String::as_str)
    }

    /// Whether each of its calls leaves its name in the file.
    pub fn leaves_trace(&self) -> bool {
        self.parameters.iter().any(|(port, _)| matches!(*port, "trace" | "file"))
    }

    /// How this attempt shall end: well, or with this fault.
    pub fn fault_at(&self, attempt: u32) -> Option<Fault> {
        self.fault.filter(|(_, attempts)| attempt <= *attempts).map(|(fault, _)| fault)
    }

    fn write(&self, text: &mut String) {
        let inputs = self.inputs.iter().map(|(port, dataset)| format!("{port} = {dataset:?}"));
        let parameters = self.parameters.iter().map(|(port, _)| format!("{port} = \"params:{}_{port}\"", self.name));
        let inputs = inputs.chain(parameters).collect::<Vec<_>>().join(", ");
        let _ = write!(
            text,
            "[[node]]\nname = {:?}\ncall = \"faults::{}\"\ninputs = {{ {inputs} }}\noutputs = {:?}\n",
            self.name, self.call, self.outputs
        );
        if let Some(retries) = self.retries {
            let _ = writeln!(text, "retries = {retries}");
        }
        if let Some((Fault::Loops, _)) = self.fault {
            text.push_str("timeout_seconds = 0.1\n");
        }
        if let Some(policy) = self.on_failure {
            let _ = writeln!(text, "on_failure = {:?}", word(policy));
        }
    }
}

fn word(policy: OnFailure) -> &'static str {
    match policy {
        OnFailure::Stop => "stop",
        OnFailure::Continue => "continue",
    }
}

impl Pipeline {
    /// Draws the pipeline with this name. What has no fault of its own is tried again so often.
    pub fn draw(draw: &mut Draw, name: &str, folder: &Path, retries: u32) -> Pipeline {
        let mut pipeline = Pipeline {
            nodes: Vec::new(),
            datasets: BTreeMap::new(),
            retries,
            wanted: Vec::new(),
            submission: Submission::default(),
            trace: format!("{name}.trace"),
        };
        pipeline.add_given(draw);
        let count = draw.pick(&[1, 3, 10, 40, 120]);
        // How far back a node looks for its inputs: 1 gives chains.
        let reach = draw.pick(&[1, 2, 5, 50]);
        for number in 0..count {
            pipeline.add(draw, &format!("{name}n{number}"), reach, folder);
        }
        if draw.chance(40) {
            for number in 0..=draw.below(2) {
                pipeline.add_misbehaving(draw, &format!("{name}bad{number}"), reach, folder);
            }
        }
        let ends = pipeline.datasets.iter().filter(|(_, dataset)| !dataset.is_read && dataset.maker.is_some());
        pipeline.wanted = ends.filter(|_| draw.chance(20)).map(|(name, _)| name.clone()).collect();
        pipeline.submission = pipeline.submission(draw, name, folder);
        pipeline
    }

    /// The node with this name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// How often a node's call is tried again.
    pub fn retries_of(&self, node: &Node) -> u32 {
        node.retries.unwrap_or(self.retries)
    }

    /// What a failure of the node, or of something that is no node's, means for the rest.
    pub fn on_failure(&self, node: Option<&Node>) -> OnFailure {
        node.and_then(|node| node.on_failure).or(self.submission.on_failure).unwrap_or_default()
    }

    fn add_given(&mut self, draw: &mut Draw) {
        if draw.chance(40) {
            let value = Value::Number(GIVEN);
            let given = Dataset { value, maker: None, is_saved: false, is_reread: false, is_read: false };
            self.datasets.insert("given".to_owned(), given);
        }
    }

    /// Adds a node that behaves; what it reads is among the last so many numbers.
    fn add(&mut self, draw: &mut Draw, name: &str, reach: u64, folder: &Path) {
        let mut node = Node::new(name.to_owned(), "constant");
        let value = match draw.below(100) {
            0..20 => self.constant(draw, &mut node),
            20..50 => {
                node.call = "noop";
                self.read(draw, &mut node, "value", reach)
            }
            50..65 => {
                node.call = "append";
                node.parameters.push(("file", format!("{:?}", folder.join(&self.trace))));
                self.read(draw, &mut node, "before", reach) + 1
            }
            65..85 => {
                let (left, right) = (self.number(draw, reach), self.number(draw, reach));
                match (left, right) {
                    (Some(left), Some(right)) => {
                        node.call = "add";
                        self.bind(&mut node, "left", left) + self.bind(&mut node, "right", right)
                    }
                    _ => self.constant(draw, &mut node),
                }
            }
            85..90 => {
                node.call = draw.pick(&["prints", "logs"]);
                1
            }
            90..93 => {
                let milliseconds = draw.below(10).cast_signed();
                node.call = "sleeps";
                node.parameters.push(("milliseconds", milliseconds.to_string()));
                milliseconds
            }
            _ => return self.add_block(draw, node),
        };
        self.make(draw, node, Value::Number(value));
    }

    fn constant(&mut self, draw: &mut Draw, node: &mut Node) -> i64 {
        let value = draw.below(1000).cast_signed();
        node.parameters.push(("value", value.to_string()));
        value
    }

    /// A block and up to three who read it.
    fn add_block(&mut self, draw: &mut Draw, mut node: Node) {
        let (name, length) = (node.name.clone(), draw.pick(&SIZES));
        node.call = "big";
        node.parameters.push(("bytes", length.to_string()));
        self.make(draw, node, Value::Bytes(length));
        for reader in 0..draw.below(4) {
            let mut node = Node::new(format!("{name}r{reader}"), "length");
            self.bind(&mut node, "data", format!("{name}_d"));
            let first = Dataset { maker: Some(node.name.clone()), ..Dataset::of(Value::Number(0)) };
            node.outputs.push(format!("{}_first", node.name));
            self.datasets.insert(node.outputs[0].clone(), first);
            self.make(draw, node, Value::Number(length as i64));
        }
    }

    fn add_misbehaving(&mut self, draw: &mut Draw, name: &str, reach: u64, folder: &Path) {
        let mut node = Node::new(name.to_owned(), "misbehaves");
        let loops = draw.chance(10);
        let (fault, attempts) = match loops {
            // For ever: whether an attempt that would end well does so in time is up to the machine.
            true => (Fault::Loops, u32::MAX),
            false => (draw.pick(&Fault::WITHOUT_TIME), draw.pick(&[1, 1, 2, 3])),
        };
        node.parameters = vec![
            ("trace", format!("{:?}", folder.join(&self.trace))),
            ("fault", format!("{:?}", fault.word())),
            ("attempts", attempts.to_string()),
        ];
        node.fault = Some((fault, attempts));
        node.retries = Some(if loops { 0 } else { draw.pick(&[0, 1, 2, 3]) });
        node.on_failure = draw.chance(20).then(|| draw.pick(&[OnFailure::Stop, OnFailure::Continue]));
        let value = self.read(draw, &mut node, "value", reach) + 1;
        self.make(draw, node, Value::Number(value));
        // Somebody depends on it.
        for number in 0..draw.below(3) {
            let mut node = Node::new(format!("{name}then{number}"), "noop");
            let value = self.bind(&mut node, "value", format!("{name}_d"));
            self.make(draw, node, Value::Number(value));
        }
    }

    /// Gives the node its output and takes it in.
    fn make(&mut self, draw: &mut Draw, mut node: Node, value: Value) {
        let is_saved = matches!(value, Value::Number(_)) && draw.chance(6);
        let maker = Some(node.name.clone());
        let dataset = Dataset { maker, is_saved, is_reread: is_saved && draw.chance(40), ..Dataset::of(value) };
        let name = format!("{}_d", node.name);
        // The first port is the one that counts.
        node.outputs.insert(0, name.clone());
        self.datasets.insert(name, dataset);
        self.nodes.push(node);
    }

    /// Binds a port to one of the last numbers, if there is any, and gives what will be there.
    fn read(&mut self, draw: &mut Draw, node: &mut Node, port: &'static str, reach: u64) -> i64 {
        self.number(draw, reach).map_or(0, |dataset| self.bind(node, port, dataset))
    }

    fn bind(&mut self, node: &mut Node, port: &'static str, dataset: String) -> i64 {
        let found = self.datasets.get_mut(&dataset);
        let value = found.map_or(0, |dataset| {
            dataset.is_read = true;
            match dataset.value {
                Value::Number(number) => number,
                Value::Bytes(_) => 0,
            }
        });
        node.inputs.push((port, dataset));
        value
    }

    /// One of the last numbers that were made, or the one that is given.
    fn number(&self, draw: &mut Draw, reach: u64) -> Option<String> {
        if self.datasets.contains_key("given") && draw.chance(5) {
            return Some("given".to_owned());
        }
        let made = self.nodes.iter().rev().filter_map(|node| node.outputs.first());
        let is_number = |name: &&String| matches!(self.datasets[*name].value, Value::Number(_));
        let numbers: Vec<&String> = made.filter(is_number).take(usize::try_from(reach).unwrap_or(1)).collect();
        (!numbers.is_empty()).then(|| draw.pick(&numbers).clone())
    }

    fn submission(&self, draw: &mut Draw, name: &str, folder: &Path) -> Submission {
        Submission {
            pipeline: SourceText::new(format!("{name}.toml"), self.text(name)),
            base_directory: folder.to_string_lossy().into_owned(),
            outputs: self.wanted.clone(),
            max_workers: draw.chance(20).then_some(1),
            sequential: draw.chance(5),
            asynchronous_saves: draw.chance(20),
            on_failure: draw.chance(60).then_some(OnFailure::Continue),
            fail_fast: draw.chance(15),
            ..Submission::default()
        }
    }

    fn text(&self, name: &str) -> String {
        let mut text = format!("name = {name:?}\nretries = {}\nretry_backoff_seconds = 0.01\n", self.retries);
        self.nodes.iter().for_each(|node| node.write(&mut text));
        text.push_str("[parameters]\n");
        for node in &self.nodes {
            for (port, value) in &node.parameters {
                let _ = writeln!(text, "{}_{port} = {value}", node.name);
            }
        }
        text.push_str("[catalog]\n");
        for (name, dataset) in &self.datasets {
            if dataset.is_saved || dataset.maker.is_none() {
                let reread = if dataset.is_reread { ", reread = true" } else { "" };
                let _ = writeln!(text, "{name} = {{ type = \"json\", path = \"{name}.json\"{reread} }}");
            }
        }
        text
    }
}

impl Dataset {
    /// One that is in memory only, and that nobody reads.
    fn of(value: Value) -> Dataset {
        Dataset { value, maker: None, is_saved: false, is_reread: false, is_read: false }
    }
}
