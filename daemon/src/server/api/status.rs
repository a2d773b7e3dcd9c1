//! `GET /v1/status`: how the daemon is. `GET /v1/health`: whether it works.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::Api;
use super::answer::ApiError;

pub(super) async fn get(State(api): State<Api>) -> Response {
    api.answer(StatusCode::OK, |daemon| Ok(daemon.status())).await
}

pub(super) async fn health(State(api): State<Api>) -> Response {
    api.answer(StatusCode::OK, |daemon| {
        daemon.health().map_err(|message| {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unwell", message)
                .hint("the daemon's log may say why; restart it if this lasts")
        })
    })
    .await
}
