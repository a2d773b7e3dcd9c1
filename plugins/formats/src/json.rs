//! JSON files as JSON values.

use std::path::Path;

use plugin_api::dataset::{Dataset, LoadRequest, SaveRequest};
use plugin_api::manifest::OptionManifest;
use plugin_api::{Output, OutputPort};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::beside;
use crate::problem::{Problem, Result};
use crate::source;

/// A JSON value in a file; packed if the path ends in .gz or .zst.
#[derive(Default)]
pub struct JsonFile;

impl Dataset for JsonFile {
    const NAME: &'static str = "json";
    const DOC: &'static str = "A JSON value in a file; packed if the path ends in .gz or .zst.";
    const LOADS: &'static [&'static str] = &["json"];
    const SAVES: &'static [&'static str] = &["json"];

    fn options() -> Vec<OptionManifest> {
        vec![OptionManifest::new("indent", "2", "spaces a level on save; 0 writes one line")]
    }

    fn load(&self, request: &LoadRequest) -> plugin_api::Result<()> {
        let content = load(request.path()?, &request.options()?).map_err(Problem::into_error)?;
        request.give(RawJson(&content))
    }

    fn save(&self, request: &SaveRequest) -> plugin_api::Result<()> {
        let block = request.block()?;
        save(request.path()?, &request.options()?, &block.bytes).map_err(Problem::into_error)
    }
}

/// The `options` of a JSON dataset.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    /// Spaces a level when saving; 0 writes everything on one line.
    indent: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { indent: 2 }
    }
}

/// A checked JSON text, given as it stands.
struct RawJson<'a>(&'a [u8]);

impl Output for RawJson<'_> {
    const KIND: &'static str = "json";

    fn write(self, port: &OutputPort<'_>) -> plugin_api::Result<()> {
        port.write(self.0, plugin_api::abi::format::JSON, "")
    }
}

/// Reads the file at `path`, which must hold one JSON value, and gives its text.
pub fn load(path: &Path, options: &Value) -> Result<Vec<u8>> {
    let _: Options = crate::options::parse("json", options)?;
    let content = source::read(path)?;
    check(&content).map_err(|problem| problem.while_reading(path))?;
    Ok(content)
}

/// Replaces the file at `path` by a JSON text.
pub fn save(path: &Path, options: &Value, content: &[u8]) -> Result<()> {
    let options: Options = crate::options::parse("json", options)?;
    check(content).map_err(|problem| problem.while_writing(path))?;
    beside::replace(path, |out| Ok(out.write_all(&laid_out(content, options.indent))?))
}

fn check(content: &[u8]) -> Result<()> {
    serde_json::from_slice::<IgnoredAny>(content)
        .map(drop)
        .map_err(|error| Problem::new(format!("it is not JSON: {error}")))
}

/// Lays a JSON text out for reading. It works on the text, not on a value, so that numbers keep every digit and keys their
/// order.
fn laid_out(content: &[u8], indent: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() * 2);
    let mut depth = 0_usize;
    let mut is_in_string = false;
    let mut bytes = content.iter().copied().peekable();
    let line = |out: &mut Vec<u8>, depth: usize| {
        if indent > 0 {
            out.push(b'\n');
            out.resize(out.len() + depth * indent, b' ');
        }
    };
    while let Some(byte) = bytes.next() {
        if is_in_string {
            out.push(byte);
            match byte {
                b'\\' => out.extend(bytes.next()),
                b'"' => is_in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {}
            b'{' | b'[' => {
                out.push(byte);
                while bytes.next_if(u8::is_ascii_whitespace).is_some() {}
                if let Some(close) = bytes.next_if(|next| matches!(next, b'}' | b']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend_from_slice(if indent > 0 { b": " } else { b":" }),
            _ => {
                is_in_string = byte == b'"';
                out.push(byte);
            }
        }
    }
    out.push(b'\n');
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lays_out_without_touching_values() {
        let check = |text: &str, indent: usize, expected: &str| {
            assert_eq!(String::from_utf8_lossy(&laid_out(text.as_bytes(), indent)), expected);
        };
        check(
            r#"{"b":1.10,"a":[1, {} ,[ ]],"s":"x\"{,:\\"}"#,
            2,
            "{\n  \"b\": 1.10,\n  \"a\": [\n    1,\n    {},\n    []\n  ],\n  \"s\": \"x\\\"{,:\\\\\"\n}\n",
        );
        check("{ \"a\" : [ 1 , 2 ] }\n", 0, "{\"a\":[1,2]}\n");
        check("0.1000000000000000055511151231257827", 2, "0.1000000000000000055511151231257827\n");
    }

    #[test]
    fn laying_out_again_changes_nothing() {
        let value = json!({ "a": [1, { "b": null, "c": "\u{e9}\n\"" }], "d": {}, "e": [] });
        let once = laid_out(value.to_string().as_bytes(), 2);
        assert_eq!(laid_out(&once, 2), once);
        assert_eq!(serde_json::from_slice::<Value>(&once).expect("json"), value);
    }

    #[test]
    fn refuses_what_is_not_json_and_says_where() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("file.json");
        std::fs::write(&path, "{\n  \"a\": x\n}").expect("file");
        let problem = load(&path, &Value::Null).expect_err("not JSON");
        assert!(problem.to_string().contains("file.json") && problem.to_string().contains("line 2"), "{problem}");
        std::fs::write(&path, "[1]").expect("file");
        save(&path, &Value::Null, b"{").expect_err("not JSON");
        assert_eq!(load(&path, &Value::Null).expect("untouched"), b"[1]");
    }
}
