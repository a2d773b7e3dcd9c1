//! Datasets of many files: an input that lists them and loads one when it is asked for, and an output that gives them one by one.

use std::{
    marker::PhantomData,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use serde::Deserialize;

use crate::{
    Error, Result,
    abi::InputBlock,
    context::Context,
    node::Input,
    output::{Output, OutputPort, Steps},
    value::{Bytes, Text, from_json},
};

/// A type that one partition may have.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a partition",
    label = "not a partition type",
    note = "partitions are: Table, Bytes, Text, Json<T>"
)]
pub trait Partition: Input + Output {
    /// The kind of a port for many of them (`partitions<table>`).
    const PARTITIONS: &'static str;
}

impl Partition for Bytes {
    const PARTITIONS: &'static str = "partitions<bytes>";
}

impl Partition for Text {
    const PARTITIONS: &'static str = "partitions<text>";
}

#[cfg(feature = "arrow")]
impl Partition for crate::table::Table {
    const PARTITIONS: &'static str = "partitions<table>";
}

#[cfg(feature = "json")]
impl<T: serde::Serialize + serde::de::DeserializeOwned> Partition for crate::value::Json<T> {
    const PARTITIONS: &'static str = "partitions<json>";
}

/// The partitions of a dataset: their names, and each of them when it is asked for. Nothing is loaded before, and what was
/// loaded is gone when the node lets go of it, so a node holds as many partitions as it looks at in the same moment.
///
/// ```
/// use plugin_api::prelude::*;
///
/// /// The rows of all partitions together, four of them loaded at a time.
/// #[node(outputs = ["rows"])]
/// fn count(readings: Partitions<Text>, ctx: &Context) -> Result<i64> {
///     let lines = readings.map(ctx, 4, |_name, text| Ok(text.lines().count() as i64))?;
///     Ok(lines.into_iter().sum())
/// }
/// # let readings = [("a", Text::from("1\n2\n")), ("b", Text::from("3\n"))];
/// # let outputs = plugin_api::testing::node::<count>().partitions("readings", readings).run().unwrap();
/// # assert_eq!(outputs.get::<i64>("rows").unwrap(), 3);
/// ```
#[derive(Clone, Debug)]
pub struct Partitions<T> {
    dataset: String,
    names: Vec<String>,
    of: PhantomData<fn() -> T>,
}

/// What the block of such an input holds.
#[derive(Deserialize)]
struct Listing {
    dataset: String,
    partitions: Vec<String>,
}

impl<T: Partition> Input for Partitions<T> {
    const KIND: &'static str = T::PARTITIONS;

    fn from_block(block: InputBlock) -> Result<Self> {
        let Listing { dataset, partitions } = from_json(&block, "a list of partitions")?;
        Ok(Partitions { dataset, names: partitions, of: PhantomData })
    }
}

impl<T: Partition> Partitions<T> {
    /// The names, sorted.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Loads one. A second load of the same one reads it again.
    pub fn load(&self, ctx: &Context, name: &str) -> Result<T> {
        let loaded = ctx.call().load_partition(&self.dataset, name).map_err(Error::from).and_then(T::from_block);
        loaded.map_err(|error| error.context(format!("loading the partition `{name}` of `{}`", self.dataset)))
    }

    /// Loads one after the other, in the order of their names.
    pub fn iter<'a>(&'a self, ctx: &'a Context) -> impl Iterator<Item = Result<(&'a str, T)>> + 'a {
        self.names.iter().map(move |name| Ok((name.as_str(), self.load(ctx, name)?)))
    }

    /// Loads them by this many threads and gives what `each` makes of them, in the order of their names; never more partitions
    /// than threads are there at once. The first error ends it.
    pub fn map<R: Send>(
        &self,
        ctx: &Context,
        threads: usize,
        each: impl Fn(&str, T) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        let next = AtomicUsize::new(0);
        let has_failed = AtomicBool::new(false);
        let made: Mutex<Vec<Option<R>>> = Mutex::new(self.names.iter().map(|_| None).collect());
        let work = || -> Result<()> {
            while !has_failed.load(Ordering::Relaxed) {
                let position = next.fetch_add(1, Ordering::Relaxed);
                let Some(name) = self.names.get(position) else { break };
                let result = self.load(ctx, name).and_then(|value| each(name, value));
                let value = result.inspect_err(|_| has_failed.store(true, Ordering::Relaxed))?;
                made.lock().unwrap_or_else(PoisonError::into_inner)[position] = Some(value);
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads.clamp(1, self.names.len().max(1))).map(|_| scope.spawn(work)).collect();
            let ends: Vec<_> = threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
            ends.into_iter().try_for_each(|end| end.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })?;
        Ok(made.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect())
    }
}

/// An output of many partitions, given one by one with their names: each is saved as a file of its own and its memory free before
/// the iterator is asked for the next. It must be bound to a partitioned dataset.
///
/// ```
/// use plugin_api::prelude::*;
///
/// /// A file for each of the first numbers.
/// #[node(outputs = ["numbers"])]
/// fn numbers(count: i64) -> Partitioned<impl Iterator<Item = (String, Text)>> {
///     Partitioned((0..count).map(|number| (format!("number-{number}"), Text::from(number.to_string()))))
/// }
/// # let outputs = plugin_api::testing::node::<numbers>().input("count", 2_i64).chunked("numbers").run().unwrap();
/// # assert_eq!(outputs.chunks().len(), 2);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Partitioned<I>(pub I);

/// A name and a partition, or a result of these.
pub trait IntoPartition {
    /// The partition.
    type Partition: Partition;

    /// The two, or why there are none.
    fn into_partition(self) -> Result<(String, Self::Partition)>;
}

impl<S: Into<String>, T: Partition> IntoPartition for (S, T) {
    type Partition = T;

    fn into_partition(self) -> Result<(String, T)> {
        Ok((self.0.into(), self.1))
    }
}

impl<S: Into<String>, T: Partition, E: Into<Error>> IntoPartition for std::result::Result<(S, T), E> {
    type Partition = T;

    fn into_partition(self) -> Result<(String, T)> {
        self.map(|(name, value)| (name.into(), value)).map_err(Into::into)
    }
}

impl<I> Output for Partitioned<I>
where
    I: IntoIterator,
    I::Item: IntoPartition,
{
    const KIND: &'static str = <<I::Item as IntoPartition>::Partition as Partition>::PARTITIONS;
    const CHUNKS: bool = true;

    fn write(self, port: &OutputPort<'_>) -> Result<()> {
        let mut giving = Giving { partitions: self.0.into_iter(), port: port.clone() };
        while giving.step()? {}
        Ok(())
    }

    fn steps<'a>(self, port: OutputPort<'a>) -> Box<dyn Steps + 'a>
    where
        Self: 'a,
    {
        Box::new(Giving { partitions: self.0.into_iter(), port })
    }
}

/// Partitions on their way.
struct Giving<'a, I> {
    partitions: I,
    port: OutputPort<'a>,
}

impl<I: Iterator<Item: IntoPartition>> Steps for Giving<'_, I> {
    fn step(&mut self) -> Result<bool> {
        if !self.port.saves_chunks() {
            return Err(Error::output("partitions are given one by one and cannot stay in memory")
                .with_hint("bind the output to a dataset with `partitioned = …` in the catalog"));
        }
        let Some(partition) = self.partitions.next() else { return Ok(false) };
        let (name, value) = partition.into_partition()?;
        value.write(&self.port)?;
        self.port.give_partition(&name)?;
        Ok(true)
    }
}
