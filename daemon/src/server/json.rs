//! JSON written by hand: for messages whose parts are JSON text already and need not be parsed first.
#![forbid(unsafe_code)]

/// A JSON object under construction.
#[derive(Debug)]
pub struct JsonObject(String);

impl Default for JsonObject {
    fn default() -> Self {
        JsonObject::new()
    }
}

impl JsonObject {
    /// An empty one.
    pub fn new() -> JsonObject {
        JsonObject("{".to_owned())
    }

    /// An empty one that will have so many bytes.
    pub fn with_room_for(bytes: usize) -> JsonObject {
        let mut json = String::with_capacity(bytes);
        json.push('{');
        JsonObject(json)
    }

    /// How many bytes there are so far.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    /// Adds a value that is JSON already; an empty one is null.
    pub fn raw(&mut self, key: &str, json: &str) {
        self.key(key);
        self.0.push_str(if json.is_empty() { "null" } else { json });
    }

    /// Adds a text.
    pub fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        quote(&mut self.0, value);
    }

    /// Adds a number.
    pub fn number(&mut self, key: &str, value: impl std::fmt::Display) {
        use std::fmt::Write as _;
        self.key(key);
        // Writing to a string has no way to fail.
        let _ = write!(self.0, "{value}");
    }

    /// Adds a list of objects.
    pub fn objects(&mut self, key: &str, objects: impl Iterator<Item = impl FnOnce(&mut JsonObject)>) {
        self.key(key);
        self.0.push('[');
        for (index, fill) in objects.enumerate() {
            self.0.push_str(if index > 0 { ",{" } else { "{" });
            fill(self);
            self.0.push('}');
        }
        self.0.push(']');
    }

    /// Adds all that is in another one.
    pub fn all_of(&mut self, other: &JsonObject) {
        let fields = other.0.get(1..).unwrap_or_default();
        if !fields.is_empty() {
            if !self.0.ends_with('{') {
                self.0.push(',');
            }
            self.0.push_str(fields);
        }
    }

    fn key(&mut self, key: &str) {
        // Also the first of a list's objects begins so.
        if !self.0.ends_with('{') {
            self.0.push(',');
        }
        quote(&mut self.0, key);
        self.0.push(':');
    }

    /// The finished object.
    pub fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// A JSON list of texts.
pub fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let mut json = "[".to_owned();
    for (index, item) in items.enumerate() {
        if index > 0 {
            json.push(',');
        }
        quote(&mut json, item);
    }
    json.push(']');
    json
}

/// A JSON list of values that are JSON already.
pub fn array(items: impl Iterator<Item = String>) -> String {
    let mut json = "[".to_owned();
    for (index, item) in items.enumerate() {
        if index > 0 {
            json.push(',');
        }
        json.push_str(&item);
    }
    json.push(']');
    json
}

fn quote(json: &mut String, text: &str) {
    if !text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        json.push('"');
        json.push_str(text);
        json.push('"');
        return;
    }
    // Writing a string as JSON has no way to fail.
    json.push_str(&serde_json::to_string(text).unwrap_or_else(|_| "\"\"".to_owned()));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn objects_are_json_whatever_the_texts_hold() {
        let mut object = JsonObject::new();
        object.text("a\"b", "line\nbreak");
        object.raw("n", "1");
        object.raw("nothing", "");
        object.raw("l", &list(["x", "y\\"].into_iter()));
        let mut other = JsonObject::new();
        other.all_of(&JsonObject::new());
        other.objects(
            "o",
            [1, 2].into_iter().map(|number| {
                move |object: &mut JsonObject| {
                    object.number("a", number);
                    object.objects("none", std::iter::empty::<fn(&mut JsonObject)>());
                }
            }),
        );
        object.all_of(&other);
        let value: serde_json::Value = serde_json::from_str(&object.end()).unwrap();
        assert_eq!(
            value,
            serde_json::json!({
                "a\"b": "line\nbreak", "n": 1, "nothing": null, "l": ["x", "y\\"],
                "o": [{ "a": 1, "none": [] }, { "a": 2, "none": [] }],
            })
        );
    }
}
