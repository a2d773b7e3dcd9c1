//! `POST /v1/catalog` and what is below it: which entry a name resolves to, which versions there are.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use protocol::CatalogRequest;

use super::answer::ApiError;
use super::{Api, body};

pub(super) async fn list(State(api): State<Api>, request: Request) -> Response {
    let body = match body::read(request).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    api.answer_heavy(StatusCode::OK, move |daemon| Ok(daemon.catalog(&parse(&body)?)?)).await
}

pub(super) async fn versions(State(api): State<Api>, request: Request) -> Response {
    let body = match body::read(request).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    api.answer_heavy(StatusCode::OK, move |daemon| Ok(daemon.catalog_versions(&parse(&body)?)?)).await
}

pub(super) async fn exists(State(api): State<Api>, request: Request) -> Response {
    let body = match body::read(request).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    api.answer_heavy(StatusCode::OK, move |daemon| Ok(daemon.catalog_exists(&parse(&body)?)?)).await
}

fn parse(body: &[u8]) -> Result<CatalogRequest, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        ApiError::bad_request("bad-request", format!("the request's body is no question about a catalog: {error}"))
            .hint("/openapi.json describes the fields of CatalogRequest")
    })
}
