//! A plugin of a past that never was: its root module is of ABI version 0.7.0.

#![expect(missing_docs, reason = "`export_root_module` makes a static that cannot be documented")]

use abi_stable::export_root_module;
use abi_stable::library::RootModule;
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::RString;
use abi_stable::{StableAbi, declare_root_module_statics};

/// What a root module once looked like.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginModuleRef)))]
pub struct PluginModule {
    /// A function that the daemon must not call.
    #[sabi(last_prefix_field)]
    pub describe: extern "C" fn() -> RString,
}

impl RootModule for PluginModuleRef {
    declare_root_module_statics! {PluginModuleRef}
    const BASE_NAME: &'static str = "dagd_plugin";
    const NAME: &'static str = "dagd plugin";
    const VERSION_STRINGS: VersionStrings = VersionStrings::new("0.7.0");
}

/// The library's export.
#[export_root_module]
pub fn root() -> PluginModuleRef {
    PluginModule { describe }.leak_into_prefix()
}

extern "C" fn describe() -> RString {
    RString::from("{}")
}
