//! `POST /v1/reload`: loads the plugins anew.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use protocol::ReloadOptions;

use super::answer::ApiError;
use super::{Api, body};
use crate::server::generations::ReloadError;

pub(super) async fn post(State(api): State<Api>, request: Request) -> Response {
    let options = match body::read(request).await.and_then(|body| options(&body)) {
        Ok(options) => options,
        Err(error) => return error.into_response(),
    };
    // One reloads and others wait to share what comes of it; more than these would only keep threads from others.
    let _turn = api.reloads.clone().acquire_owned().await.ok();
    api.answer(StatusCode::OK, move |daemon| Ok(daemon.reload(options)?)).await
}

/// Reads what is asked for; nothing means nothing special.
fn options(body: &[u8]) -> Result<ReloadOptions, ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(ReloadOptions::default());
    }
    serde_json::from_slice(body).map_err(|error| {
        ApiError::bad_request("bad-options", format!("the request's body is no options of a reload: {error}"))
            .hint("/openapi.json describes the fields of ReloadOptions; no body at all means none of them")
    })
}

impl From<ReloadError> for ApiError {
    fn from(error: ReloadError) -> ApiError {
        let message = error.to_string();
        match error {
            ReloadError::Refused { problems, .. } => {
                ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "reload-refused", message).problems(problems)
            }
            ReloadError::NothingBefore => ApiError::new(StatusCode::CONFLICT, "nothing-to-roll-back", message)
                .hint("`ctl reload` loads what lies in the plugin directories"),
            ReloadError::Unavailable(_) => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message),
        }
    }
}
