//! `/v1/datasets`: the blocks in memory, and the eviction of resident ones.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use protocol::EvictRequest;

use super::answer::ApiError;
use super::{Api, body};
use crate::server::blocks::EvictError;

pub(super) async fn list(State(api): State<Api>) -> Response {
    api.answer(StatusCode::OK, |daemon| Ok(daemon.blocks())).await
}

pub(super) async fn evict(State(api): State<Api>, request: Request) -> Response {
    let body = match body::read(request).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    api.answer(StatusCode::OK, move |daemon| {
        let request: EvictRequest = serde_json::from_slice(&body).map_err(|error| {
            ApiError::bad_request(
                "bad-request",
                format!("the request's body says nothing that could be evicted: {error}"),
            )
            .hint("/openapi.json describes the fields of EvictRequest")
        })?;
        Ok(daemon.evict(&request)?)
    })
    .await
}

impl From<EvictError> for ApiError {
    fn from(error: EvictError) -> ApiError {
        let message = error.to_string();
        match error {
            EvictError::Nothing => ApiError::bad_request("nothing-named", message)
                .hint("`ctl datasets evict NAME`, or `ctl datasets evict --all`"),
            EvictError::Unknown { names, known } => {
                let nearest = names.iter().find_map(|name| {
                    engine::problem::nearest(name, known.iter().map(String::as_str)).map(str::to_owned)
                });
                let error = ApiError::new(StatusCode::NOT_FOUND, "no-such-dataset", message);
                match nearest {
                    Some(near) => error.hint(format!("did you mean {near:?}?")),
                    None => error.hint("`ctl datasets` lists what is in memory; nothing was dropped"),
                }
            }
        }
    }
}
