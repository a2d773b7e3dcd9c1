//! `POST /v1/validate` and `/v1/graph`: a pipeline, checked or drawn without running it.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use protocol::Submission;

use super::answer::ApiError;
use super::{Api, body};

pub(super) async fn validate(State(api): State<Api>, request: Request) -> Response {
    let body = match body::read(request).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    api.answer_heavy(StatusCode::OK, move |daemon| Ok(daemon.validate(&submission(&body)?)?)).await
}

pub(super) async fn graph(State(api): State<Api>, request: Request) -> Response {
    let body = match body::read(request).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    api.answer_heavy(StatusCode::OK, move |daemon| Ok(daemon.graph(&submission(&body)?)?)).await
}

/// Reads a submission.
pub(super) fn submission(body: &[u8]) -> Result<Submission, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        ApiError::bad_request("bad-submission", format!("the request's body is no submission: {error}"))
            .hint("/openapi.json describes the fields of Submission")
    })
}

pub(super) async fn list(State(api): State<Api>) -> Response {
    api.answer(StatusCode::OK, |daemon| {
        daemon.pipelines().map_err(|message| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "store", message))
    })
    .await
}
