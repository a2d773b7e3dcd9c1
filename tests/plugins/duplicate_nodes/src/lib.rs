//! A plugin that announces two nodes of one name. The macros refuse to compile that, so the root module is made by hand.

#![expect(missing_docs, reason = "`export_root_module` makes a static that cannot be documented")]

use abi_stable::export_root_module;
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::std_types::{RResult, RStr, RString};
use plugin_api::abi::{Call, Failure, Host, PluginModule, PluginModuleRef};

const MANIFEST: &str = r#"{
    "name": "duplicate_nodes", "version": "1.0.0", "datasets": [], "hooks": [],
    "nodes": [
        { "name": "twice", "doc": "The first.", "file": "src/lib.rs", "line": 1, "inputs": [], "outputs": [] },
        { "name": "twice", "doc": "The second.", "file": "src/lib.rs", "line": 2, "inputs": [], "outputs": [] }
    ]
}"#;

/// The library's export.
#[export_root_module]
pub fn root() -> PluginModuleRef {
    PluginModule {
        name: RStr::from_str("duplicate_nodes"),
        version: RStr::from_str("1.0.0"),
        describe,
        initialise,
        call_node,
        call_dataset,
        call_hook,
    }
    .leak_into_prefix()
}

extern "C" fn describe() -> RString {
    RString::from(MANIFEST)
}

extern "C" fn initialise(_host: Host) {}

extern "C" fn call_node(_node: u32, _call: Call<'_>) -> RResult<(), Failure> {
    RResult::ROk(())
}

extern "C" fn call_dataset(_dataset_type: u32, _operation: u32, _call: Call<'_>) -> RResult<RString, Failure> {
    RResult::ROk(RString::from("null"))
}

extern "C" fn call_hook(_hook: u32, _call: Call<'_>) -> RResult<RString, Failure> {
    RResult::ROk(RString::from("null"))
}
