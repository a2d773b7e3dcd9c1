//! A plugin with one of everything. The tests of plugin-api build it as a library, open it and call all of it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use plugin_api::{
    arrow::array::{ArrayRef, Float64Array, RecordBatch},
    prelude::*,
};

/// How to scale.
#[derive(Deserialize)]
#[serde(crate = "plugin_api::serde", deny_unknown_fields)]
pub struct Scaling {
    factor: f64,
}

/// Scales a column of numbers.
///
/// What is missing stays missing.
#[node(outputs = ["scaled", "sum"])]
pub fn scale(
    /// Must have a column `x`.
    table: Table,
    options: Params<Scaling>,
    ctx: &Context,
) -> Result<(Table, f64)> {
    let mut batches = Vec::new();
    let mut sum = 0.0;
    for (index, batch) in table.batches().iter().enumerate() {
        ctx.check_cancelled()?;
        ctx.progress(index as u64, table.batches().len() as u64);
        let part = Table::from(batch.clone());
        let scaled: Vec<f64> = part.numbers("x")?.iter().map(|x| x * options.factor).collect();
        sum += scaled.iter().sum::<f64>();
        batches.push(RecordBatch::try_from_iter([("x", Arc::new(Float64Array::from(scaled)) as ArrayRef)])?);
    }
    info!("scaled {} rows", table.num_rows());
    let schema = batches.first().context("the table has no rows")?.schema();
    Ok((Table::new(schema, batches)?, sum))
}

mod places {
    use super::*;

    /// Panics with a message and a place.
    #[node(outputs = [])]
    pub fn panics(message: Option<String>) {
        panic!("{}", message.as_deref().unwrap_or("no message"));
    }

    /// Fails with an error that has causes and a hint.
    #[node(outputs = ["never"])]
    pub fn fails(text: String) -> Result<i64> {
        text.parse().context("reading the number").hint("write digits")
    }
}

/// The first numbers as text, a line each.
#[node(outputs = ["lines"])]
pub fn lines(count: i64) -> Chunks<impl Iterator<Item = Result<Text>>> {
    Chunks((0..count).map(|number| {
        ensure!(number < 1000, "that is enough");
        Ok(Text::from(format!("{number}\n")))
    }))
}

/// Text in memory of the process.
#[derive(Default)]
pub struct Memory {
    saved: std::sync::Mutex<Option<String>>,
}

impl Dataset for Memory {
    const NAME: &'static str = "memory";
    const DOC: &'static str = "Text in memory of the process.";
    const LOADS: &'static [&'static str] = &["text"];
    const SAVES: &'static [&'static str] = &["text"];
    const SINGLE_PROCESS: bool = true;

    fn options() -> Vec<OptionManifest> {
        vec![OptionManifest::new("suffix", "", "appended to what is loaded")]
    }

    fn load(&self, request: &LoadRequest) -> Result<()> {
        #[derive(Default, Deserialize)]
        #[serde(crate = "plugin_api::serde", default, deny_unknown_fields)]
        struct Options {
            suffix: String,
        }
        let options: Options = request.options()?;
        let saved = self.saved.lock().map_err(|_| Error::new("poisoned"))?.clone();
        let text = saved.context("nothing was saved yet").hint("save first")?;
        request.give(Text::from(text + &options.suffix))
    }

    fn save(&self, request: &SaveRequest) -> Result<()> {
        let text: Text = request.take()?;
        *self.saved.lock().map_err(|_| Error::new("poisoned"))? = Some(text.to_string());
        Ok(())
    }

    fn exists(&self, _request: &DatasetRequest) -> Result<bool> {
        Ok(self.saved.lock().map_err(|_| Error::new("poisoned"))?.is_some())
    }
}

/// How many nodes all counters have seen.
static SEEN: AtomicU64 = AtomicU64::new(0);

/// See the documentation of its `impl`.
pub struct Counter {
    limit: u64,
    seen: u64,
}

/// Counts nodes, and objects to more than `limit`.
#[hook]
impl Hook for Counter {
    const SELF_REGISTERING: bool = true;

    fn new(options: HookOptions) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(crate = "plugin_api::serde", deny_unknown_fields)]
        struct Options {
            #[serde(default = "u64_max")]
            limit: u64,
        }
        fn u64_max() -> u64 {
            u64::MAX
        }
        let options: Options = options.parse()?;
        Ok(Counter { limit: options.limit, seen: 0 })
    }

    fn before_node_run(&mut self, _event: &BeforeNodeRun, inputs: &NodeInputs) -> Result<()> {
        for dataset in inputs.datasets() {
            if dataset == "word" {
                let word: String = inputs.get(dataset)?;
                inputs.replace(dataset, word.to_uppercase())?;
            }
        }
        Ok(())
    }

    fn after_node_run(&mut self, event: &AfterNodeRun, _blocks: &Blocks) -> Result<()> {
        self.seen += 1;
        SEEN.fetch_add(1, Ordering::Relaxed);
        assert!(event.node != "panic", "the hook was asked to panic");
        ensure!(self.seen <= self.limit, "seen {} nodes, the limit is {}", self.seen, self.limit);
        Ok(())
    }
}

plugin! {
    name: "sample",
    version: "1.2.3",
    nodes: [scale, places::panics, places::fails, lines],
    hooks: [Counter],
    datasets: [Memory],
}
