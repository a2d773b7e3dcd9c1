//! Where a library that was built is put, so that a daemon finds it there and nothing else.

use std::path::{Path, PathBuf};

use protocol::{PluginList, exit};

use crate::error::Error;

/// The folder of the private daemon: in cargo's own, so that it is cleaned with it.
pub fn of_private(library: &Path) -> PathBuf {
    library.parent().unwrap_or(Path::new(".")).join("dagd-dev")
}

/// The folder from which a daemon that runs already has the library of this name.
pub fn of_service(library: &Path, plugins: &PluginList) -> Result<PathBuf, Error> {
    let name = library.file_name().unwrap_or_default();
    let loaded = plugins.plugins.iter().map(|plugin| &plugin.path);
    let refused = plugins.refused.iter().map(|refused| &refused.path);
    let found = loaded.chain(refused).map(Path::new).find(|path| path.file_name() == Some(name));
    found.and_then(Path::parent).map(Path::to_owned).ok_or_else(|| {
        Error::new(
            exit::USAGE,
            "no-place",
            format!("the daemon has no {} yet, so where to put it is not known", name.display()),
        )
        .hint("name one of its plugin directories, as in --into ~/.local/lib/dagd/plugins")
    })
}

/// Puts the library into the folder: written beside, then renamed over, so that nobody sees half of it.
pub fn put(library: &Path, folder: &Path) -> Result<(), Error> {
    let cannot = |problem: std::io::Error| {
        Error::new(exit::PROBLEMS, "not-placed", format!("cannot put {} into {}", library.display(), folder.display()))
            .cause(problem)
            .hint("the folder must be yours to write to; --into names another")
    };
    let name = library.file_name().unwrap_or_default();
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(".part");
    std::fs::create_dir_all(folder).map_err(cannot)?;
    std::fs::copy(library, folder.join(&beside)).map_err(cannot)?;
    std::fs::rename(folder.join(&beside), folder.join(name)).map_err(cannot)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use protocol::PluginInfo;

    use super::*;

    #[test]
    fn a_library_goes_where_the_daemon_has_it_from() {
        let plugin = PluginInfo { path: "/lib/dagd/liba.so".into(), ..PluginInfo::default() };
        let plugins = PluginList { plugins: vec![plugin], ..PluginList::default() };
        assert_eq!(of_service(Path::new("/t/debug/liba.so"), &plugins).unwrap(), Path::new("/lib/dagd"));
        assert_eq!(of_service(Path::new("/t/debug/libb.so"), &plugins).unwrap_err().code(), "no-place");
    }

    #[test]
    fn what_is_put_is_there_whole_and_alone() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("liba.so");
        std::fs::write(&library, "abc").unwrap();
        let place = of_private(&library);
        put(&library, &place).unwrap();
        std::fs::write(&library, "abcd").unwrap();
        put(&library, &place).unwrap();
        let names: Vec<_> = std::fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["liba.so"]);
        assert_eq!(std::fs::read_to_string(place.join("liba.so")).unwrap(), "abcd");
    }
}
