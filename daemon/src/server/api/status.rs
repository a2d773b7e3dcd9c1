//! `GET /v1/status`: how the daemon is.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::Api;

pub(super) async fn get(State(api): State<Api>) -> Response {
    api.answer(StatusCode::OK, |daemon| Ok(daemon.status())).await
}
