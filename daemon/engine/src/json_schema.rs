//! Whether a parameter is what the type behind `Params<T>` can be read from, by the JSON schema that the plugin announces.
//!
//! A validator of our own for what `schemars` writes about serde types: the crates that know all of JSON Schema bring regular
//! expressions, number arithmetic and fetching of references, ten times what is needed here, and their messages are about schemas
//! and not about parameters. A keyword that is not known here accepts anything: the node itself has the last word, when it runs.
//!
//! A schema comes from a plugin, so it is a claim: references may lead in circles, and what is checked is bounded.

use serde_json::{Map, Value as Json};

use crate::problem::{list, nearest};

/// Of one value at most so many things are told.
const TOLD_MAX: usize = 20;
/// How deep schemas are followed into each other. Types nest as deep as their values, which parsers bound.
const DEPTH_MAX: usize = 100;
/// How many schemas are looked at for one value; choices within choices could ask for any number.
const STEPS_MAX: usize = 100_000;

/// One thing that is wrong with a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mismatch {
    /// The way to it from the value's top: keys, and numbers of list items.
    pub path: Vec<String>,
    /// What it must be and is not: `must be an integer, not "three"`.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Finds everything in which a value is not what the schema says.
pub fn mismatches(schema: &Json, value: &Json) -> Vec<Mismatch> {
    let mut check = Check { root: schema, steps: 0, path: Vec::new(), found: Vec::new() };
    check.value(schema, value, 0);
    check.found.truncate(TOLD_MAX);
    check.found
}

struct Check<'s> {
    root: &'s Json,
    steps: usize,
    path: Vec<String>,
    found: Vec<Mismatch>,
}

impl<'s> Check<'s> {
    fn tell(&mut self, message: String, hint: Option<String>) {
        if self.found.len() < TOLD_MAX {
            self.found.push(Mismatch { path: self.path.clone(), message, hint });
        }
    }

    fn must(&mut self, expected: &str, value: &Json) {
        self.tell(format!("must be {expected}, not {}", shown(value)), None);
    }

    fn value(&mut self, schema: &'s Json, value: &Json, depth: usize) {
        self.steps += 1;
        if depth > DEPTH_MAX || self.steps > STEPS_MAX {
            return;
        }
        let Json::Object(schema) = schema else {
            if *schema == Json::Bool(false) {
                self.tell("is not allowed".to_owned(), None);
            }
            return;
        };
        if let Some(other) = schema.get("$ref").and_then(|reference| self.resolve(reference)) {
            self.value(other, value, depth + 1);
        }
        for part in items(schema, "allOf") {
            self.value(part, value, depth + 1);
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(choices) = schema.get(keyword).and_then(Json::as_array).filter(|choices| !choices.is_empty()) {
                self.choice(choices, value, depth);
            }
        }
        if let Some(constant) = schema.get("const").filter(|constant| *constant != value) {
            return self.must(&shown(constant), value);
        }
        if let Some(words) = schema.get("enum").and_then(Json::as_array).filter(|words| !words.contains(value)) {
            return self.word(words, value);
        }
        if !self.kind(schema, value) {
            return;
        }
        match value {
            Json::Number(_) => self.number(schema, value),
            Json::String(text) => self.text(schema, text, value),
            Json::Array(items) => self.list(schema, items, value, depth),
            Json::Object(table) => self.table(schema, table, depth),
            Json::Null | Json::Bool(_) => {}
        }
    }

    /// Follows `#/$defs/Name`.
    fn resolve(&self, reference: &Json) -> Option<&'s Json> {
        self.root.pointer(reference.as_str()?.strip_prefix('#')?)
    }

    /// Checks the `type`; false when it is another.
    fn kind(&mut self, schema: &'s Map<String, Json>, value: &Json) -> bool {
        let kinds: Vec<&str> = match schema.get("type") {
            Some(Json::String(kind)) => vec![kind],
            Some(Json::Array(kinds)) => kinds.iter().filter_map(Json::as_str).collect(),
            _ => return true,
        };
        let fits = kinds.iter().any(|kind| match *kind {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            _ => true,
        });
        if !fits {
            let names: Vec<String> =
                kinds.iter().filter(|kind| **kind != "null").map(|kind| named(kind, schema)).collect();
            self.must(&names.join(" or "), value);
        }
        fits
    }

    fn number(&mut self, schema: &Map<String, Json>, value: &Json) {
        let Some(number) = value.as_f64() else { return };
        let bound = |keyword: &str| schema.get(keyword).and_then(Json::as_f64);
        let low = bound("minimum").is_some_and(|least| number < least)
            || bound("exclusiveMinimum").is_some_and(|least| number <= least);
        let high = bound("maximum").is_some_and(|most| number > most)
            || bound("exclusiveMaximum").is_some_and(|most| number >= most);
        if low || high {
            let kind = schema.get("type").and_then(Json::as_str).unwrap_or("number");
            self.must(&named(kind, schema), value);
        }
    }

    fn text(&mut self, schema: &Map<String, Json>, text: &str, value: &Json) {
        let length = text.chars().count() as u64;
        let bound = |keyword: &str| schema.get(keyword).and_then(Json::as_u64);
        if let Some(least) = bound("minLength").filter(|least| length < *least) {
            self.must(&format!("a text of {least} characters or more"), value);
        } else if let Some(most) = bound("maxLength").filter(|most| length > *most) {
            self.must(&format!("a text of {most} characters or fewer"), value);
        }
    }

    fn list(&mut self, schema: &'s Map<String, Json>, list: &[Json], value: &Json, depth: usize) {
        let bound = |keyword: &str| schema.get(keyword).and_then(Json::as_u64);
        let count = list.len() as u64;
        match (bound("minItems"), bound("maxItems")) {
            (Some(least), Some(most)) if least == most && count != least => {
                return self.must(&format!("a list of {least}"), value);
            }
            (Some(least), _) if count < least => return self.must(&format!("a list of {least} or more"), value),
            (_, Some(most)) if count > most => return self.must(&format!("a list of {most} or fewer"), value),
            _ => {}
        }
        let first = schema.get("prefixItems").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
        let rest = schema.get("items");
        for (position, item) in list.iter().enumerate() {
            if let Some(schema) = first.get(position).or(rest) {
                self.path.push(position.to_string());
                self.value(schema, item, depth + 1);
                self.path.pop();
            }
        }
    }

    fn table(&mut self, schema: &'s Map<String, Json>, table: &Map<String, Json>, depth: usize) {
        let properties = schema.get("properties").and_then(Json::as_object);
        let known = || properties.into_iter().flat_map(Map::keys).map(String::as_str);
        let missing: Vec<&str> =
            items(schema, "required").filter_map(Json::as_str).filter(|key| !table.contains_key(*key)).collect();
        let others = schema.get("additionalProperties");
        let unknown: Vec<&str> = match others {
            Some(Json::Bool(false)) => {
                table.keys().map(String::as_str).filter(|key| known().all(|known| known != *key)).collect()
            }
            _ => Vec::new(),
        };
        for key in &unknown {
            let hint = match nearest(key, known()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if known().next().is_none() => "it is a table without keys".to_owned(),
                None => format!("its keys are {}", list(known())),
            };
            self.tell(format!("has a key `{key}` that its type does not have"), Some(hint));
        }
        // Where as many keys are unknown as are missing, these are those, misspelt.
        if missing.len() > unknown.len() {
            let keys = if missing.len() == 1 { "key" } else { "keys" };
            self.tell(format!("must have the {keys} {}", list(missing)), None);
        }
        for (key, value) in table {
            let schema =
                properties.and_then(|properties| properties.get(key)).or(others.filter(|others| others.is_object()));
            if let Some(schema) = schema {
                self.path.push(key.clone());
                self.value(schema, value, depth + 1);
                self.path.pop();
            }
        }
    }

    fn word(&mut self, words: &[Json], value: &Json) {
        let texts = || words.iter().filter_map(Json::as_str);
        let hint =
            value.as_str().and_then(|word| nearest(word, texts())).map(|near| format!("did you mean \"{near}\"?"));
        let expected: Vec<String> = words.iter().map(shown).collect();
        self.tell(format!("must be {}, not {}", expected.join(" or "), shown(value)), hint);
    }

    /// One of several must fit. If none does, the one that comes nearest is told: that of the same kind with the fewest mistakes.
    fn choice(&mut self, choices: &'s [Json], value: &Json, depth: usize) {
        // Alternatives that are words: a plain enum.
        let constants: Option<Vec<Json>> = choices
            .iter()
            .map(|choice| self.words(choice, depth))
            .collect::<Option<Vec<_>>>()
            .map(|words| words.concat());
        if let Some(words) = constants {
            if !words.contains(value) {
                self.word(&words, value);
            }
            return;
        }
        let mut best: Option<Vec<Mismatch>> = None;
        for choice in choices {
            let mut one = Check { root: self.root, steps: self.steps, path: self.path.clone(), found: Vec::new() };
            one.value(choice, value, depth + 1);
            self.steps = one.steps;
            if one.found.is_empty() {
                return;
            }
            // What goes wrong further inside is nearer to what was meant.
            let rank =
                |found: &[Mismatch]| (found.iter().map(|found| found.path.len()).min(), std::cmp::Reverse(found.len()));
            if best.as_ref().is_none_or(|best| rank(&one.found) > rank(best)) {
                best = Some(one.found);
            }
        }
        self.found.extend(best.unwrap_or_default());
    }

    /// Gives the words of a schema that is nothing but words, or null.
    fn words(&self, schema: &'s Json, depth: usize) -> Option<Vec<Json>> {
        let schema = schema.as_object()?;
        if let Some(other) =
            schema.get("$ref").filter(|_| depth < DEPTH_MAX).and_then(|reference| self.resolve(reference))
        {
            return self.words(other, depth + 1);
        }
        match (schema.get("const"), schema.get("enum"), schema.get("type")) {
            (Some(constant), ..) => Some(vec![constant.clone()]),
            (_, Some(words), _) => words.as_array().cloned(),
            (_, _, Some(kind)) if kind == "null" => Some(vec![Json::Null]),
            _ => None,
        }
    }
}

fn items<'m>(schema: &'m Map<String, Json>, keyword: &str) -> impl Iterator<Item = &'m Json> {
    schema.get(keyword).and_then(Json::as_array).into_iter().flatten()
}

/// Names a kind for people, with its bounds.
fn named(kind: &str, schema: &Map<String, Json>) -> String {
    let name = match kind {
        "integer" => "an integer",
        "number" => "a number",
        "string" => "a text",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a table",
        other => other,
    };
    if !matches!(kind, "integer" | "number") {
        return name.to_owned();
    }
    let bound = |keyword: &str, word: &str| schema.get(keyword).map(|bound| format!(" {word} {bound}"));
    let low = bound("minimum", "from").or_else(|| bound("exclusiveMinimum", "above"));
    let high = bound("maximum", "to").or_else(|| bound("exclusiveMaximum", "below"));
    format!("{name}{}{}", low.unwrap_or_default(), high.unwrap_or_default())
}

fn shown(value: &Json) -> String {
    const CHARS_MAX: usize = 60;
    let text = value.to_string();
    match text.chars().count() {
        0..=CHARS_MAX => text,
        _ => text.chars().take(CHARS_MAX).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What `schemars` writes for a struct with an enum, options, a nested struct, a map and a tuple.
    fn schema() -> Json {
        json!({
            "type": "object",
            "properties": {
                "depth": { "type": "integer", "format": "uint32", "minimum": 0 },
                "rate": { "type": ["number", "null"], "format": "double" },
                "kind": { "$ref": "#/$defs/Kind" },
                "solver": { "anyOf": [{ "$ref": "#/$defs/Solver" }, { "type": "null" }] },
                "features": { "type": "array", "items": { "type": "string" } },
                "weights": { "type": "object", "additionalProperties": { "type": "number" } },
                "span": { "type": "array", "prefixItems": [{ "type": "integer" }, { "type": "string" }], "minItems": 2, "maxItems": 2 },
            },
            "required": ["depth", "features"],
            "additionalProperties": false,
            "$defs": {
                "Kind": { "oneOf": [
                    { "type": "string", "enum": ["ols", "ridge"] },
                    { "description": "slow", "type": "string", "const": "lasso" },
                ] },
                "Solver": { "oneOf": [
                    { "type": "object", "properties": { "name": { "type": "string", "const": "sgd" }, "steps": { "type": "integer" } },
                      "required": ["name", "steps"] },
                    { "type": "object", "properties": { "name": { "type": "string", "const": "exact" } }, "required": ["name"] },
                ] },
                "Loop": { "$ref": "#/$defs/Loop" },
            },
        })
    }

    fn told(value: Json) -> Vec<String> {
        let told = |found: Mismatch| {
            let hint = found.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("{}: {}{hint}", found.path.join("."), found.message)
        };
        mismatches(&schema(), &value).into_iter().map(told).collect()
    }

    #[test]
    fn what_the_type_reads_is_accepted() {
        let good = [
            json!({ "depth": 0, "features": [] }),
            json!({ "depth": 3, "features": ["a"], "rate": 1, "kind": "lasso", "weights": { "a": 1.5 }, "span": [1, "x"] }),
            json!({ "depth": 3, "features": ["a"], "rate": null, "solver": { "name": "sgd", "steps": 5, "more": 1 } }),
            json!({ "depth": 3, "features": [], "solver": null, "kind": "ols" }),
        ];
        for value in good {
            assert_eq!(told(value.clone()), [""; 0], "{value}");
        }
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_the_way_to_it() {
        let value = json!({
            "depth": -1, "features": ["a", 7], "kind": "rigde", "rate": "fast", "weights": { "x": true }, "span": [1, 2],
            "solver": { "name": "sgd", "steps": 1.5 }, "dept": 1,
        });
        assert_eq!(
            told(value),
            [
                ": has a key `dept` that its type does not have (did you mean `depth`?)",
                "depth: must be an integer from 0, not -1",
                "features.1: must be a text, not 7",
                r#"kind: must be "ols" or "ridge" or "lasso", not "rigde" (did you mean "ridge"?)"#,
                r#"rate: must be a number, not "fast""#,
                "solver.steps: must be an integer, not 1.5",
                "span.1: must be a text, not 2",
                "weights.x: must be a number, not true",
            ]
        );
        assert_eq!(told(json!({})), [": must have the keys `depth` and `features`"]);
        assert_eq!(
            told(json!({ "depht": 1, "features": [] })),
            [": has a key `depht` that its type does not have (did you mean `depth`?)"]
        );
        assert_eq!(told(json!([1])), [": must be a table, not [1]"]);
        assert_eq!(told(json!({ "depth": 1, "features": [], "span": [1] })), ["span: must be a list of 2, not [1]"]);
    }

    #[test]
    fn schemas_that_lead_in_circles_or_nowhere_end() {
        let circle = json!({ "$ref": "#/$defs/A", "$defs": { "A": { "anyOf": [{ "$ref": "#/$defs/A" }, { "$ref": "#/$defs/B" }] }, "B": { "allOf": [{ "$ref": "#/$defs/A" }, { "$ref": "#/$defs/A" }] } } });
        mismatches(&circle, &json!(1));
        for odd in [
            json!(null),
            json!(true),
            json!({ "$ref": "#/nowhere" }),
            json!({ "type": 3, "enum": 4, "required": [1], "items": 5 }),
        ] {
            assert_eq!(mismatches(&odd, &json!({ "a": [1] })), [], "{odd}");
        }
        assert_eq!(mismatches(&json!(false), &json!(1)).len(), 1);
    }
}
