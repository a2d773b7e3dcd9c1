//! Whether what lies at a path is what lay there before.
#![forbid(unsafe_code)]

use std::hash::{BuildHasher as _, DefaultHasher, Hash as _, Hasher as _, RandomState};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::OnceLock;

use engine::credentials::Secret;
use serde::{Deserialize, Serialize};

/// What is looked at to notice a change. Taken before a load, so a change during the load is noticed by the next look.
///
/// A file that is written in place keeps its inode, one that is replaced keeps perhaps its time: together with size and the time
/// of the last change of any kind, a change goes unnoticed only if somebody wants it to. Of a folder every file in it
/// is looked at, so a look costs as many system calls as it has files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fingerprint {
    /// No path of this machine: only a request drops it.
    Elsewhere,
    /// Nothing is there, or it cannot be looked at; a load says why.
    Missing,
    /// A file.
    File(Facts),
    /// A folder, and a hash over the names and facts of everything in it.
    Folder {
        /// Everything in it.
        hash: u64,
    },
}

/// What the file system says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Facts {
    device: u64,
    inode: u64,
    bytes: u64,
    modified_ns: i128,
    changed_ns: i128,
}

impl Facts {
    fn of(metadata: &std::fs::Metadata) -> Facts {
        let ns = |seconds: i64, nanoseconds: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
        Facts {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Fingerprint {
    /// Looks.
    pub(super) fn of(path: &str) -> Fingerprint {
        if path.is_empty() || path.contains("://") {
            return Fingerprint::Elsewhere;
        }
        let path = Path::new(path);
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                let mut hasher = DefaultHasher::new();
                match hash_folder(path, &mut hasher) {
                    Ok(()) => Fingerprint::Folder { hash: hasher.finish() },
                    Err(_) => Fingerprint::Missing,
                }
            }
            Ok(metadata) => Fingerprint::File(Facts::of(&metadata)),
            Err(_) => Fingerprint::Missing,
        }
    }
}

fn hash_folder(folder: &Path, hasher: &mut DefaultHasher) -> std::io::Result<()> {
    let mut entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        entry.file_name().hash(hasher);
        // Links to folders are not followed: they may lead back here.
        let metadata = entry.metadata()?;
        Facts::of(&metadata).hash(hasher);
        if metadata.is_dir() {
            hash_folder(&entry.path(), hasher)?;
        }
    }
    Ok(())
}

/// A number that tells secrets apart within this process, and from which none can be guessed outside of it; 0 for none.
pub(super) fn of_secret(secret: &Secret) -> u64 {
    static KEY: OnceLock<RandomState> = OnceLock::new();
    if secret.is_empty() {
        return 0;
    }
    KEY.get_or_init(RandomState::new).hash_one(secret.expose()).max(1)
}
