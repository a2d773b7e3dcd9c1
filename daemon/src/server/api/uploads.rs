//! `POST /v1/blocks`: bytes that a run is to read, streamed into memory.
//!
//! The bound is the memory budget, not that of other bodies: what arrives is never kept twice.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use protocol::UploadedBlock;
use tokio::time::timeout;

use super::answer::{ApiError, Json};
use super::{Api, body};
use crate::server::uploads::UploadError;

/// How long a client may be silent before its upload is given up.
const PIECE_PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn post(State(api): State<Api>, request: Request) -> Response {
    let announced = body::announced_length(request.headers());
    let mut body = request.into_body();
    let begun = Arc::clone(&api.backend).begin_upload(announced);
    let taken = async {
        let mut arriving = begun?;
        loop {
            match timeout(PIECE_PATIENCE, body::next(&mut body)).await {
                Ok(Ok(Some(piece))) => arriving.write(&piece)?,
                Ok(Ok(None)) => return Ok(arriving.finish()?),
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    let message = format!("nothing of the upload arrived for {} s", PIECE_PATIENCE.as_secs());
                    return Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "body-timeout", message));
                }
            }
        }
    };
    let outcome: Result<_, ApiError> = taken.await;
    match outcome {
        Ok(upload) => {
            let block = UploadedBlock { id: upload.id.clone(), bytes: upload.bytes, expires_us: upload.expires_us };
            Json::of(StatusCode::CREATED, &block).into_response()
        }
        Err(error) => error.into_response(),
    }
}

impl From<UploadError> for ApiError {
    fn from(error: UploadError) -> ApiError {
        let message = error.to_string();
        match error {
            UploadError::TooMany(_) => ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too-many-uploads", message)
                .hint("uploads that no run uses are dropped after [blocks] uploads_keep_seconds"),
            UploadError::Budget(_) => ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "upload-too-large", message)
                .hint("name a file that the daemon can read in the catalog instead, or raise the budget"),
            UploadError::System(_) => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "no-memory", message),
        }
    }
}
