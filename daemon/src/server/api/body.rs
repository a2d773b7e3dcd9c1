//! Reading a request's body: bounded in size and in time.
//!
//! A body that is too large is refused without being kept; `leftover` sees to it that its client gets to read the reason.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use protocol::BODY_BYTES_MAX;
use tokio::time::timeout;

use super::answer::ApiError;

/// How long a client may take to send a body.
const BODY_PATIENCE: Duration = Duration::from_secs(60);

/// Reads the whole body.
pub(super) async fn read(request: Request) -> Result<Vec<u8>, ApiError> {
    let announced = announced_length(request.headers());
    if announced.is_some_and(|length| length > BODY_BYTES_MAX as u64) {
        return Err(too_large(announced));
    }
    match timeout(BODY_PATIENCE, collect(request.into_body(), announced)).await {
        Ok(result) => result,
        Err(_) => Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "body-timeout",
            format!("the request's body did not arrive within {} s", BODY_PATIENCE.as_secs()),
        )),
    }
}

async fn collect(mut body: Body, announced: Option<u64>) -> Result<Vec<u8>, ApiError> {
    // What is reserved and never sent costs no memory: the kernel gives pages when they are written.
    let reserved = announced.and_then(|length| usize::try_from(length).ok()).unwrap_or(0).min(BODY_BYTES_MAX);
    let mut bytes = Vec::with_capacity(reserved);
    while let Some(data) = next(&mut body).await? {
        if bytes.len() + data.len() > BODY_BYTES_MAX {
            return Err(too_large(None));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// The next piece of the body; none at its end.
pub(super) async fn next(body: &mut Body) -> Result<Option<Bytes>, ApiError> {
    while let Some(frame) = body.frame().await {
        let broken = |error| ApiError::bad_request("broken-body", format!("the request's body broke off: {error}"));
        // Trailers are of no interest.
        if let Ok(data) = frame.map_err(broken)?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

pub(super) fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(announced: Option<u64>) -> ApiError {
    let size = announced.map(|length| format!(" of {length} bytes")).unwrap_or_default();
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body-too-large",
        format!("a request body{size} is too large; the daemon takes {BODY_BYTES_MAX} bytes (64 MiB)"),
    )
    .hint("data goes to POST /v1/blocks (`--input NAME=@FILE`), or stays in files that the catalog names")
}
