//! `GET /openapi.json`: the description of the API, made from the list of routes and the schemas of the protocol's types.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::Api;
use super::routes::{self, Answer, Query, Route};

/// The schemas of the types, by name; a test holds them against the types.
const SCHEMAS: &str = include_str!("schemas.json");

pub(super) async fn get(State(api): State<Api>) -> Response {
    api.answer(StatusCode::OK, |_| Ok(describe())).await
}

/// Describes every route.
pub(super) fn describe() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in routes::all() {
        let operations = paths.entry(route.path).or_insert_with(|| json!({}));
        operations[route.method.as_str().to_lowercase()] = operation(&route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "dagd control API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "HTTP/1.1 on the daemon's Unix socket: curl --unix-socket $XDG_RUNTIME_DIR/dagd/dagd.sock http://d/v1/status",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "components": { "schemas": schemas() },
    })
}

fn schemas() -> Value {
    // Part of the binary, and read by a test.
    serde_json::from_str(SCHEMAS).unwrap_or_default()
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "summary": route.summary,
        "operationId": operation_id(route),
        "responses": responses(route),
    });
    let parameters = parameters(route);
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    if route.body == Some(routes::BYTES) {
        let bytes = json!({ "type": "string", "format": "binary" });
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/octet-stream": { "schema": bytes } } });
    } else if let Some(schema) = route.body {
        operation["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": reference(schema) } },
        });
    }
    operation
}

/// A name such as `get_runs_id_events`.
fn operation_id(route: &Route) -> String {
    let words = route.path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty() && *word != "v1");
    let words: Vec<&str> = words.collect();
    format!("{}_{}", route.method.as_str().to_lowercase(), words.join("_"))
}

fn parameters(route: &Route) -> Vec<Value> {
    let mut parameters = Vec::new();
    if route.path.contains("{id}") {
        let schema = json!({ "type": "string" });
        parameters.push(
            json!({ "name": "id", "in": "path", "required": true, "description": "The run's id.", "schema": schema }),
        );
    }
    if route.path.contains("{name}") {
        let schema = json!({ "type": "string" });
        parameters.push(
            json!({ "name": "name", "in": "path", "required": true, "description": "The output's name.", "schema": schema }),
        );
    }
    for (name, meaning, kind) in route.query {
        let schema = match kind {
            Query::Number => json!({ "type": "integer", "minimum": 0 }),
            Query::Text => json!({ "type": "string" }),
            Query::Boolean => json!({ "type": "boolean" }),
            Query::State => reference("RunState"),
        };
        parameters.push(json!({ "name": name, "in": "query", "description": meaning, "schema": schema }));
    }
    parameters
}

fn responses(route: &Route) -> Value {
    let (status, answer) = route.success;
    let content = match answer {
        Answer::Schema(schema) => json!({ "application/json": { "schema": reference(schema) } }),
        Answer::Events(schema) => json!({
            "text/event-stream": { "schema": { "type": "string", "description": format!("each data line is a {schema}") } },
            "application/json": { "schema": reference(schema) },
        }),
        Answer::Bytes => json!({ "*/*": { "schema": { "type": "string", "format": "binary" } } }),
        Answer::Description => json!({ "application/json": { "schema": { "type": "object" } } }),
    };
    let mut responses = Map::new();
    responses.insert(status.as_str().to_owned(), json!({ "description": "Success.", "content": content }));
    let failure = |meaning: &str| json!({ "description": meaning, "content": { "application/json": { "schema": reference("ErrorBody") } } });
    for (status, meaning) in route.errors {
        responses.insert(status.as_str().to_owned(), failure(meaning));
    }
    responses.insert("403".to_owned(), failure("the daemon does not serve this user"));
    responses.insert("500".to_owned(), failure("a mistake inside the daemon"));
    Value::Object(responses)
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}
