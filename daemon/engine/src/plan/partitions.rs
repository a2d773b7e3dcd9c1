//! Datasets of many files: what their catalog entries say of them.

use crate::plan::{Checkpoint, Partitions, storage};
use crate::problem::{Problem, Problems};
use crate::source::Site;
use crate::spec::EntrySpec;

/// The checkpoint of an incremental dataset whose entry names none, in the directory of its partitions. As Kedro calls it, so that
/// its users find theirs.
const CHECKPOINT: &str = "CHECKPOINT";

/// Says where an entry says that its dataset is one of many files.
pub(super) fn site(entry: &EntrySpec<'_>) -> Option<Site> {
    let incremental = entry.incremental.as_ref().map(|incremental| incremental.site);
    entry.partitioned.as_ref().map(|partitioned| partitioned.site).or(incremental)
}

/// Partitions are the files of a directory; how far they were processed holds for all versions of it or for none.
pub(super) fn check(problems: &mut Problems, entry: &EntrySpec<'_>, name: &str, path: &str) -> bool {
    let Some(site) = site(entry) else { return true };
    if path.is_empty() {
        problems.add("missing-key", Some(site), || {
            Problem::new("missing-key", format!("partitioned dataset `{name}` has no path"))
                .hint("add `path`: the directory that its files are in")
        });
        return false;
    }
    if let (Some(incremental), Some(_)) = (&entry.incremental, entry.versioned) {
        problems.add("incremental-versions", Some(incremental.site), || {
            Problem::new(
                "incremental-versions",
                format!("dataset `{name}` cannot be both `incremental` and `versioned`"),
            )
            .cause("a version is a directory of its own, whose partitions were all there when it was made")
            .hint("leave one of the two out")
        });
        return false;
    }
    true
}

/// Gives what an entry says of its partitions; nothing where its dataset is one file. `checkpoint` is the entry's, filled in.
pub(super) fn read(
    entry: &EntrySpec<'_>,
    directory: &str,
    checkpoint: Option<String>,
    base_directory: &str,
) -> Option<Partitions> {
    site(entry)?;
    let suffix = entry.partitioned.as_ref().and_then(|partitioned| partitioned.suffix.as_ref());
    let checkpoint = entry.incremental.as_ref().map(|incremental| Checkpoint {
        path: match checkpoint.filter(|path| !path.is_empty()) {
            Some(path) => storage::join(base_directory, &path),
            None => format!("{}/{CHECKPOINT}", directory.trim_end_matches('/')),
        },
        from: incremental.from.as_ref().map(|word| word.text.to_string()),
        inclusive: incremental.inclusive,
    });
    Some(Partitions {
        suffix: suffix.map(|word| word.text.to_string()).unwrap_or_default(),
        overwrite: entry.partitioned.as_ref().is_some_and(|partitioned| partitioned.overwrite),
        checkpoint,
    })
}
