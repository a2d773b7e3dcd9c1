//! Whom libraries are taken from: directories that only trusted users can write to, and, where the configuration pins
//! hashes, exactly those libraries.
//!
//! Whoever can write to a plugin directory decides what code the daemon's workers run. What is not looked at are the
//! folders above it: who may rename those is the administrator's to know.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{Library, Refused};

/// Says why nothing is loaded from this directory; nothing if it may be.
pub fn directory(path: &Path, metadata: &Metadata) -> Option<Refused> {
    let own = nix::unistd::geteuid().as_raw();
    untrusted(path, metadata.uid(), metadata.mode(), own)
}

fn untrusted(path: &Path, owner: u32, mode: u32, own: u32) -> Option<Refused> {
    let shown = path.display();
    let refused = |reason: String, hint: String| Some(Refused { path: shown.to_string(), reason, hint });
    if owner != 0 && owner != own {
        let whom = if own == 0 { "root".to_owned() } else { format!("root or user {own}, whom the daemon runs as") };
        return refused(
            format!("nothing is loaded from this plugin directory: it belongs to user {owner}, expected {whom}"),
            format!("chown {own} {shown}, or take it off the list of plugin directories"),
        );
    }
    if mode & 0o002 != 0 {
        return refused(
            format!(
                "nothing is loaded from this plugin directory: every user may write to it (mode {:04o})",
                mode & 0o7777
            ),
            format!("chmod o-w {shown}"),
        );
    }
    None
}

/// Says why this library is not loaded though its directory may be: every user may write to the file itself.
pub fn file(path: &Path, metadata: &Metadata) -> Option<Refused> {
    (metadata.mode() & 0o002 != 0).then(|| Refused {
        path: path.display().to_string(),
        reason: format!("every user may write to it (mode {:04o})", metadata.mode() & 0o7777),
        hint: format!("chmod o-w {}", path.display()),
    })
}

/// Says why this library is not loaded though it was found: hashes are pinned, and its own is not among them.
pub fn pinned(library: &Library, allow: &BTreeMap<String, String>) -> Option<Refused> {
    if allow.is_empty() {
        return None;
    }
    let name = library.name();
    let found = library.sha256();
    let (reason, hint) = match allow.get(&name) {
        Some(pin) if pin == found => return None,
        Some(pin) => (
            format!("its SHA-256 is {found}, expected {pin} ([plugins] allow)"),
            format!("if this is the library that is meant, write \"{name}\" = \"sha256:{found}\" into [plugins] allow"),
        ),
        None => (
            "it is not on the list of libraries that may be loaded ([plugins] allow)".to_owned(),
            format!("take it out of the directory, or add \"{name}\" = \"sha256:{found}\" to [plugins] allow"),
        ),
    };
    Some(Refused { path: library.path.display().to_string(), reason, hint })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn only_root_s_and_the_daemon_s_directories_that_others_cannot_write_to() {
        let check = |owner, mode| untrusted(Path::new("/p"), owner, mode, 1000);
        assert_eq!(check(0, 0o40755), None);
        assert_eq!(check(1000, 0o40770), None);
        let other = check(1001, 0o40755).unwrap();
        assert!(other.reason.contains("user 1001") && other.hint.starts_with("chown 1000 /p"), "{other:?}");
        // Also where only owners may rename, as in /tmp: a new library can still be put there.
        let open = check(1000, 0o41777).unwrap();
        assert!(open.reason.contains("1777") && open.hint == "chmod o-w /p", "{open:?}");
    }

    #[test]
    fn where_hashes_are_pinned_only_those_libraries_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("liba.so");
        std::fs::write(&path, "abc").unwrap();
        let library = Library::copy(&path).unwrap();
        let pins = |name: &str, hash: &str| BTreeMap::from([(name.to_owned(), hash.to_owned())]);
        assert_eq!(pinned(&library, &BTreeMap::new()), None);
        assert_eq!(pinned(&library, &pins("liba.so", library.sha256())), None);
        let other = pinned(&library, &pins("liba.so", "00")).unwrap();
        assert!(other.reason.contains("expected 00") && other.hint.contains(library.sha256()), "{other:?}");
        assert!(pinned(&library, &pins("libb.so", "00")).unwrap().reason.contains("not on the list"));
    }
}
