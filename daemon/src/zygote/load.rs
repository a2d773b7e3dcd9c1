//! All libraries of a generation, one after the other: what was taken, what was refused, who starts threads or leaves files open.

use std::os::fd::OwnedFd;

use plugin_api::abi::PluginModuleRef;

use super::library::{self, Reason};
use crate::ipc::manifest::{GenerationManifest, PluginDescription, Refusal};
use crate::ipc::message::{LibraryCopy, StartMethod};
use crate::ipc::page::LoadingPage;
use crate::sys::process;

/// A library to load.
#[derive(Debug)]
pub struct Library {
    /// What it is called.
    pub copy: LibraryCopy,
    /// Its bytes, in a sealed memfd.
    pub file: OwnedFd,
}

/// A plugin that was taken.
#[derive(Clone)]
pub struct Plugin {
    /// Its functions.
    pub module: PluginModuleRef,
    /// What it says it offers.
    pub description: PluginDescription,
}

/// The plugins of a generation; tasks name them by their index.
pub type Plugins = Vec<Plugin>;

/// What came of loading.
pub struct LoadOutcome {
    /// Those that were taken.
    pub plugins: Plugins,
    /// The whole story, for the server.
    pub manifest: GenerationManifest,
}

/// Loads each library. One that is refused keeps none of the others from being taken.
pub fn load(libraries: &[Library], page: Option<&LoadingPage>, start_method: StartMethod) -> LoadOutcome {
    let mut plugins: Plugins = Vec::new();
    let mut manifest = GenerationManifest { start_method, ..GenerationManifest::default() };
    for (index, library) in (0..).zip(libraries) {
        let (threads_before, files_before) = (threads(), open_files());
        let opened = library::open(&library.file, |phase| {
            if let Some(page) = page {
                page.enter(index, phase);
            }
        });
        if let Some(page) = page {
            page.leave();
        }
        let started = threads().saturating_sub(threads_before);
        if started > 0 {
            manifest.warnings.push(thread_warning(&library.copy, started, start_method));
            manifest.start_method = StartMethod::Spawn;
        }
        let left_open = open_files().saturating_sub(files_before);
        // A forked worker closes every file it was not given, and their numbers come back as those of blocks: whoever uses the
        // library's file then uses a block. A spawned one opens its own, and closes none of them.
        if left_open > 0 && start_method == StartMethod::Fork {
            manifest.warnings.push(file_warning(&library.copy, left_open));
            manifest.start_method = StartMethod::Spawn;
        }
        match opened.and_then(|(module, description)| Ok((module, once(&plugins, libraries, description)?))) {
            Ok((module, mut description)) => {
                description.library = index;
                plugins.push(Plugin { module, description });
            }
            Err(Reason { reason, hint }) => manifest.refused.push(Refusal { library: index, reason, hint }),
        }
    }
    manifest.plugins = plugins.iter().map(|plugin| plugin.description.clone()).collect();
    LoadOutcome { plugins, manifest }
}

/// Refuses a plugin whose name another has already.
fn once(plugins: &Plugins, libraries: &[Library], description: PluginDescription) -> Result<PluginDescription, Reason> {
    let Some(other) = plugins.iter().find(|plugin| plugin.description.name == description.name) else {
        return Ok(description);
    };
    let other = libraries.get(other.description.library as usize).map_or("another library", |other| &other.copy.path);
    Err(Reason {
        reason: format!(
            "its plugin is named `{}`, expected a name of its own: {other} has that name",
            description.name
        ),
        hint: "remove one of the two libraries, or rename its plugin: `plugin! { name: \"...\", ... }`".to_owned(),
    })
}

fn thread_warning(library: &LibraryCopy, started: usize, start_method: StartMethod) -> String {
    let consequence = match start_method {
        StartMethod::Fork => {
            "a process with threads cannot fork safely, so workers of this generation are spawned, which takes longer"
        }
        StartMethod::Spawn => "each worker will do the same",
    };
    let noun = if started == 1 { "a thread" } else { "threads" };
    format!(
        "plugin library {} ({}) started {noun} while it was loaded ({started}): {consequence}; start threads on first use instead",
        library.name, library.path
    )
}

fn file_warning(library: &LibraryCopy, left_open: usize) -> String {
    let noun = if left_open == 1 { "a file" } else { "files" };
    format!(
        "plugin library {} ({}) left {noun} open when it was loaded ({left_open}): a forked worker closes what it was not given, \
         so workers of this generation are spawned, which takes longer; open files on first use instead",
        library.name, library.path
    )
}

/// The threads of this process; counting can fail only without `/proc`, where nothing of this would work.
fn threads() -> usize {
    process::thread_count().unwrap_or(1)
}

/// The descriptors of this process, and the one they are counted with.
fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
