//! Fetching an output: from memory as it is, read back from where it was saved, or through a dataset type into another format.
#![forbid(unsafe_code)]

use std::fs::File;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::credentials::Redactor;
use engine::failure::Failure;
use engine::plan::Persisted;
use engine::problem::{Problem, list};
use engine::signature::{Manifest, PortKind};

use super::{Kept, Output, Place};
use crate::block::Block;
use crate::block::layout::Format;
use crate::server::errand::{self, Errand};
use crate::server::generations::Generation;
use crate::server::json::JsonObject;
use crate::server::services::Services;

/// Why an output is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// There is no such run, or nothing is known of its outputs any more.
    #[error("nothing is known of outputs of run {run:?}")]
    NoRun {
        /// The run.
        run: String,
        /// Whether the run itself is known: then they have expired, or a restart has forgotten them.
        is_known: bool,
    },
    /// The run has no such output.
    #[error("run {run} has no output {name:?}")]
    NoOutput {
        /// The run.
        run: String,
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The run has not made it.
    #[error("{0:?} is not made: its run is under way, or ended before")]
    Pending(String),
    /// It was there.
    #[error("{name:?} is not in memory any more: {reason}")]
    Gone {
        /// What was asked for.
        name: String,
        /// Why.
        reason: String,
    },
    /// There is no such format.
    #[error("{}", .0.message)]
    Format(Box<Problem>),
    /// The format is none for what the output is.
    #[error("{}", .0.message)]
    Unfit(Box<Problem>),
    /// The dataset type failed over it.
    #[error("{0}")]
    Failed(Box<Failure>),
    /// The system refused.
    #[error("{0}")]
    System(String),
}

/// An output on its way to a client.
#[derive(Debug)]
pub struct Fetched {
    /// What its bytes are.
    pub content_type: String,
    /// How many there are.
    pub bytes: u64,
    /// What the block says of itself, JSON or empty; of a file nothing.
    pub metadata: String,
    /// Where they come from.
    pub from: FetchedFrom,
}

/// Where bytes come from.
#[derive(Debug)]
pub enum FetchedFrom {
    /// A block in memory, and what keeps it there.
    Block(Block, Option<Arc<Kept>>),
    /// A file that has no name any more.
    File(File),
}

impl Fetched {
    /// Up to `length` bytes from `offset` on; none at the end.
    pub fn read_at(&self, offset: u64, length: usize) -> std::io::Result<Vec<u8>> {
        use std::os::unix::fs::FileExt as _;
        match &self.from {
            FetchedFrom::Block(block, _) => block.read_at(offset, length),
            FetchedFrom::File(file) => {
                let left = usize::try_from(self.bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
                let mut bytes = vec![0; left.min(length)];
                file.read_exact_at(&mut bytes, offset)?;
                Ok(bytes)
            }
        }
    }

    fn of_block(block: Block, kept: Option<Arc<Kept>>) -> Fetched {
        Fetched {
            content_type: content_type(block.format()).to_owned(),
            bytes: block.payload_length(),
            metadata: block.metadata().to_owned(),
            from: FetchedFrom::Block(block, kept),
        }
    }
}

/// What to fetch it with.
#[derive(Debug)]
pub struct Means<'a> {
    /// Whose dataset types are used.
    pub generation: &'a Generation,
    /// Budget and accounts.
    pub services: &'a Arc<Services>,
    /// Where a file may stand for a moment.
    pub folder: &'a Path,
}

/// Fetches an output; with `file_name`, in the format that the name's ending tells. Blocks for as long as a load and a save take.
pub fn fetch(
    run: &str,
    name: &str,
    output: &Output,
    file_name: Option<&str>,
    means: &Means<'_>,
) -> Result<Fetched, FetchError> {
    let (block, kept) = match (&output.place, &output.storage) {
        (Some(Place::Memory(kept)), _) => (kept.block.clone(), Some(Arc::clone(kept))),
        (Some(Place::Saved), Some(storage)) => (read_back(run, name, storage, means)?, None),
        (Some(Place::Gone(reason)), _) => {
            return Err(FetchError::Gone { name: name.to_owned(), reason: reason.clone() });
        }
        (None | Some(Place::Saved), _) => return Err(FetchError::Pending(name.to_owned())),
    };
    match file_name {
        None => Ok(Fetched::of_block(block, kept)),
        Some(file_name) => convert(run, name, block, file_name, means),
    }
}

fn read_back(run: &str, name: &str, storage: &Persisted, means: &Means<'_>) -> Result<Block, FetchError> {
    // The run's generation may be gone: the type of today must do.
    let type_name = format!("{}::{}", storage.plugin_name, storage.type_name);
    let (plugin, dataset_type, _) = find(&type_name, means)?;
    let mut argument = JsonObject::new();
    argument.text("run", run);
    crate::server::pool::describe_storage(&mut argument, name, storage);
    let errand = Errand {
        doing: crate::server::pool::doing_dataset("reading back", name, storage),
        plugin: (plugin, storage.plugin_name.clone()),
        dataset_type,
        argument: argument.end(),
        input: None,
        redactor: Redactor::new(std::iter::once(&storage.credentials)),
    };
    let loaded = errand::load(&errand, means.generation, means.services);
    // The charge goes here: what a client fetches is soon gone, and the budget is for what stays.
    loaded.map(|(block, _)| block).map_err(|failure| FetchError::Failed(Box::new(failure)))
}

fn convert(run: &str, name: &str, block: Block, file_name: &str, means: &Means<'_>) -> Result<Fetched, FetchError> {
    let base = file_name.rsplit('/').next().unwrap_or(file_name);
    let base = if base.contains('.') { base.to_owned() } else { format!("{name}.{base}").replace('/', "_") };
    let type_name = engine::plan::type_of_name(&base);
    let (plugin, dataset_type, plugin_name) = find(&type_name, means)?;
    let folder = Folder::make(means.folder).map_err(|error| {
        FetchError::System(format!("cannot make a folder in {} for the output: {error}", means.folder.display()))
    })?;
    // A name of ours with the ending that tells type and packing: the client's may be anything.
    let ending = base.split_once('.').map_or("", |(_, ending)| ending);
    let path = folder.0.join(format!("output.{ending}"));
    let mut argument = JsonObject::new();
    argument.text("run", run);
    argument.text("dataset", name);
    argument.text("path", &path.to_string_lossy());
    argument.raw("options", "{}");
    let errand = Errand {
        doing: format!("writing {name:?} as {type_name}"),
        plugin: (plugin, plugin_name),
        dataset_type,
        argument: argument.end(),
        input: Some(block),
        redactor: Redactor::default(),
    };
    let kind = kind(errand.input.as_ref().map_or(Format::Bytes, Block::format));
    errand::save(&errand, means.generation, means.services).map_err(|mut failure| {
        if let Some(problem) = unfit(name, &kind, &type_name, &means.generation.signature) {
            return FetchError::Unfit(Box::new(problem));
        }
        let real = path.to_string_lossy().into_owned();
        failure.message = failure.message.replace(&real, file_name);
        failure.causes.iter_mut().for_each(|cause| *cause = cause.replace(&real, file_name));
        FetchError::Failed(Box::new(failure))
    })?;
    let failed =
        |error: std::io::Error| FetchError::System(format!("cannot read what {type_name} has written: {error}"));
    let file = File::open(&path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    let content_type = match type_name.as_str() {
        _ if ending.ends_with(".gz") => "application/gzip",
        _ if ending.ends_with(".zst") => "application/zstd",
        "csv" => "text/csv",
        "parquet" => "application/vnd.apache.parquet",
        "json" => "application/json",
        "ndjson" => "application/x-ndjson",
        "arrow" => "application/vnd.apache.arrow.file",
        "text" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    };
    Ok(Fetched { content_type: content_type.to_owned(), bytes, metadata: String::new(), from: FetchedFrom::File(file) })
}

fn find(type_name: &str, means: &Means<'_>) -> Result<(u32, u32, String), FetchError> {
    engine::plan::find_dataset_type(&means.generation.signature, type_name)
        .map_err(|problem| FetchError::Format(Box::new(problem)))
}

/// What a block of this format is, in the words that ports use.
fn kind(format: Format) -> PortKind {
    match format {
        Format::Arrow => PortKind::Table,
        Format::Json => PortKind::Json,
        Format::Text => PortKind::Text,
        Format::Bytes => PortKind::Bytes,
        Format::Array => PortKind::Array(String::new()),
    }
}

/// Why an output of this kind is not to be had as this type, where the type never writes such; and as what it is.
pub(super) fn unfit(name: &str, kind: &PortKind, type_name: &str, manifest: &Manifest) -> Option<Problem> {
    let writes = |saves: &[PortKind]| {
        saves.iter().any(|save| match (kind, save) {
            // Its metadata says of what.
            (PortKind::Array(_), PortKind::Array(_)) => true,
            _ => kind.fits(save),
        })
    };
    let (plugin, dataset_type, _) = engine::plan::find_dataset_type(manifest, type_name).ok()?;
    let wanted = manifest.plugins.get(plugin as usize)?.dataset_types.get(dataset_type as usize)?;
    if writes(&wanted.saves) {
        return None;
    }
    let kind = match kind {
        PortKind::Array(_) => "an array".to_owned(),
        PortKind::Table => "a table".to_owned(),
        other => other.to_string(),
    };
    let types = manifest.plugins.iter().flat_map(|plugin| &plugin.dataset_types);
    let mut able: Vec<&str> = types.filter(|other| writes(&other.saves)).map(|other| &*other.name).collect();
    able.sort_unstable();
    let problem =
        Problem::new("unfit-format", format!("output `{name}` is {kind}, which `{}` does not write", wanted.name))
            .hint("leave `as` out to get it as it is");
    Some(if able.is_empty() { problem } else { problem.hint(format!("what writes {kind}: {}", list(able))) })
}

/// What a block's bytes are, as HTTP says it.
fn content_type(format: Format) -> &'static str {
    match format {
        Format::Arrow => "application/vnd.apache.arrow.stream",
        Format::Json => "application/json",
        Format::Text => "text/plain; charset=utf-8",
        Format::Bytes | Format::Array => "application/octet-stream",
    }
}

/// A folder of its own that goes away with everything in it.
struct Folder(PathBuf);

impl Folder {
    fn make(parent: &Path) -> std::io::Result<Folder> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let path = parent.join(format!("dagd-export-{}-{number}-{now}", std::process::id()));
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        // Fails where something is already: in a folder that others may write to, that would be theirs.
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            log::warn!("cannot remove {}: {error}", self.0.display());
        }
    }
}
