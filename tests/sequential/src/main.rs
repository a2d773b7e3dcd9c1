//! The flights pipeline in one process: the same files, the same dataset types, the same node functions, called in order.
//!
//! `sequential PLUGINS FLIGHTS OUTPUT REPETITIONS` writes a JSON list with an object for each repetition: the microseconds
//! of each step by its name, and of `all`. Nothing is planned, checked or handed to another process; blocks are plain memory.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use plugin_api::abi::{Failure, InputBlock};
use plugin_api::error::ResultExt as _;
use plugin_api::testing::{DatasetTest, LoadedPlugin, NodeOutputs, NodeTest};
use plugin_api::{Error, Result};
use serde_json::{Map, Value, json};

const ORIGINS: [&str; 3] = ["EWR", "JFK", "LGA"];

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [plugins, flights, output, repetitions] = arguments.as_slice() else {
        return Err(Error::new("usage: sequential PLUGINS FLIGHTS OUTPUT REPETITIONS"));
    };
    let repetitions: usize = repetitions.to_string_lossy().parse()?;
    let driver = Driver {
        nodes: LoadedPlugin::open(&plugins.join("libflights.so"))?,
        formats: LoadedPlugin::open(&plugins.join("libformats.so"))?,
        catalog: read(&flights.join("catalog.toml"))?,
        options: read(&flights.join("parameters.toml"))?["model"].to_string(),
        flights: flights.clone(),
        output: output.clone(),
    };
    let times = (0..repetitions).map(|_| driver.run()).collect::<Result<Vec<Value>>>()?;
    println!("{}", Value::from(times));
    Ok(())
}

fn read(file: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(toml::from_str(&text)?)
}

fn told(failure: Failure) -> Error {
    Error::new(failure.message)
}

struct Driver {
    nodes: LoadedPlugin,
    formats: LoadedPlugin,
    catalog: Value,
    /// The parameter `model`, as JSON.
    options: String,
    flights: PathBuf,
    output: PathBuf,
}

/// The times of one repetition.
struct Times(Map<String, Value>);

impl Times {
    fn time<T>(&mut self, step: &str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        self.0.insert(step.to_owned(), json!(start.elapsed().as_micros() as u64));
        done
    }
}

impl Driver {
    /// Runs the pipeline once and gives the time of each step.
    fn run(&self) -> Result<Value> {
        let mut times = Times(Map::new());
        let start = Instant::now();
        let clean = |times: &mut Times, dataset: &str| -> Result<InputBlock> {
            let (node, made) = (format!("clean_{dataset}"), format!("{dataset}_clean"));
            let loaded = self.load(times, dataset)?;
            self.call(times, &node, self.node(&node)?.block(dataset, loaded))?.block(&made)
        };
        let flights = clean(&mut times, "flights")?;
        let weather = clean(&mut times, "weather")?;
        let planes = clean(&mut times, "planes")?;
        let joined = self.node("build_features")?.block("flights", flights.clone());
        let joined = joined.block("weather", weather).block("planes", planes);
        let joined = self.call(&mut times, "build_features", joined)?.block("model_input")?;
        self.save(&mut times, "model_input", "model_input", joined.clone())?;
        let parts = self.call(&mut times, "split", self.node("split")?.block("model_input", joined))?;
        let mut evaluate = self.node("evaluate")?.block("test", parts.block("test")?);
        for origin in ORIGINS {
            let train = self.node("train")?.block("table", parts.block("train")?);
            let train = train.parameter("options", &self.options).parameter("origin", &format!("{origin:?}"));
            let model = self.call(&mut times, &format!("train_{origin}"), train)?.block("model")?;
            self.save(&mut times, &format!("model_{origin}"), "model_{origin}", model.clone())?;
            evaluate = evaluate.block(&origin.to_lowercase(), model);
        }
        let metrics = self.call(&mut times, "evaluate", evaluate)?.block("metrics")?;
        self.save(&mut times, "metrics", "metrics", metrics)?;
        let airlines = self.load(&mut times, "airlines")?;
        let carriers = self.node("carrier_delays")?.block("flights", flights).block("airlines", airlines);
        let carriers = self.call(&mut times, "carrier_delays", carriers)?.block("carrier_delays")?;
        self.save(&mut times, "carrier_delays", "carrier_delays", carriers.clone())?;
        let chart = self.node("delay_chart")?.block("carrier_delays", carriers);
        let chart = self.call(&mut times, "delay_chart", chart)?.block("delay_chart")?;
        self.save(&mut times, "delay_chart", "delay_chart", chart)?;
        times.0.insert("all".to_owned(), json!(start.elapsed().as_micros() as u64));
        Ok(Value::Object(times.0))
    }

    fn node(&self, name: &str) -> Result<NodeTest> {
        self.nodes.node(name)
    }

    fn call(&self, times: &mut Times, step: &str, node: NodeTest) -> Result<NodeOutputs> {
        times.time(step, || node.run().map_err(told))
    }

    fn load(&self, times: &mut Times, name: &str) -> Result<InputBlock> {
        let dataset = self.dataset(name, name)?.kind("table");
        times.time(&format!("load {name}"), || dataset.load_block().map_err(told))
    }

    fn save(&self, times: &mut Times, name: &str, entry: &str, block: InputBlock) -> Result<()> {
        let dataset = self.dataset(name, entry)?;
        times.time(&format!("save {name}"), || dataset.save_block(block).map_err(told))
    }

    /// The dataset that an entry of the catalog stands for; results go to the output folder.
    fn dataset(&self, name: &str, entry: &str) -> Result<DatasetTest> {
        let entry = &self.catalog[entry];
        let text = |key: &str| entry[key].as_str().unwrap_or_default();
        let path = text("path").replace("{origin}", name.rsplit('_').next().unwrap_or_default());
        let path = match path.strip_prefix("${output_dir}/") {
            Some(file) => self.output.join(file),
            None => self.flights.join(path),
        };
        let options = entry.get("options").cloned().unwrap_or_else(|| json!({}));
        Ok(self.formats.dataset(text("type"))?.named(name).path(path).options(options))
    }
}
