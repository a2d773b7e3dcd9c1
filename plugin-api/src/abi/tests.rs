//! The layout of the boundary, as text: a change to it must be seen and meant.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write;

use abi_stable::{
    StableAbi,
    abi_stability::{PrefixStableAbi, abi_checking::check_layout_compatibility},
    library::{AbiHeader, LibHeader, RootModule},
    prefix_type::{PrefixRefTrait, PrefixTypeTrait},
    sabi_types::VersionStrings,
    std_types::RStr,
    type_layout::TypeLayout,
};

use super::{
    Call, Failure, Host, InputBlock, OpenError, OutputBuffer, PluginModuleRef, SharedBytes, call::CallFunctionsRef,
    host::HostFunctionsRef,
};

#[test]
fn the_layout_is_as_agreed() {
    let mut found = format!("ABI {}\n", super::ABI_VERSION);
    for layout in [
        functions::<PluginModuleRef>(),
        Call::LAYOUT,
        functions::<CallFunctionsRef>(),
        Host::LAYOUT,
        functions::<HostFunctionsRef>(),
        SharedBytes::LAYOUT,
        InputBlock::LAYOUT,
        OutputBuffer::LAYOUT,
        Failure::LAYOUT,
    ] {
        describe(layout, &mut found);
    }
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/layout.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(golden, &found).unwrap();
    }
    let expected = std::fs::read_to_string(golden).unwrap();
    assert_eq!(
        found, expected,
        "libraries built before could not be loaded: append only, raise ABI_VERSION, then UPDATE_GOLDEN=1"
    );
}

/// The layout of what a reference to a table of functions points to.
fn functions<R: PrefixRefTrait<PrefixFields: PrefixStableAbi>>() -> &'static TypeLayout {
    <R::PrefixFields as PrefixStableAbi>::LAYOUT
}

/// Size, alignment and fields.
fn describe(layout: &'static TypeLayout, text: &mut String) {
    let fields = layout.get_fields().map(|fields| fields.to_vec()).unwrap_or_default();
    writeln!(text, "\n{} size {} align {}", layout.full_type(), layout.size(), layout.alignment()).unwrap();
    for field in fields {
        let parts: Vec<String> = field.function_range().iter().map(|function| function.to_string()).collect();
        let of = if parts.is_empty() { field.full_type().to_string() } else { parts.join(", ") };
        let of = of.split(" lifetime indices").next().unwrap();
        writeln!(text, "  {}: {}", field.name(), of.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap();
    }
}

#[test]
fn the_layout_is_compatible_with_itself() {
    check_layout_compatibility(PluginModuleRef::LAYOUT, PluginModuleRef::LAYOUT).unwrap();
}

/// The module of another age: same name, other functions.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = OldModuleRef)))]
pub struct OldModule {
    #[sabi(last_prefix_field)]
    pub name: RStr<'static>,
}

impl RootModule for OldModuleRef {
    abi_stable::declare_root_module_statics! {OldModuleRef}
    const BASE_NAME: &'static str = "dagd_plugin";
    const NAME: &'static str = "dagd plugin";
    const VERSION_STRINGS: VersionStrings = VersionStrings::new("0.9.0");
}

#[test]
fn another_version_is_refused_with_both_versions() {
    let module = OldModule { name: "old".into() }.leak_into_prefix();
    assert_eq!(module.name(), "old");
    let error = LibHeader::from_module(module).init_root_module::<PluginModuleRef>().err().unwrap();
    let refusal = super::open::refusal(error);
    assert_eq!(refusal, OpenError::OtherVersion { expected: super::ABI_VERSION.to_owned(), found: "0.9.0".to_owned() });
    assert!(refusal.hint().contains("build the plugin again"));
}

#[test]
fn another_layout_is_refused_although_the_version_fits() {
    let module = OldModule { name: "old".into() }.leak_into_prefix();
    let error = LibHeader::from_module(module).check_layout::<PluginModuleRef>().err().unwrap();
    let refusal = super::open::refusal(error);
    assert!(matches!(refusal, OpenError::OtherLayout { .. }), "{refusal}");
}

#[test]
fn another_abi_stable_is_refused_with_both_versions() {
    let mut header = AbiHeader::VALUE;
    header.abi_minor += 1;
    let refusal = super::open::refusal(abi_stable::library::LibraryError::InvalidAbiHeader(header));
    let OpenError::OtherHeader { expected, found } = &refusal else { panic!("{refusal}") };
    assert_ne!(expected, found);
    assert!(found.contains(&header.abi_minor.to_string()), "{refusal}");
}

/// A host that panics at everything.
struct Panicking;

impl super::CallHost for Panicking {
    fn argument(&self) -> &str {
        panic!("argument")
    }
    fn input(&self, _port: u32) -> Result<Option<InputBlock>, Failure> {
        panic!("input")
    }
    fn allocate(&self, _port: u32, _capacity: u64) -> Result<OutputBuffer, Failure> {
        panic!("allocate")
    }
    fn grow(&self, _buffer: OutputBuffer, _capacity: u64) -> Result<OutputBuffer, Failure> {
        panic!("grow")
    }
    fn discard(&self, _id: u64) {
        panic!("discard")
    }
    fn commit(&self, _id: u64, _length: u64, _format: &str, _metadata: &str) -> Result<(), Failure> {
        panic!("commit")
    }
    fn progress(&self, _done: u64, _total: u64) {
        panic!("progress")
    }
    fn is_cancelled(&self) -> bool {
        panic!("is_cancelled")
    }
}

#[test]
fn a_panic_of_the_host_does_not_cross_either() {
    let call = Call::new(&Panicking);
    assert_eq!(call.argument(), "");
    assert_eq!(call.input(0).unwrap_err().message, "the host panicked in `input`");
    assert_eq!(call.allocate(0, 1).unwrap_err().kind, "panic");
    call.progress(1, 2);
    assert!(!call.is_cancelled());
}
