//! `GET /v1/runs/{id}/logs`: what a run's nodes, datasets and hooks have logged.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Api;
use super::answer::ApiError;
use super::runs::{RunId, id_of};

/// Where to begin reading.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    /// Number of a line, or of the last event seen.
    #[serde(default)]
    pub(super) from: u64,
}

pub(super) fn from_of(from: Result<Query<From>, QueryRejection>) -> Result<u64, ApiError> {
    from.map(|Query(From { from })| from).map_err(|error| {
        ApiError::bad_request("bad-query", error.body_text()).hint("from is a whole number, 0 or more")
    })
}

pub(super) async fn get(State(api): State<Api>, id: RunId, from: Result<Query<From>, QueryRejection>) -> Response {
    let (id, from) = match id_of(id).and_then(|id| Ok((id, from_of(from)?))) {
        Ok(wanted) => wanted,
        Err(error) => return error.into_response(),
    };
    api.answer(StatusCode::OK, move |daemon| daemon.logs(&id, from).ok_or_else(|| ApiError::no_such_run(&id))).await
}
