//! The header that a plugin's library exports, for the generated code.

use abi_stable::library::{__call_root_module_loader, CheckTypeLayout, LibHeader, RootModuleResult};

use super::PluginModuleRef;
use crate::export::{Plugin, module};

/// What the exported symbol is.
pub type Header = LibHeader;

/// The header of a plugin.
pub const fn header<P: Plugin>() -> Header {
    // SAFETY: the constructor gives a `PluginModuleRef`, which is the type named here.
    unsafe { LibHeader::from_constructor::<PluginModuleRef>(root::<P>, CheckTypeLayout::Yes) }
}

extern "C" fn root<P: Plugin>() -> RootModuleResult {
    // Catches panics of its own.
    __call_root_module_loader(module::<P>)
}
