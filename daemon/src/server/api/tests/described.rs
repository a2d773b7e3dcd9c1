//! The description is of the API as it is.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::{openapi, routes};
use super::{pretend, serve};

fn schema<'d>(description: &'d Value, name: &str) -> &'d Value {
    let schema = &description["components"]["schemas"][name];
    assert!(!schema.is_null(), "no schema {name}");
    schema
}

#[test]
fn every_route_is_described_and_served() {
    let served = serve();
    let description = served.get("/openapi.json").json();
    let mut described = 0;
    for (_, operations) in description["paths"].as_object().unwrap() {
        described += operations.as_object().unwrap().len();
    }
    assert_eq!(described, routes::all().len());
    for route in routes::all() {
        let operation = &description["paths"][route.path][route.method.as_str().to_lowercase()];
        assert!(operation["summary"].as_str().is_some_and(|summary| summary.ends_with('.')), "{}", route.path);
        assert_eq!(operation["requestBody"].is_object(), route.body.is_some(), "{}", route.path);
        assert!(operation["responses"]["500"].is_object());
        // Whatever it answers, it is not that the path or the method is unknown.
        let path = route.path.replace("{id}", "r1").replace("{name}", "model");
        if path.ends_with("/events") {
            served.pretend.feed.close();
        }
        let answer = served.ask(route.method.as_str(), &path, "");
        assert!(answer.status != 405 && answer.status != 404, "{} {path}: {answer:?}", route.method);
    }
}

#[test]
fn operation_ids_are_unique() {
    let description = openapi::describe();
    let mut ids = BTreeSet::new();
    for (_, operations) in description["paths"].as_object().unwrap() {
        for (_, operation) in operations.as_object().unwrap() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{operation}");
        }
    }
    assert!(ids.contains("get_runs_id_events"), "{ids:?}");
}

#[test]
fn every_reference_leads_to_a_schema() {
    fn walk(value: &Value, description: &Value) {
        match value {
            Value::Object(object) => {
                if let Some(Value::String(reference)) = object.get("$ref") {
                    let name = reference.strip_prefix("#/components/schemas/").unwrap();
                    schema(description, name);
                }
                object.values().for_each(|value| walk(value, description));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, description)),
            _ => (),
        }
    }
    let description = openapi::describe();
    walk(&description, &description);
}

fn value(sample: impl serde::Serialize) -> Value {
    serde_json::to_value(sample).unwrap()
}

/// Holds a value against a schema: every key described, every required key there, every word known.
fn check(value: &Value, schema_: &Value, description: &Value, at: &str) -> Result<(), String> {
    if let Some(Value::String(reference)) = schema_.get("$ref") {
        let name = reference.rsplit('/').next().unwrap();
        return check(value, schema(description, name), description, at);
    }
    if let Some(Value::Array(parts)) = schema_.get("allOf") {
        // Each key must be known to one of the parts.
        let object = value.as_object().ok_or_else(|| format!("{at}: no object"))?;
        for (key, item) in object {
            let alone = json!({ key: item });
            let known = parts.iter().any(|part| knows(&alone, key, part, description));
            if !known {
                return Err(format!("{at}.{key} is not described"));
            }
        }
        return Ok(());
    }
    if let Some(Value::Array(choices)) = schema_.get("oneOf") {
        let fits = choices.iter().any(|choice| check(value, choice, description, at).is_ok());
        return if fits { Ok(()) } else { Err(format!("{at}: {value} fits none of the choices")) };
    }
    if let Some(constant) = schema_.get("const") {
        return if constant == value { Ok(()) } else { Err(format!("{at}: {value} is not {constant}")) };
    }
    if let Some(Value::Array(words)) = schema_.get("enum") {
        return if words.contains(value) { Ok(()) } else { Err(format!("{at}: {value} is not in {words:?}")) };
    }
    let wanted = schema_.get("type").and_then(Value::as_str);
    let fits = match wanted {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        _ => true,
    };
    if !fits {
        return Err(format!("{at}: {value} is no {wanted:?}"));
    }
    if let (Some(items), Some(item)) = (value.as_array(), schema_.get("items")) {
        for (index, value) in items.iter().enumerate() {
            check(value, item, description, &format!("{at}[{index}]"))?;
        }
    }
    if let (Some(object), Some(Value::Object(properties))) = (value.as_object(), schema_.get("properties")) {
        for (key, value) in object {
            let property = properties.get(key).ok_or_else(|| format!("{at}.{key} is not described"))?;
            check(value, property, description, &format!("{at}.{key}"))?;
        }
        for key in schema_.get("required").and_then(Value::as_array).into_iter().flatten() {
            if !object.contains_key(key.as_str().unwrap()) {
                return Err(format!("{at}.{key} is required and not there"));
            }
        }
    }
    Ok(())
}

/// Whether a part of an `allOf` describes this key.
fn knows(alone: &Value, key: &str, part: &Value, description: &Value) -> bool {
    let part = match part.get("$ref").and_then(Value::as_str) {
        Some(reference) => schema(description, reference.rsplit('/').next().unwrap()),
        None => part,
    };
    match part.get("oneOf").and_then(Value::as_array) {
        Some(choices) => choices.iter().any(|choice| knows(alone, key, choice, description)),
        None => {
            part["properties"].get(key).is_some_and(|property| check(&alone[key], property, description, key).is_ok())
        }
    }
}

/// Every property of the named schema that is not in the value: the sample must be full, or it proves nothing.
fn missing(value: &Value, name: &str, description: &Value) -> Vec<String> {
    let properties = schema(description, name)["properties"].as_object();
    properties.into_iter().flatten().map(|(key, _)| key.clone()).filter(|key| value.get(key).is_none()).collect()
}

#[test]
fn the_schemas_are_those_of_the_types() {
    let description = openapi::describe();
    let submission = json!({
        "pipeline": { "name": "p", "text": "", "syntax": "toml" }, "catalogs": [{ "name": "c", "text": "" }],
        "parameters": [], "overrides": [["a.b", "1"]], "base_directory": "/", "inputs": { "a": { "value": 1 } }, "outputs": ["m"], "environment": { "A": "b" }, "run_id": "r",
        "summed": [{ "name": "q", "text": "" }], "includes": [{ "name": "i", "text": "" }],
        "filter": {
            "tags": ["t"], "from_nodes": ["a"], "to_nodes": ["b"], "nodes": ["c"], "from_inputs": ["d"], "to_outputs": ["e"],
            "namespaces": ["n"],
        },
        "default_patterns": [], "credentials": { "files": [], "environment": {} }, "load_versions": [["d", "v"]],
        "save_version": "v", "max_workers": 1, "sequential": true, "asynchronous_saves": true, "fail_fast": true,
        "only_missing_outputs": true, "on_failure": "continue", "timeout_seconds": 1.5,
    });
    // The sample is one that the type takes, so the schema is held against the type.
    serde_json::from_value::<protocol::Submission>(submission.clone()).unwrap();
    let samples = [
        ("Filter", submission["filter"].clone()),
        ("Submission", submission),
        ("Status", value(pretend::status())),
        ("Health", value(pretend::health())),
        ("RunSummary", value(pretend::summary())),
        ("RunDetail", value(pretend::detail())),
        ("Failure", value(pretend::failure())),
        ("Problem", value(pretend::problem())),
        ("Graph", value(pretend::graph())),
        ("CatalogDataset", value(pretend::catalog_dataset())),
        ("DatasetExists", value(pretend::dataset_exists())),
        ("VersionList", value(pretend::versions())),
        ("LogLine", value(pretend::line(1))),
        ("PluginList", value(pretend::plugins())),
        ("ReloadOptions", value(protocol::ReloadOptions { dry_run: true, rollback: true, force: true })),
        ("ReloadReport", value(pretend::reload_report())),
        ("GenerationChanges", value(pretend::reload_report().changes)),
        ("PluginChange", value(pretend::plugin_change())),
        ("GenerationInfo", value(pretend::generation())),
        ("NodeInfo", value(pretend::node_info())),
        ("HookInfo", value(pretend::hook())),
        ("BlockInfo", value(pretend::block_info())),
        ("OutputInfo", value(pretend::output_info())),
        ("PipelineInfo", value(pretend::pipeline_info())),
        ("UploadedBlock", value(protocol::UploadedBlock { id: "b1".to_owned(), bytes: 1, expires_us: 1 })),
    ];
    for (name, sample) in samples {
        check(&sample, schema(&description, name), &description, name).unwrap();
        assert_eq!(missing(&sample, name, &description), [""; 0], "{name}");
    }
}

#[test]
fn every_event_is_described() {
    use protocol::{DatasetOperation, EventKind, RunEvent, RunState};
    let text = |text: &str| text.to_owned();
    let (node, dataset, attempt, worker, duration_us, bytes) = (text("a"), text("d"), 1, 0, 5, 7);
    let failure = pretend::failure();
    let kinds = [
        EventKind::RunStarted { pipeline: text("p"), nodes: 1 },
        EventKind::NodeStarted { node: node.clone(), attempt, worker },
        EventKind::NodeProgress { node: node.clone(), done: 1, total: 2 },
        EventKind::NodeFinished { node: node.clone(), attempt, worker, duration_us, completed: 1, total: 2 },
        EventKind::NodeFailed { node: node.clone(), attempt, failure: failure.clone(), will_retry_in_ms: Some(1) },
        EventKind::NodeSkipped { node, because: text("b failed") },
        EventKind::DatasetLoaded {
            dataset: dataset.clone(),
            worker,
            bytes,
            duration_us,
            metadata: json!({ "rows": 1 }),
        },
        EventKind::DatasetSaved { dataset: dataset.clone(), worker, bytes, duration_us },
        EventKind::DatasetConfirmed { dataset: dataset.clone(), node: text("b"), worker, duration_us },
        EventKind::DatasetReleased { dataset: dataset.clone() },
        EventKind::DatasetFailed {
            dataset,
            operation: DatasetOperation::Save,
            failure: failure.clone(),
            will_retry_in_ms: Some(1),
        },
        EventKind::Log { line: pretend::line(1) },
        EventKind::RunFinished { state: RunState::Failed, duration_us, cause: Some(failure) },
        EventKind::Missed { count: 3 },
    ];
    let description = openapi::describe();
    let choices = schema(&description, "EventKind")["oneOf"].as_array().unwrap().len();
    assert_eq!(choices, kinds.len(), "one choice for each kind");
    for kind in kinds {
        let name = kind.name();
        let event = serde_json::to_value(RunEvent { sequence: 1, time_us: 2, kind: kind.clone() }).unwrap();
        check(&event, schema(&description, "RunEvent"), &description, name).unwrap();
        let kind = serde_json::to_value(kind).unwrap();
        check(&kind, schema(&description, "EventKind"), &description, name).unwrap();
    }
}
