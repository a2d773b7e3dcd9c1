//! `[plugins] allow`: which libraries may be loaded, each pinned to its contents.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::toml_reader::{FromToml, Reader, Wrong, read_value};

/// File names of libraries with their SHA-256, in hexadecimal.
#[derive(Debug, Default)]
pub(super) struct Pins(pub BTreeMap<String, String>);

impl FromToml for Pins {
    fn expected() -> String {
        "a table of libraries, as in { \"libflights.so\" = \"sha256:…\" }".to_owned()
    }

    fn from_toml(value: &DeValue<'_>, reader: &mut Reader<'_>) -> Result<Option<Pins>, Wrong> {
        let Some(table) = value.as_table() else { return Ok(None) };
        let mut pins = BTreeMap::new();
        for (name, hash) in table {
            let name = name.get_ref().to_string();
            // Each wrong one is reported at its own place.
            if let Some(Hash(hash)) = read_value(hash, reader, &format!("plugins.allow.{name:?}")) {
                pins.insert(name, hash);
            }
        }
        Ok(Some(Pins(pins)))
    }
}

struct Hash(String);

impl FromToml for Hash {
    fn expected() -> String {
        "a string such as \"sha256:…\" with 64 hexadecimal digits".to_owned()
    }

    fn from_toml(value: &DeValue<'_>, reader: &mut Reader<'_>) -> Result<Option<Hash>, Wrong> {
        let Some(text) = String::from_toml(value, reader)? else { return Ok(None) };
        let digits = text.strip_prefix("sha256:").unwrap_or_default();
        if digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Ok(Some(Hash(digits.to_ascii_lowercase())));
        }
        let wrong = Wrong::new("bad-hash", format!("must be \"sha256:\" and 64 hexadecimal digits, not {text:?}"));
        Err(wrong.hint("`sha256sum FILE` tells a library's hash, and so does `ctl plugins --json`"))
    }
}
