//! `GET /v1/plugins`, `/v1/nodes`, `/v1/hooks`: what the plugins offer.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::Api;

pub(super) async fn plugins(State(api): State<Api>) -> Response {
    api.answer(StatusCode::OK, |daemon| Ok(daemon.plugins())).await
}

pub(super) async fn nodes(State(api): State<Api>) -> Response {
    api.answer(StatusCode::OK, |daemon| Ok(daemon.nodes())).await
}

pub(super) async fn hooks(State(api): State<Api>) -> Response {
    api.answer(StatusCode::OK, |daemon| Ok(daemon.hooks())).await
}
