//! A plugin's library in several versions, good and broken, put in place as builds and careless copies do.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use crate::artifacts;
use crate::scene::Scene;

/// The mark in `libversions.so`, up to the version.
const MARK: &[u8] = b"dagd-version-mark[";

/// The ways in which a library can be no good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Only the first half of the file is there.
    Truncated,
    /// It was built for another version of the plugin ABI.
    WrongAbi,
    /// It kills the process that loads it.
    CrashOnLoad,
    /// A node is missing that pipelines call.
    MissingNode,
    /// It never comes back from being loaded.
    HangOnLoad,
}

impl Broken {
    /// Every way.
    pub const ALL: [Broken; 5] =
        [Broken::Truncated, Broken::WrongAbi, Broken::CrashOnLoad, Broken::MissingNode, Broken::HangOnLoad];
}

/// The library `libversions.so` of a scene.
pub struct Versions {
    whole: Vec<u8>,
    path: PathBuf,
    beside: PathBuf,
}

impl Versions {
    /// Of this scene; nothing is put in place yet.
    #[track_caller]
    pub fn new(scene: &Scene) -> Self {
        let whole = fs::read(artifacts::product("libversions.so")).unwrap();
        let folder = scene.plugin_folder();
        Self { whole, path: folder.join("libversions.so"), beside: folder.join("versions.part") }
    }

    /// Where the library is.
    pub fn path(&self) -> &PathBuf {
        &self.path
    }

    /// The library of a version, five characters of any kind.
    #[track_caller]
    pub fn library(&self, version: &str) -> Vec<u8> {
        assert!(version.len() == 5, "a version has five characters: {version:?}");
        let mut library = self.whole.clone();
        let marks: Vec<usize> = places(&library, MARK).collect();
        assert!(!marks.is_empty(), "libversions.so has no mark");
        for mark in marks {
            let start = mark + MARK.len();
            library[start..start + version.len()].copy_from_slice(version.as_bytes());
        }
        library
    }

    /// Puts a version in place: written beside, then renamed over.
    #[track_caller]
    pub fn put(&self, version: &str) {
        self.replace(&self.library(version));
    }

    /// Takes the library away.
    #[track_caller]
    pub fn remove(&self) {
        fs::remove_file(&self.path).unwrap();
    }

    /// Puts something in place that cannot be used.
    #[track_caller]
    pub fn spoil(&self, how: Broken) {
        let other = |name: &str| fs::read(artifacts::product(name)).unwrap();
        match how {
            // Over what is there, and finished: an interrupted copy.
            Broken::Truncated => {
                assert!(fs::metadata(&self.path).unwrap().nlink() == 1, "the build's own file would be spoilt");
                fs::write(&self.path, &self.whole[..self.whole.len() / 2]).unwrap();
            }
            Broken::WrongAbi => self.replace(&other("libwrong_abi_version.so")),
            Broken::CrashOnLoad => self.replace(&other("libcrash_on_load.so")),
            Broken::HangOnLoad => self.replace(&other("libhang_on_load.so")),
            Broken::MissingNode => self.replace(&other("libversions_lost.so")),
        }
    }

    #[track_caller]
    fn replace(&self, library: &[u8]) {
        fs::write(&self.beside, library).unwrap();
        fs::rename(&self.beside, &self.path).unwrap();
    }
}

fn places<'a>(library: &'a [u8], wanted: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    library.windows(wanted.len()).enumerate().filter(move |(_, window)| *window == wanted).map(|(place, _)| place)
}

/// A pipeline of `libversions.so`: four nodes in a row, the last of which writes what each of them was into `file`.
pub fn pipeline(file: &std::path::Path) -> String {
    format!(
        "name = \"versions\"\nparameters = {{ file = {file:?} }}\n\
         [[node]]\nname = \"a\"\ncall = \"versions::begins\"\noutputs = [\"one\"]\n\
         [[node]]\nname = \"b\"\ncall = \"versions::goes_on\"\ninputs = [\"one\"]\noutputs = [\"two\"]\n\
         [[node]]\nname = \"c\"\ncall = \"versions::goes_on\"\ninputs = [\"two\"]\noutputs = [\"three\"]\n\
         [[node]]\nname = \"d\"\ncall = \"versions::reports_last\"\n\
         inputs = {{ versions = \"three\", file = \"params:file\" }}\noutputs = [\"all\"]\n"
    )
}
