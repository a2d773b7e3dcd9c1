//! Dataset types: how a persisted dataset is loaded and saved.

use std::{
    collections::HashMap,
    ops::Deref,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    Error, Result,
    abi::{Call, operation},
    argument::DatasetArgument,
    context::Context,
    manifest::{DatasetManifest, OptionManifest},
    node::Input,
    output::Output,
    value::Block,
};

/// A dataset type of a plugin: what stands behind `type =` in a catalog.
///
/// One value of it is made per process, by `Default`, and used for all datasets of the type.
///
/// ```standalone_crate
/// use plugin_api::prelude::*;
///
/// /// Text in a file.
/// #[derive(Default)]
/// struct TextFile;
///
/// impl Dataset for TextFile {
///     const NAME: &'static str = "text";
///     const DOC: &'static str = "UTF-8 text in a file.";
///     const LOADS: &'static [&'static str] = &["text"];
///     const SAVES: &'static [&'static str] = &["text"];
///
///     fn load(&self, request: &LoadRequest) -> Result<()> {
///         request.give(Text::from(std::fs::read_to_string(request.path()?)?))
///     }
///
///     fn save(&self, request: &SaveRequest) -> Result<()> {
///         let text: Text = request.take()?;
///         Ok(std::fs::write(request.path()?, text.as_bytes())?)
///     }
/// }
///
/// plugin! { name: "texts", nodes: [], datasets: [TextFile] }
/// # fn main() {
/// # let path = std::env::temp_dir().join(format!("dagd-doc-{}", std::process::id()));
/// # let dataset = plugin_api::testing::dataset::<TextFile>().path(&path);
/// # dataset.save(Text::from("hello")).unwrap();
/// # assert!(dataset.exists().unwrap());
/// # assert_eq!(&*dataset.load::<Text>().unwrap(), "hello");
/// # std::fs::remove_file(path).unwrap();
/// # }
/// ```
pub trait Dataset: Default + Send + Sync + 'static {
    /// What stands behind `type =` (`csv`).
    const NAME: &'static str;
    /// What it is, for people.
    const DOC: &'static str = "";
    /// The kinds it can load; the first is the usual one.
    const LOADS: &'static [&'static str];
    /// The kinds it can save.
    const SAVES: &'static [&'static str];
    /// Whether only one process may use a dataset of this type at a time.
    const SINGLE_PROCESS: bool = false;
    /// Whether it can save chunk by chunk: then it must have [`begin`](Dataset::begin). A node whose output comes in
    /// [`Chunks`](crate::Chunks) can be bound to no type that cannot.
    const APPENDS: bool = false;

    /// Whether [`release`](Dataset::release) is to be called when a run needs a dataset no more. Only a type that keeps
    /// something in memory between operations wants that.
    const RELEASES: bool = false;

    /// The options that a catalog entry may give.
    fn options() -> Vec<OptionManifest> {
        Vec::new()
    }

    /// Reads the data and gives it: [`LoadRequest::give`].
    fn load(&self, request: &LoadRequest) -> Result<()>;

    /// Writes the data: [`SaveRequest::take`]. A reader should never see half of it, and a failed save should leave the
    /// old data.
    fn save(&self, request: &SaveRequest) -> Result<()>;

    /// Begins a save that comes chunk by chunk. What is there stays until [`ChunkSession::finish`].
    fn begin(&self, request: &DatasetRequest) -> Result<Box<dyn ChunkSession>> {
        let _ = request;
        Err(Error::output(format!("the dataset type `{}` cannot save chunk by chunk", Self::NAME)))
    }

    /// Whether the data is there. By default: whether the path exists.
    fn exists(&self, request: &DatasetRequest) -> Result<bool> {
        let path = request.path()?;
        path.try_exists().map_err(|error| Error::new(format!("cannot look for `{}`", path.display())).because(error))
    }

    /// Drops whatever is kept in memory for the dataset. Called where [`RELEASES`](Dataset::RELEASES) says so, in each process
    /// that loaded or saved it, after its last reader is done.
    fn release(&self, request: &DatasetRequest) -> Result<()> {
        let _ = request;
        Ok(())
    }

    /// Describes the dataset for people, as a JSON object. By default: type and path.
    fn describe(&self, request: &DatasetRequest) -> Result<Value> {
        Ok(serde_json::json!({ "type": Self::NAME, "path": request.argument.path }))
    }
}

/// A save that comes chunk by chunk: each is written before the next one is made.
///
/// Dropped without `finish`, it has failed: what was there before must stand, and nothing of the session may be left. The
/// process may be killed at any time, so what it writes to should have no name before `finish`.
pub trait ChunkSession: Send {
    /// Writes the next chunk: [`SaveRequest::take`].
    fn append(&mut self, request: &SaveRequest) -> Result<()>;

    /// Puts what was written in the place of what was there. There may have been no chunk.
    fn finish(self: Box<Self>, request: &DatasetRequest) -> Result<()>;
}

/// The chunk sessions that are open in this process, by their names.
pub(crate) type Sessions = Mutex<HashMap<String, Box<dyn ChunkSession>>>;

/// Which dataset an operation is about.
pub struct DatasetRequest {
    context: Context,
    argument: DatasetArgument,
}

impl DatasetRequest {
    /// The dataset's name in the catalog.
    pub fn name(&self) -> &str {
        &self.argument.dataset
    }

    /// The id of the run.
    pub fn run(&self) -> &str {
        &self.argument.run
    }

    /// Where the dataset lives; an error if the catalog gives no path.
    pub fn path(&self) -> Result<&Path> {
        if self.argument.path.is_empty() {
            return Err(Error::of_kind("error", format!("the dataset `{}` has no path", self.name()))
                .with_hint("give it a `path` in the catalog"));
        }
        Ok(Path::new(&self.argument.path))
    }

    /// The kind that the dataset's readers want (`table`), or nothing.
    pub fn kind(&self) -> &str {
        &self.argument.kind
    }

    /// The catalog's `options`, as a serde type; without any, those of an empty object.
    ///
    /// With `#[serde(deny_unknown_fields)]` a misspelt option is an error rather than ignored.
    pub fn options<T: DeserializeOwned>(&self) -> Result<T> {
        let empty = Value::Object(serde_json::Map::new());
        let options = if self.argument.options.is_null() { &empty } else { &self.argument.options };
        T::deserialize(options).map_err(|error| {
            Error::of_kind("error", format!("the options of the dataset `{}` do not fit", self.name()))
                .because(error)
                .with_hint("correct `options` in the catalog")
        })
    }

    /// See [`Context::progress`].
    pub fn progress(&self, done: u64, total: u64) {
        self.context.progress(done, total);
    }

    /// See [`Context::check_cancelled`].
    pub fn check_cancelled(&self) -> Result<()> {
        self.context.check_cancelled()
    }

    fn over(call: Call<'static>, argument: DatasetArgument) -> Self {
        DatasetRequest { context: Context::over(call), argument }
    }
}

/// A dataset to load.
pub struct LoadRequest {
    request: DatasetRequest,
    given: AtomicBool,
}

impl LoadRequest {
    /// Gives the data: any type that a node could return, [`Chunks`](crate::Chunks) for one larger than memory should
    /// hold twice. Once.
    pub fn give(&self, data: impl Output) -> Result<()> {
        if self.given.swap(true, Ordering::Relaxed) {
            return Err(Error::output("the data of a load was given twice"));
        }
        data.write(&self.context.output(0, self.name()))
    }
}

impl Deref for LoadRequest {
    type Target = DatasetRequest;

    fn deref(&self) -> &DatasetRequest {
        &self.request
    }
}

/// A dataset to save.
pub struct SaveRequest {
    request: DatasetRequest,
}

impl SaveRequest {
    /// The data as any type that a node could take.
    pub fn take<T: Input>(&self) -> Result<T> {
        T::from_block(self.block()?).map_err(|error| error.context("reading the data to save"))
    }

    /// The data's block as it is, for types that save several kinds.
    pub fn block(&self) -> Result<Block> {
        self.context.input(0)?.ok_or_else(|| Error::input("there is no data to save"))
    }
}

impl Deref for SaveRequest {
    type Target = DatasetRequest;

    fn deref(&self) -> &DatasetRequest {
        &self.request
    }
}

pub(crate) fn manifest<D: Dataset>() -> DatasetManifest {
    let strings = |kinds: &[&str]| kinds.iter().map(|kind| (*kind).to_owned()).collect();
    DatasetManifest {
        name: D::NAME.to_owned(),
        doc: D::DOC.to_owned(),
        loads: strings(D::LOADS),
        saves: strings(D::SAVES),
        single_process: D::SINGLE_PROCESS,
        releases: D::RELEASES,
        appends: D::APPENDS,
        options: D::options(),
    }
}

/// Performs an operation and gives its JSON answer; an error names dataset, type and path.
pub(crate) fn perform<D: Dataset>(dataset: &D, sessions: &Sessions, number: u32, call: Call<'_>) -> Result<String> {
    let argument: DatasetArgument = serde_json::from_str(call.argument())
        .map_err(|error| Error::input("the argument of the dataset operation cannot be read").because(error))?;
    let doing = match number {
        operation::LOAD => "loading",
        operation::SAVE | operation::APPEND | operation::FINISH => "saving",
        operation::ABANDON => "giving up saving",
        operation::EXISTS => "looking for",
        operation::RELEASE => "releasing",
        operation::DESCRIBE => "describing",
        _ => return Err(Error::input(format!("a dataset type has no operation number {number}"))),
    };
    let place = match argument.path.as_str() {
        "" => String::new(),
        path => format!(" at `{}`", PathBuf::from(path).display()),
    };
    let trying = format!("{doing} the dataset `{}` ({}){place}", argument.dataset, D::NAME);
    let operated = match number {
        operation::APPEND | operation::FINISH | operation::ABANDON => {
            in_session(dataset, sessions, number, call, argument)
        }
        _ => operate(dataset, number, call, argument),
    };
    operated.map_err(|error| error.context(trying))
}

/// One step of a chunk session. A session whose step fails or panics is gone, and with it what it wrote.
fn in_session<D: Dataset>(
    dataset: &D,
    sessions: &Sessions,
    number: u32,
    call: Call<'_>,
    argument: DatasetArgument,
) -> Result<String> {
    let all = || sessions.lock().unwrap_or_else(PoisonError::into_inner);
    let name = argument.session.clone();
    // Out of the list meanwhile: other sessions need not wait for this one's disk.
    let open = all().remove(&name);
    let begun = |request: &DatasetRequest| open.map_or_else(|| dataset.begin(request), Ok);
    let request = |call| DatasetRequest::over(call, argument);
    match number {
        operation::APPEND => call.scope(
            |call| SaveRequest { request: request(call) },
            |request| {
                let mut session = begun(request)?;
                session.append(request)?;
                all().insert(name, session);
                Ok(())
            },
        ),
        operation::FINISH => call.scope(request, |request| begun(request)?.finish(request)),
        _ => {
            drop(begun);
            Ok(())
        }
    }
    .map(|()| "null".to_owned())
}

fn operate<D: Dataset>(dataset: &D, number: u32, call: Call<'_>, argument: DatasetArgument) -> Result<String> {
    let request = |call| DatasetRequest::over(call, argument);
    match number {
        operation::LOAD => call.scope(
            |call| LoadRequest { request: request(call), given: AtomicBool::new(false) },
            |request| {
                dataset.load(request)?;
                match request.given.load(Ordering::Relaxed) {
                    true => Ok("null".to_owned()),
                    false => Err(Error::output("its type gave no data").with_hint("`load` must call `request.give`")),
                }
            },
        ),
        operation::SAVE => call.scope(
            |call| SaveRequest { request: request(call) },
            |request| dataset.save(request).map(|()| "null".to_owned()),
        ),
        operation::EXISTS => call.scope(request, |request| dataset.exists(request).map(|there| there.to_string())),
        operation::RELEASE => call.scope(request, |request| dataset.release(request).map(|()| "null".to_owned())),
        _ => call.scope(request, |request| dataset.describe(request).map(|value| value.to_string())),
    }
}
