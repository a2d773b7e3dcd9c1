//! The sample plugin as a library: opened, checked and called through the boundary, also with what no host should send.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use plugin_api::{
    abi::{self, Call, Host, HostServices, InputBlock, OpenError, PluginModuleRef, format, operation},
    arrow::array::{ArrayRef, Float64Array, Int32Array},
    manifest::PluginManifest,
    prelude::*,
    testing::{self, LoadedPlugin, MemoryHost},
};

/// Cargo builds the examples of a package before it runs its tests, and puts them beside the tests' own folder.
fn sample() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    path.join("examples/libsample.so")
}

fn module() -> PluginModuleRef {
    abi::open(&sample()).unwrap()
}

fn manifest() -> PluginManifest {
    serde_json::from_str(&module().describe()()).unwrap()
}

fn table() -> Table {
    Table::from_columns([("x", Arc::new(Float64Array::from(vec![Some(1.0), Some(2.0)])) as ArrayRef)]).unwrap()
}

#[test]
fn the_manifest_is_as_agreed() {
    let found = serde_json::to_string_pretty(&manifest()).unwrap() + "\n";
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/manifest.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(golden, &found).unwrap();
    }
    let expected = std::fs::read_to_string(golden).unwrap();
    assert_eq!(found, expected, "if that is meant: UPDATE_GOLDEN=1 cargo test -p plugin-api");
}

#[test]
fn a_node_is_called_through_the_boundary() {
    let plugin = LoadedPlugin::open(&sample()).unwrap();
    assert_eq!((plugin.manifest().name.as_str(), plugin.manifest().version.as_str()), ("sample", "1.2.3"));
    let scale = plugin.node("scale").unwrap().input("table", table()).parameter("options", r#"{"factor":3}"#);
    let outputs = scale.run().unwrap();
    assert_eq!(outputs.get::<f64>("sum").unwrap(), 9.0);
    assert_eq!(outputs.get::<Table>("scaled").unwrap().numbers("x").unwrap(), [3.0, 6.0]);
    assert_eq!(outputs.progress(), (0, 1));

    let lines = plugin.node("lines").unwrap().input("count", 3_i64).run().unwrap();
    assert_eq!(&*lines.get::<Text>("lines").unwrap(), "0\n1\n2\n");
    let failure = plugin.node("lines").unwrap().input("count", 1001_i64).run().unwrap_err();
    assert_eq!(failure.message, "that is enough");
}

#[test]
fn a_panic_comes_back_with_message_and_place() {
    let plugin = LoadedPlugin::open(&sample()).unwrap();
    module().initialise()(Host::new::<Quiet>());
    let failure = plugin.node("panics").unwrap().input("message", "it hurts".to_owned()).run().unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.message.as_str()), ("panic", "it hurts"));
    assert!(failure.place.contains("examples/sample.rs:"), "{}", failure.place);
}

#[test]
fn an_error_comes_back_whole() {
    let plugin = LoadedPlugin::open(&sample()).unwrap();
    let failure = plugin.node("fails").unwrap().input("text", "x".to_owned()).run().unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.message.as_str()), ("error", "reading the number"));
    assert_eq!(failure.causes.first().unwrap(), "invalid digit found in string");
    assert_eq!(failure.hint, "write digits");
    assert!(failure.place.contains("examples/sample.rs:"), "{}", failure.place);
}

#[test]
fn inputs_that_do_not_fit_are_named() {
    let plugin = LoadedPlugin::open(&sample()).unwrap();
    let scale = || plugin.node("scale").unwrap();
    let cases = [
        (scale().parameter("options", "{}"), "reading the input `table`", "nothing is bound to it"),
        (scale().input("table", Text::from("x")), "reading the input `table`", "found `text`"),
        (scale().input("table", table()).parameter("options", "{}"), "reading the input `options`", "`Scaling`"),
        (scale().input("table", table()).parameter("options", "{"), "reading the input `options`", "`Scaling`"),
        (scale().block("table", arrow(b"not arrow")), "reading the input `table`", "no well-formed Arrow stream"),
        (scale().block("table", arrow(b"")), "reading the input `table`", "holds no Arrow schema"),
    ];
    for (test, message, cause) in cases {
        let failure = test.run().unwrap_err();
        assert_eq!((failure.kind.as_str(), failure.message.as_str()), ("input", message));
        assert!(failure.causes.iter().any(|found| found.contains(cause)), "{failure:?}");
    }
    let no_column = Table::from_columns([("y", Arc::new(Int32Array::from(vec![1])) as ArrayRef)]).unwrap();
    let failure = scale().input("table", no_column).parameter("options", r#"{"factor":1}"#).run().unwrap_err();
    assert_eq!(failure.message, "the table has no column `x`");
    assert!(failure.place.contains("examples/sample.rs:"), "{failure:?}");
}

#[test]
fn any_damage_to_a_table_is_a_failure_and_no_more() {
    let plugin = LoadedPlugin::open(&sample()).unwrap();
    module().initialise()(Host::new::<Quiet>());
    let good = testing::block(table()).unwrap();
    for position in 0..good.bytes.len() {
        for damage in [0x00, 0xff, 0x80] {
            let mut bytes = good.bytes.to_vec();
            bytes[position] = damage;
            let scale = plugin.node("scale").unwrap().parameter("options", r#"{"factor":1}"#);
            drop(scale.block("table", arrow(&bytes)).run()); // it may be harmless damage; it must come back
        }
        let scale = plugin.node("scale").unwrap().parameter("options", r#"{"factor":1}"#);
        drop(scale.block("table", arrow(&good.bytes[..position])).run());
    }
}

#[test]
fn numbers_out_of_range_are_failures() {
    let module = module();
    let host = MemoryHost::new("{}");
    let no_node = module.call_node()(99, Call::new(&host)).into_result().unwrap_err();
    assert_eq!(no_node.message, "the plugin `sample` has 4 nodes, there is no number 99");
    let no_dataset = module.call_dataset()(7, 0, Call::new(&host)).into_result().unwrap_err();
    assert_eq!(no_dataset.message, "the plugin `sample` has 1 dataset types, there is no number 7");
    let no_operation = module.call_dataset()(0, 42, Call::new(&host)).into_result().unwrap_err();
    assert_eq!(no_operation.message, "a dataset type has no operation number 42");
    let no_hook = module.call_hook()(u32::MAX, Call::new(&host)).into_result().unwrap_err();
    assert!(no_hook.message.contains("1 hooks"), "{no_hook}");
}

#[test]
fn arguments_that_are_no_json_are_failures() {
    let module = module();
    let host = MemoryHost::new("{nonsense");
    let dataset = module.call_dataset()(0, operation::LOAD, Call::new(&host)).into_result().unwrap_err();
    assert_eq!(dataset.kind, "input");
    let hook = module.call_hook()(0, Call::new(&host)).into_result().unwrap_err();
    assert_eq!(hook.message, "the event cannot be read");
}

#[test]
fn a_dataset_type_is_called_through_the_boundary() {
    let plugin = LoadedPlugin::open(&sample()).unwrap();
    let dataset = plugin.dataset("memory").unwrap().named("notes").path("/in/memory");
    dataset.save(Text::from("hello")).unwrap();
    assert!(dataset.exists().unwrap());
    assert_eq!(&*dataset.load::<Text>().unwrap(), "hello");
    dataset.release().unwrap();
    assert_eq!(dataset.describe().unwrap()["type"], "memory");

    let failure = dataset.save(2.5).unwrap_err();
    assert_eq!(failure.message, "saving the dataset `notes` (memory) at `/in/memory`");
    let dataset = dataset.options(serde_json::json!({ "sufix": "!" }));
    let failure = dataset.load::<Text>().unwrap_err();
    assert!(failure.to_string().contains("unknown field `sufix`"), "{failure}");
}

#[test]
fn a_hook_keeps_state_replaces_inputs_and_survives_a_panic() {
    let plugin = LoadedPlugin::open(&sample()).unwrap();
    module().initialise()(Host::new::<Quiet>());
    let bad = plugin.hook("Counter", r#"{"limt":1}"#).err().unwrap();
    assert!(bad.to_string().contains("unknown field `limt`"), "{bad}");

    let mut hook = plugin.hook("Counter", r#"{"limit":1}"#).unwrap();
    let ran = |node: &str| serde_json::json!({ "event": "after_node_run", "node": node }).to_string();
    hook.send(&ran("a")).unwrap();
    let failure = hook.send(&ran("b")).unwrap_err();
    assert_eq!(failure.message, "seen 2 nodes, the limit is 1");
    assert!(failure.causes.is_empty(), "{failure:?}");

    let failure = hook.send(&ran("panic")).unwrap_err();
    assert_eq!(failure.kind, "panic");
    hook.send(&ran("c")).unwrap(); // a new instance, with the same options
    assert!(hook.send(&ran("d")).is_err());

    assert_eq!(hook.send(r#"{"event":"of_the_future","shape":[1]}"#).unwrap().json, "null");
    let before = r#"{"event":"before_node_run","inputs":[{"dataset":"n","format":"json"},{"dataset":"word"}]}"#;
    let blocks = vec![testing::block(1_i64).unwrap(), testing::block("abc".to_owned()).unwrap()];
    let answer = hook.send_with(before, blocks).unwrap();
    assert_eq!(answer.json, r#"{"replaced":["word"]}"#);
    assert_eq!(answer.get::<String>(1).unwrap(), "ABC");
}

static LOGGED: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Quiet;

impl HostServices for Quiet {
    fn log(level: log::Level, target: &str, message: &str) {
        LOGGED.lock().unwrap().push(format!("{level} {target}: {message}"));
    }

    fn log_level_max() -> log::LevelFilter {
        log::LevelFilter::Info
    }
}

#[test]
fn log_records_reach_the_host() {
    let plugin = LoadedPlugin::open(&sample()).unwrap();
    module().initialise()(Host::new::<Quiet>());
    plugin.node("scale").unwrap().input("table", table()).parameter("options", r#"{"factor":3}"#).run().unwrap();
    let logged = LOGGED.lock().unwrap();
    assert!(logged.iter().any(|line| line == "INFO sample: scaled 2 rows"), "{logged:?}");
}

#[test]
fn what_is_no_plugin_is_refused_with_the_reason() {
    assert!(matches!(abi::open("/nowhere/libx.so".as_ref()), Err(OpenError::Load { .. })));
    let no_library = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let error = abi::open(no_library.as_ref()).err().unwrap();
    assert!(error.to_string().contains("Cargo.toml"), "{error}");
}

#[test]
fn open_plugins_are_not_confused_with_each_other() {
    let copy = std::env::temp_dir().join(format!("libsample-{}.so", std::process::id()));
    std::fs::copy(sample(), &copy).unwrap();
    let (first, second) = (LoadedPlugin::open(&sample()).unwrap(), LoadedPlugin::open(&copy).unwrap());
    std::fs::remove_file(copy).unwrap();
    first.dataset("memory").unwrap().save(Text::from("in the first")).unwrap();
    assert!(!second.dataset("memory").unwrap().exists().unwrap());
}

fn arrow(bytes: &[u8]) -> InputBlock {
    InputBlock::new(bytes.to_vec().into(), format::ARROW, "")
}
