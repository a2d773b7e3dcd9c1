//! One library: opened, checked, asked what it offers; or refused with what was expected and what was found.
//!
//! This runs a plugin's code for the first time: its constructors in `dlopen`, then its own functions. Whatever they do
//! to this process, the loading page tells the server which library it was.

use std::collections::BTreeSet;
use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;

use abi_stable::library::AbiHeaderRef;
use libloading::os::unix::{Library as Handle, RTLD_LOCAL, RTLD_NOW, Symbol};
use plugin_api::abi::{Host, OpenError, PluginModuleRef, ROOT_SYMBOL, module_from_header};

use super::elf;
use crate::ipc::manifest::PluginDescription;
use crate::ipc::page::LoadingPhase;
use crate::sys::{memfd, spawn};
use crate::worker::journal::Journal;

/// Why a library was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What was expected and what was found.
    pub reason: String,
    /// What to do.
    pub hint: String,
}

impl Reason {
    fn new(reason: impl Into<String>, hint: impl Into<String>) -> Reason {
        Reason { reason: reason.into(), hint: hint.into() }
    }
}

impl From<OpenError> for Reason {
    fn from(problem: OpenError) -> Reason {
        let hint = problem.hint();
        match problem {
            // The whole comparison fills pages: it goes to the daemon's log, its outcome into the reason.
            OpenError::OtherLayout { message } => {
                eprintln!("{message}");
                let differences = differences(&message);
                Reason::new(OpenError::OtherLayout { message: differences }.to_string(), hint)
            }
            problem => Reason::new(problem.to_string(), hint),
        }
    }
}

/// Opens the library in a file and checks all of it. `entering` is told of each step before it is taken.
///
/// The file must stay open while others are opened: `dlopen` knows libraries by path, and the path is the descriptor's.
pub fn open(file: &OwnedFd, entering: impl Fn(LoadingPhase)) -> Result<(PluginModuleRef, PluginDescription), Reason> {
    check_file(file)?;

    entering(LoadingPhase::Opening);
    let path = memfd::path(file.as_fd());
    // SAFETY: opening runs the library's constructors, which is what plugins are for; this process exists to be the one
    // that does it, and the server survives whatever they do. The file is a private sealed copy, so nobody changes the
    // code that was checked.
    let handle = unsafe { Handle::open(Some(&path), RTLD_NOW | RTLD_LOCAL) }
        .map_err(|problem| refused_by_loader(&problem, &path))?;
    // Never unloaded, not even when refused: threads, thread-locals and `atexit` functions may point into it.
    let handle = ManuallyDrop::new(handle);

    entering(LoadingPhase::Checking);
    // SAFETY: an `AbiHeaderRef` is a pointer to the header that abi_stable's root module exports under this very name;
    // abi_stable itself does the same. That there is such a header behind it is checked next, by its magic bytes.
    let header: Symbol<AbiHeaderRef> = unsafe { handle.get(ROOT_SYMBOL) }.map_err(|_| OpenError::NoPlugin)?;
    let module = module_from_header(*header)?;

    entering(LoadingPhase::Initialising);
    module.initialise()(Host::new::<Journal>());

    entering(LoadingPhase::Describing);
    let description = describe(module)?;
    Ok((module, description))
}

/// What abi_stable found to differ, in a line; at its end each difference stands as `Error: …`, `Expected: …`,
/// `Found: …`, on lines of their own.
fn differences(message: &str) -> String {
    const SHOWN: usize = 3;
    let one_line = |text: &str| {
        let words: Vec<_> = text.split_whitespace().collect();
        let line = words.join(" ");
        if line.chars().count() > 100 { line.chars().take(100).chain(['…']).collect() } else { line }
    };
    let all: Vec<_> = message
        .split("\nError:")
        .skip(1)
        .filter_map(|difference| {
            let (what, rest) = difference.split_once("\nExpected:")?;
            let (expected, found) = rest.split_once("\nFound:")?;
            let found = found.split("\n\n").next().unwrap_or(found);
            Some(format!("{}: expected {}, found {}", one_line(what), one_line(expected), one_line(found)))
        })
        .collect();
    let text = all.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join("; ");
    match all.len() {
        0 => one_line(message),
        count if count > SHOWN => format!("{text}; and {} more", count - SHOWN),
        _ => text,
    }
}

fn check_file(file: &OwnedFd) -> Result<(), Reason> {
    let unreadable =
        |problem: std::io::Error| Reason::new(format!("its copy cannot be read: {problem}"), "load it again");
    let file = File::from(file.try_clone().map_err(unreadable)?);
    let own = File::open(spawn::OWN_BINARY).map_err(unreadable)?;
    let found = read(&file, 0, elf::HEADER_BYTES).map_err(unreadable)?;
    let own = read(&own, 0, elf::HEADER_BYTES).map_err(unreadable)?;
    elf::check(&found, &own).map_err(not_a_library)?;
    let Some(tables) = elf::tables(&found) else { return Ok(()) };
    let table = read(&file, tables.segments, tables.segments_length).map_err(unreadable)?;
    let size = memfd::size(&file).map_err(unreadable)?;
    elf::check_extent(&tables, &table, size).map_err(not_a_library)
}

fn not_a_library(problem: elf::ElfProblem) -> Reason {
    let hint = match problem {
        elf::ElfProblem::Machine { .. } => "build it for this machine's target",
        elf::ElfProblem::Truncated { .. } => "wait until it is built or copied whole, then load it again",
        _ => "a plugin is a crate of crate-type \"cdylib\"; if this file is none, take it out of the plugin directory",
    };
    Reason::new(problem.to_string(), hint)
}

/// So many bytes of a file, fewer if it has fewer.
fn read(file: &File, offset: u64, length: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset.saturating_add(filled as u64))? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// What the system's loader said, without the path that only this process knows.
fn refused_by_loader(problem: &libloading::Error, path: &str) -> Reason {
    let said = match problem {
        libloading::Error::DlOpen { source } => source.to_string(),
        other => other.to_string(),
    };
    let said = said.replace(&format!("{path}: "), "").replace(path, "the library");
    let hint = if said.contains("undefined symbol") {
        "it uses a function that nothing it links to provides; link the missing library, or build it again"
    } else if said.contains("cannot open shared object file") {
        "a library it depends on is missing on this machine; install it, or link it statically"
    } else {
        "build it again for this machine (crate-type \"cdylib\") and check what it links to (ldd)"
    };
    Reason::new(format!("the system's loader refused it: {said}"), hint)
}

/// Asks a plugin what it offers, and checks that names mean one thing each.
fn describe(module: PluginModuleRef) -> Result<PluginDescription, Reason> {
    let json = module.describe()();
    if json.is_empty() {
        return Err(Reason::new(
            "the plugin panicked while it was asked what it offers; expected a description, found nothing",
            "run the plugin's own tests; what it said stands in the daemon's log",
        ));
    }
    let description: PluginDescription = serde_json::from_str(&json).map_err(|problem| {
        Reason::new(
            format!("its description cannot be understood: {problem}"),
            "build the plugin again with the `plugin-api` of this daemon's version",
        )
    })?;
    let name = &description.name;
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || !name.chars().all(allowed) {
        return Err(Reason::new(
            format!("its name is {name:?}, expected letters, digits, `_` and `-`"),
            "give it another name: `plugin! { name: \"...\", ... }`",
        ));
    }
    unique("nodes", description.nodes.iter().map(|node| &node.name))?;
    unique("dataset types", description.datasets.iter().map(|dataset| &dataset.name))?;
    unique("hooks", description.hooks.iter().map(|hook| &hook.name))?;
    Ok(description)
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<(), Reason> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Reason::new(
                format!("it has two {what} named `{name}`, expected each name once"),
                format!("rename one of the two {what} in the plugin"),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::io::Write as _;

    use super::*;

    fn refused(contents: &[u8]) -> Reason {
        let mut file = File::from(memfd::create("test", memfd::Purpose::Library).unwrap());
        file.write_all(contents).unwrap();
        // Left open for good: see `open`.
        let file = ManuallyDrop::new(file.into());
        open(&file, |_| ()).err().unwrap()
    }

    #[test]
    fn what_is_no_library_is_refused_before_it_is_opened() {
        assert!(refused(b"not a library\n").reason.contains("begins with \"not a librar\""));
        assert!(refused(b"").reason.contains("an empty file"));
    }

    #[test]
    fn a_library_that_is_cut_short_is_refused_before_it_kills_the_loader() {
        let own = std::fs::read(spawn::OWN_BINARY).unwrap();
        for length in [64, 100, 4096, own.len() / 2, own.len() - 1] {
            let Reason { reason, .. } = refused(&own[..length]);
            assert!(reason.contains("cut short"), "{length}: {reason}");
        }
    }

    /// A program is a shared object in form; the loader knows better.
    #[test]
    fn the_loader_s_words_are_told_without_our_path() {
        let Reason { reason, .. } = refused(&std::fs::read(spawn::OWN_BINARY).unwrap());
        assert!(reason.contains("loader refused") && !reason.contains("/proc/"), "{reason}");
    }

    /// libc itself: surely a library, surely no plugin.
    #[test]
    fn a_library_that_is_no_plugin_says_so() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let libc = maps
            .lines()
            .filter_map(|line| line.split_whitespace().last())
            .find(|path| path.contains("/libm") || path.contains("/libgcc_s"))
            .unwrap();
        let Reason { reason, .. } = refused(&std::fs::read(libc).unwrap());
        assert!(reason.contains("no dagd plugin"), "{reason}");
    }

    #[test]
    fn differences_of_layout_are_told_in_a_line() {
        let message = "Compared <this>:\n   much\nTo <other>:\n   more\n1 error(s)inside:\n\nError:mismatched package\n\
                       Expected:\n    plugin-api\nFound:\n    other\n";
        assert_eq!(differences(message), "mismatched package: expected plugin-api, found other");
        let many = message.repeat(5);
        assert!(differences(&many).ends_with("; and 2 more"));
        assert!(differences(&"x ".repeat(500)).chars().count() <= 101);
    }

    #[test]
    fn a_name_that_stands_twice_is_named() {
        let names = ["a".to_owned(), "b".to_owned(), "a".to_owned()];
        assert!(unique("nodes", names.iter()).unwrap_err().reason.contains("two nodes named `a`"));
        assert!(unique("nodes", names[..2].iter()).is_ok());
    }
}
