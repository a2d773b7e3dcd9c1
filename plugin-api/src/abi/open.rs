//! From a library's header to its checked root module, or to the precise reason why not.

use std::{fmt, path::Path};

use abi_stable::library::{AbiHeader, AbiHeaderRef, LibraryError, lib_header_from_path};

use super::{ABI_VERSION, PluginModuleRef};

/// Why a library cannot be used as a plugin; says what was expected and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// The loader of the system refused the file.
    Load {
        /// What it said.
        message: String,
    },
    /// The library loads but exports no plugin.
    NoPlugin,
    /// The library was built with an incompatible `abi_stable`.
    OtherHeader {
        /// The version of this side.
        expected: String,
        /// The version of the library.
        found: String,
    },
    /// The plugin was built for another version of the boundary.
    OtherVersion {
        /// [`ABI_VERSION`] of this side.
        expected: String,
        /// That of the library.
        found: String,
    },
    /// The version is right and the types are not.
    OtherLayout {
        /// Which type, field or function differs, and how.
        message: String,
    },
    /// The library's own code failed while giving its root module.
    Module {
        /// What it said.
        message: String,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Load { message } => write!(formatter, "the library cannot be loaded: {message}"),
            OpenError::NoPlugin => write!(
                formatter,
                "the library is no dagd plugin: expected the symbol `{}`, found none",
                abi_stable::library::ROOT_MODULE_LOADER_NAME
            ),
            OpenError::OtherHeader { expected, found } => {
                write!(formatter, "the plugin was built with another abi_stable: expected {expected}, found {found}")
            }
            OpenError::OtherVersion { expected, found } => write!(
                formatter,
                "the plugin was built for another version of the plugin ABI: expected {expected}, found {found}"
            ),
            OpenError::OtherLayout { message } => {
                write!(
                    formatter,
                    "the plugin's types are laid out differently from those of ABI {ABI_VERSION}: {message}"
                )
            }
            OpenError::Module { message } => write!(formatter, "the plugin failed to give its root module: {message}"),
        }
    }
}

impl std::error::Error for OpenError {}

impl OpenError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            OpenError::Load { .. } => {
                "build it again for this machine (crate-type \"cdylib\") and check what it links to"
            }
            OpenError::NoPlugin => "a plugin has one `plugin! { nodes: [...] }` at the root of a \"cdylib\" crate",
            OpenError::OtherHeader { .. } | OpenError::OtherVersion { .. } | OpenError::OtherLayout { .. } => {
                "build the plugin again with the `plugin-api` of this daemon's version"
            }
            OpenError::Module { .. } => "run the plugin's own tests; its start-up code must not panic",
        }
    }
}

/// Opens the library at `path` and checks it. It stays loaded for ever, as there is no sound way to unload Rust.
///
/// Code of the library runs when it is loaded (its constructors), so open only what you mean to run. Several plugins can be
/// open at once: nothing is cached per type.
///
/// ```
/// let error = plugin_api::abi::open("/nowhere/libnothing.so".as_ref()).err().unwrap();
/// assert!(error.to_string().starts_with("the library cannot be loaded"));
/// ```
pub fn open(path: &Path) -> Result<PluginModuleRef, OpenError> {
    let header = lib_header_from_path(path).map_err(refusal)?;
    header.init_root_module::<PluginModuleRef>().map_err(refusal)
}

/// Checks the header that a library exports under [`ROOT_SYMBOL`](super::ROOT_SYMBOL), for who opens libraries by
/// other means. The library must never be unloaded.
pub fn module_from_header(header: AbiHeaderRef) -> Result<PluginModuleRef, OpenError> {
    let header = header.upgrade().map_err(refusal)?;
    header.init_root_module::<PluginModuleRef>().map_err(refusal)
}

pub(super) fn refusal(error: LibraryError) -> OpenError {
    match error {
        LibraryError::OpenError { err, .. } => OpenError::Load { message: with_causes(&*err) },
        LibraryError::GetSymbolError { .. } => OpenError::NoPlugin,
        LibraryError::InvalidAbiHeader(found) => {
            OpenError::OtherHeader { expected: header_version(&AbiHeader::VALUE), found: header_version(&found) }
        }
        LibraryError::IncompatibleVersionNumber { expected_version, actual_version, .. } => {
            OpenError::OtherVersion { expected: expected_version.to_string(), found: actual_version.to_string() }
        }
        LibraryError::ParseVersionError(error) => {
            OpenError::OtherVersion { expected: ABI_VERSION.to_owned(), found: error.to_string() }
        }
        LibraryError::AbiInstability(error) => OpenError::OtherLayout { message: error.to_string() },
        LibraryError::InvalidCAbi { expected, found } => OpenError::OtherLayout {
            message: format!("the C calling convention differs: expected {expected}, found {found}"),
        },
        LibraryError::RootModule { err, .. } => OpenError::Module { message: err.to_string() },
        other => OpenError::Module { message: other.to_string() },
    }
}

fn header_version(header: &AbiHeader) -> String {
    let magic = String::from_utf8_lossy(&header.magic_string);
    format!("{} {}.{}", magic.trim_end_matches('\0'), header.abi_major, header.abi_minor)
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
