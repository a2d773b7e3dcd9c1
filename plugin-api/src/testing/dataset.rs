//! Operations on one dataset.

use std::path::Path;

use serde_json::{Value, json};

use super::{MemoryHost, block};
use crate::{
    Result,
    abi::{Call, Failure, InputBlock, operation},
    argument::DatasetArgument,
    dataset::{self, Dataset},
    export::{DatasetEntry, DatasetSlot},
    manifest::DatasetManifest,
    node::Input,
    output::Output,
    panics,
};

/// A dataset of the type `D`. See [`Dataset`] for an example.
pub fn dataset<D: Dataset>() -> DatasetTest {
    panics::install(false);
    let slot = DatasetSlot::<D>::new();
    let call = move |operation, call: Call<'_>| panics::catch(|| slot.call(operation, call).map_err(Failure::from));
    DatasetTest::new(dataset::manifest::<D>(), Box::new(call))
}

type Callable = Box<dyn Fn(u32, Call<'_>) -> Result<String, Failure>>;

/// A dataset of some type: where it lives and with which options.
pub struct DatasetTest {
    manifest: DatasetManifest,
    call: Callable,
    argument: DatasetArgument,
}

impl DatasetTest {
    pub(super) fn new(manifest: DatasetManifest, call: Callable) -> Self {
        let argument =
            DatasetArgument { run: "test".to_owned(), dataset: "dataset".to_owned(), ..DatasetArgument::default() };
        DatasetTest { manifest, call, argument }
    }

    /// What the type says of itself.
    pub fn manifest(&self) -> &DatasetManifest {
        &self.manifest
    }

    /// The dataset's name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.argument.dataset = name.to_owned();
        self
    }

    /// Where it lives.
    #[must_use]
    pub fn path(mut self, path: impl AsRef<Path>) -> Self {
        self.argument.path = path.as_ref().to_string_lossy().into_owned();
        self
    }

    /// The catalog's `options`.
    #[must_use]
    pub fn options(mut self, options: Value) -> Self {
        self.argument.options = options;
        self
    }

    /// The kind that its readers want.
    #[must_use]
    pub fn kind(mut self, kind: &str) -> Self {
        self.argument.kind = kind.to_owned();
        self
    }

    /// Loads it, as any type that a node could take.
    pub fn load<T: Input>(&self) -> Result<T, Failure> {
        T::from_block(self.load_block()?).map_err(Failure::from)
    }

    /// Loads it as a block.
    pub fn load_block(&self) -> Result<InputBlock, Failure> {
        let host = self.host(None);
        (self.call)(operation::LOAD, Call::new(&host))?;
        host.take_output(0).ok_or_else(|| Failure::new(crate::abi::failure_kind::OUTPUT, "the load gave no data"))
    }

    /// Saves a value: any that a node could return.
    pub fn save(&self, value: impl Output) -> Result<(), Failure> {
        self.save_block(block(value)?)
    }

    /// Saves a block.
    pub fn save_block(&self, block: InputBlock) -> Result<(), Failure> {
        (self.call)(operation::SAVE, Call::new(&self.host(Some(block)))).map(drop)
    }

    /// Saves values chunk by chunk, as [`Chunks`](crate::Chunks) are; an error among them gives the save up.
    pub fn save_chunks<T: Output>(&self, chunks: impl IntoIterator<Item = Result<T>>) -> Result<(), Failure> {
        let mut argument = self.argument.clone();
        "test".clone_into(&mut argument.session);
        let argument = serde_json::to_string(&argument).unwrap_or_default();
        let perform = |operation, input| {
            let host = MemoryHost::new(argument.clone()).with_inputs(vec![input]);
            (self.call)(operation, Call::new(&host)).map(drop)
        };
        let append = |chunk: Result<T>| perform(operation::APPEND, Some(block(chunk?)?));
        match chunks.into_iter().try_for_each(append) {
            Ok(()) => perform(operation::FINISH, None),
            Err(failure) => perform(operation::ABANDON, None).and(Err(failure)),
        }
    }

    /// Whether it is there.
    pub fn exists(&self) -> Result<bool, Failure> {
        (self.call)(operation::EXISTS, Call::new(&self.host(None))).map(|answer| answer == "true")
    }

    /// Drops what is kept in memory for it.
    pub fn release(&self) -> Result<(), Failure> {
        (self.call)(operation::RELEASE, Call::new(&self.host(None))).map(drop)
    }

    /// Describes it.
    pub fn describe(&self) -> Result<Value, Failure> {
        let answer = (self.call)(operation::DESCRIBE, Call::new(&self.host(None)))?;
        Ok(serde_json::from_str(&answer).unwrap_or(json!(answer)))
    }

    fn host(&self, input: Option<InputBlock>) -> MemoryHost {
        MemoryHost::new(serde_json::to_string(&self.argument).unwrap_or_default()).with_inputs(vec![input])
    }
}
