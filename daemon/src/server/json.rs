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

    /// Adds a value that is JSON already; an empty one is null.
    pub fn raw(&mut self, key: &str, json: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        quote(&mut self.0, key);
        self.0.push(':');
        self.0.push_str(if json.is_empty() { "null" } else { json });
    }

    /// Adds a text.
    pub fn text(&mut self, key: &str, value: &str) {
        let mut quoted = String::with_capacity(value.len() + 2);
        quote(&mut quoted, value);
        self.raw(key, &quoted);
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
        let value: serde_json::Value = serde_json::from_str(&object.end()).unwrap();
        assert_eq!(value, serde_json::json!({"a\"b": "line\nbreak", "n": 1, "nothing": null, "l": ["x", "y\\"]}));
    }
}
