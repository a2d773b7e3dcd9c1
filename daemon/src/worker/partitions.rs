//! Datasets of many files: which there are, and one of them loaded when a node asks for it, through its dataset type.
//!
//! A node gets the list only. What it loads lives until the node lets go of it, so it holds as many partitions as it looks at
//! in the same moment, and may load several at once from threads of its own. Their memory is asked of the server as that of
//! outputs is; what is let go of is there for the next partition.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use plugin_api::abi::{Call, Failure, InputBlock, SharedBytes, failure_kind, operation};
use serde_json::{Value, json};

use super::abi::{self, Argument, CallState, Expected, LoadPartition, Reserve, Setting, Spare};
use super::checkpoint::Since;
use super::link::Link;
use super::perform::Worker;
use crate::ipc::message::{CheckpointFile, PartitionFiles, PartitionSource};
use crate::ipc::page::WorkerPage;
use crate::zygote::Plugin;

/// The names of all partitions in a directory, sorted, as JSON; and what to say of the block. Where there is a checkpoint, only those
/// that were not processed before.
pub(super) fn listing(
    dataset: &str,
    directory: &str,
    suffix: &str,
    checkpoint: Option<&CheckpointFile>,
) -> Result<(String, String), Failure> {
    let mut names = names(dataset, directory, suffix, checkpoint.map_or("", |checkpoint| &checkpoint.path))?;
    let total = names.len();
    let since = Since::read(dataset, checkpoint)?;
    names.retain(|name| since.is_new(name));
    let mut metadata = json!({ "partitions": names.len() });
    if checkpoint.is_some() {
        metadata["processed_before"] = json!(total - names.len());
        metadata["last"] = json!(names.last());
    }
    Ok((json!({ "dataset": dataset, "partitions": names }).to_string(), metadata.to_string()))
}

/// Removes all partitions but these.
pub(super) fn remove_others(
    dataset: &str,
    directory: &str,
    files: &PartitionFiles,
    kept: &BTreeSet<String>,
) -> Result<(), Failure> {
    for name in names(dataset, directory, &files.suffix, &files.checkpoint)?.iter().filter(|name| !kept.contains(*name))
    {
        let path = format!("{}/{name}{}", directory.trim_end_matches('/'), files.suffix);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let message =
                    format!("cannot remove `{path}`, a partition of `{dataset}` that was not made again: {error}");
                return Err(Failure::new(failure_kind::ERROR, message));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The names of all partitions in a directory, sorted. The file `aside` is none.
fn names(dataset: &str, directory: &str, suffix: &str, aside: &str) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    walk(Path::new(directory), "", (suffix, Path::new(aside)), &mut names).map_err(|(place, error)| {
        let failure = Failure::new(
            failure_kind::ERROR,
            format!("cannot list the partitions of `{dataset}` in `{place}`: {error}"),
        );
        match error.kind() {
            std::io::ErrorKind::NotFound => {
                failure.with_hint("check the dataset's `path`; paths are relative to the pipeline file")
            }
            std::io::ErrorKind::NotADirectory => {
                failure.with_hint("the `path` of a partitioned dataset is the directory that its files are in")
            }
            _ => failure,
        }
    })?;
    names.sort_unstable();
    Ok(names)
}

/// Finds the files below a directory whose names end in `suffix`, but for `aside`. Hidden ones are none of ours: saves under way, say.
fn walk(
    directory: &Path,
    above: &str,
    (suffix, aside): (&str, &Path),
    names: &mut Vec<String>,
) -> Result<(), (String, std::io::Error)> {
    let failed = |error| (directory.display().to_string(), error);
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let file_name = entry.file_name();
        // A name that is no text cannot be told to anyone.
        let Some(name) = file_name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        let path = entry.path();
        // Through links, which may lead to either.
        match std::fs::metadata(&path) {
            Ok(found) if found.is_dir() => walk(&path, &format!("{above}{name}/"), (suffix, aside), names)?,
            Ok(found) if found.is_file() && path != aside => {
                let name = name.strip_suffix(suffix).filter(|name| !name.is_empty());
                names.extend(name.map(|name| format!("{above}{name}")));
            }
            // Special files are no partitions, and one that has gone meanwhile is none any more.
            _ => {}
        }
    }
    Ok(())
}

/// The dataset that an argument is about, and its directory.
pub(super) fn place(argument: &str) -> Result<(String, String), Failure> {
    let value = parse(argument)?;
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    Ok((text("dataset"), text("path")))
}

fn parse(argument: &str) -> Result<Value, Failure> {
    serde_json::from_str(argument)
        .map_err(|error| Failure::new(abi::PROTOCOL, format!("the argument of a dataset cannot be read: {error}")))
}

/// The argument of an operation on one partition: that of the dataset, with the path of the partition's file.
pub(super) fn argument_for(argument: &str, name: &str, suffix: &str) -> Result<String, Failure> {
    let is_plain = |part: &str| !part.is_empty() && !part.starts_with('.');
    if name.contains('\0') || !name.split('/').all(is_plain) {
        let message =
            format!("{name:?} cannot name a partition: it becomes the name of a file below the dataset's directory");
        return Err(
            Failure::new(failure_kind::ERROR, message).with_hint("use names such as `2024-01` or `north/2024-01`")
        );
    }
    let mut value = parse(argument)?;
    let directory = value["path"].as_str().unwrap_or_default();
    value["path"] = Value::String(format!("{}/{name}{suffix}", directory.trim_end_matches('/')));
    Ok(value.to_string())
}

/// Loads the partitions of a call's inputs.
pub(super) struct PartitionLoaders<'a> {
    link: &'a Link,
    page: &'a WorkerPage,
    buffers: &'a Spare,
    token: u64,
    sources: Vec<(PartitionSource, &'a Plugin, String)>,
    free: Arc<Free>,
}

/// Memory that the server granted and that is free again.
#[derive(Default)]
struct Free(Mutex<u64>);

impl<'a> PartitionLoaders<'a> {
    pub(super) fn new(
        worker: &'a Worker<'a>,
        token: u64,
        sources: Vec<PartitionSource>,
    ) -> Result<PartitionLoaders<'a>, Failure> {
        let Worker { link, page, plugins, spare: buffers, .. } = worker;
        let source = |source: PartitionSource| {
            let plugin = abi::plugin(plugins, source.plugin)?;
            let found = abi::entry(plugin, "dataset type", &plugin.description.datasets, source.dataset_type)?;
            let of = format!("dataset type `{}::{}`", plugin.description.name, found.name);
            Ok((source, plugin, of))
        };
        let sources = sources.into_iter().map(source).collect::<Result<_, Failure>>()?;
        Ok(PartitionLoaders { link, page, buffers, token, sources, free: Arc::default() })
    }
}

impl LoadPartition for PartitionLoaders<'_> {
    fn load(&self, dataset: &str, name: &str) -> Result<InputBlock, Failure> {
        if self.page.is_cancelled(self.token) {
            return Err(Failure::new(failure_kind::ERROR, "the call was told to stop"));
        }
        let found = self.sources.iter().find(|(source, ..)| source.dataset == dataset);
        let (source, plugin, of) = found.ok_or_else(|| {
            Failure::new(failure_kind::INPUT, format!("no input of the node has partitions of `{dataset}`"))
        })?;
        let argument = argument_for(&source.argument, name, &source.suffix)?;
        let grants = Grants { link: self.link, free: &self.free, granted: AtomicU64::new(0) };
        let setting = Setting::new(Argument::Given(&argument), self.token, self.page, &grants, self.buffers);
        let setting = Setting { is_inner: true, ..setting };
        let expected = Expected::all_of(of.clone(), vec!["data".to_owned()]).with_chunks([0]);
        let state = CallState::new(&setting, Vec::new(), Vec::new(), expected)?;
        let call = Call::new(&state);
        let loaded = plugin.module.call_dataset()(source.dataset_type, operation::LOAD, call).into_result();
        let block = loaded.and_then(|_| state.take_input(0));
        drop(state);
        let granted = grants.granted.into_inner();
        let block = block.inspect_err(|_| self.free.give(granted))?;
        let owner = Loaded { bytes: block.bytes, granted, free: Arc::clone(&self.free) };
        Ok(InputBlock { bytes: SharedBytes::from_owner(Arc::new(owner)), ..block })
    }
}

/// The bytes of a loaded partition; their memory may be used again when nobody has them any more.
struct Loaded {
    bytes: SharedBytes,
    granted: u64,
    free: Arc<Free>,
}

impl AsRef<[u8]> for Loaded {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.free.give(self.granted);
    }
}

impl Free {
    fn give(&self, bytes: u64) {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *free = free.saturating_add(bytes);
    }

    fn take(&self, bytes: u64) -> u64 {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = bytes.min(*free);
        *free -= taken;
        taken
    }
}

/// What one load was granted: from what is spare, and then by the server.
struct Grants<'a> {
    link: &'a Link,
    free: &'a Free,
    granted: AtomicU64,
}

impl Reserve for Grants<'_> {
    fn reserve(&self, token: u64, bytes: u64) -> Result<(), String> {
        let taken = self.free.take(bytes);
        if bytes > taken
            && let Err(reason) = self.link.reserve(token, bytes - taken)
        {
            self.free.give(taken);
            return Err(reason);
        }
        self.granted.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn partitions_are_the_files_with_the_suffix_sorted_and_without_it() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        };
        ["b.csv", "a.csv", "north/a.csv", "notes.txt", ".a.csv.1-1.part", ".csv"].iter().for_each(|name| write(name));
        let place = directory.path().to_str().unwrap();
        let (listing, metadata) = listing("readings", place, ".csv", None).unwrap();
        assert_eq!(listing, r#"{"dataset":"readings","partitions":["a","b","north/a"]}"#);
        assert_eq!(metadata, r#"{"partitions":3}"#);
        let failure = super::listing("readings", &format!("{place}/none"), ".csv", None).unwrap_err();
        assert!(failure.message.contains("none") && !failure.hint.is_empty(), "{}", failure.message);
    }

    #[test]
    fn no_partition_leads_out_of_the_directory() {
        let argument = r#"{"path":"/data/"}"#;
        assert_eq!(argument_for(argument, "north/a", ".csv").unwrap(), r#"{"path":"/data/north/a.csv"}"#);
        for name in ["", "..", "../a", "a/../../b", "/a", "a/", ".hidden", "a\0b"] {
            assert!(argument_for(argument, name, ".csv").is_err(), "{name:?}");
        }
    }
}
