//! `/v1/runs/{id}/outputs`: what a run has made, listed, and given byte by byte.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::answer::ApiError;
use super::runs::{RunId, id_of};
use super::{Api, Backend};
use crate::server::outputs::{FetchError, Fetched};

/// So much is read at a time.
const PIECE_BYTES: usize = 256 * 1024;
/// The header that carries what a block says of itself: JSON, such as the shape of an array.
const METADATA_HEADER: &str = "x-dagd-metadata";
/// Longer metadata stay behind: clients bound the size of headers.
const METADATA_BYTES_MAX: usize = 4096;

/// In which format.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wish {
    #[serde(rename = "as")]
    file_name: Option<String>,
}

pub(super) async fn list(State(api): State<Api>, id: RunId) -> Response {
    let id = match id_of(id) {
        Ok(id) => id,
        Err(error) => return error.into_response(),
    };
    api.answer(StatusCode::OK, move |daemon| Ok(daemon.outputs(&id)?)).await
}

pub(super) async fn get(
    State(api): State<Api>,
    path: Result<Path<(String, String)>, PathRejection>,
    wish: Result<Query<Wish>, QueryRejection>,
) -> Response {
    let (id, name) = match path {
        Ok(Path(names)) => names,
        Err(error) => return ApiError::bad_request("bad-path", error.body_text()).into_response(),
    };
    let file_name = match wish {
        Ok(Query(wish)) => wish.file_name,
        Err(error) => {
            return ApiError::bad_request("bad-query", error.body_text())
                .hint("?as=csv, or a file name with such an ending")
                .into_response();
        }
    };
    // A worker may have to be started for it; the semaphore is never closed.
    let _turn = Arc::clone(&api.heavy).acquire_owned().await.ok();
    let backend = Arc::clone(&api.backend);
    let (run, output) = (id.clone(), name.clone());
    let fetched = tokio::task::spawn_blocking(move || backend.output(&run, &output, file_name.as_deref())).await;
    match fetched {
        Ok(Ok(fetched)) => answer(api.backend, id, name, fetched),
        Ok(Err(error)) => ApiError::from(error).into_response(),
        Err(error) => ApiError::internal(&error).into_response(),
    }
}

fn answer(backend: Arc<dyn Backend>, run: String, name: String, fetched: Fetched) -> Response {
    let text = |text: &str| HeaderValue::from_str(text).ok();
    let headers = [
        (header::CONTENT_TYPE, text(&fetched.content_type)),
        (header::CONTENT_LENGTH, text(&fetched.bytes.to_string())),
        (
            header::HeaderName::from_static(METADATA_HEADER),
            text(&fetched.metadata).filter(|value| !value.is_empty() && value.len() <= METADATA_BYTES_MAX),
        ),
    ];
    let sending = Sending { backend, run, name, fetched: Arc::new(fetched), offset: 0 };
    let mut response = Response::new(Body::from_stream(stream::unfold(Some(sending), piece)));
    for (name, value) in headers {
        if let Some(value) = value {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// An output on its way.
struct Sending {
    backend: Arc<dyn Backend>,
    run: String,
    name: String,
    fetched: Arc<Fetched>,
    offset: u64,
}

/// The next piece. None ends it, and only then it was fetched.
async fn piece(sending: Option<Sending>) -> Option<(std::io::Result<Bytes>, Option<Sending>)> {
    let mut sending = sending?;
    let (fetched, offset) = (Arc::clone(&sending.fetched), sending.offset);
    let read = tokio::task::spawn_blocking(move || fetched.read_at(offset, PIECE_BYTES)).await;
    let bytes = match read.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
        Ok(bytes) => bytes,
        Err(error) => return Some((Err(error), None)),
    };
    sending.offset += bytes.len() as u64;
    if sending.offset >= sending.fetched.bytes {
        sending.backend.output_fetched(&sending.run, &sending.name);
        return (!bytes.is_empty()).then(|| (Ok(Bytes::from(bytes)), None));
    }
    Some((Ok(Bytes::from(bytes)), Some(sending)))
}

impl From<FetchError> for ApiError {
    fn from(error: FetchError) -> ApiError {
        let message = error.to_string();
        let of = |status, code| ApiError::new(status, code, message.clone());
        match error {
            FetchError::NoRun { run, is_known: false } => ApiError::no_such_run(&run),
            FetchError::NoRun { is_known: true, .. } => of(StatusCode::NOT_FOUND, "outputs-expired")
                .hint("outputs are kept for [runs] keep_outputs_seconds and not across a restart; what was saved is at its path: `ctl show RUN`"),
            FetchError::NoOutput { name, known, .. } => {
                let error = of(StatusCode::NOT_FOUND, "no-such-output");
                match engine::problem::nearest(&name, known.iter().map(String::as_str)) {
                    Some(near) => error.hint(format!("did you mean {near:?}?")),
                    None => error.hint(format!("its outputs are: {}", known.join(", "))),
                }
            }
            FetchError::Pending(_) => of(StatusCode::CONFLICT, "not-made-yet").hint("`ctl show RUN` tells how far it is"),
            FetchError::Gone { .. } => of(StatusCode::GONE, "output-gone")
                .hint("`--output NAME` when the run is submitted keeps it for certain; a catalog entry saves it"),
            FetchError::Format(problem) => problem.hints.iter().fold(
                of(StatusCode::UNPROCESSABLE_ENTITY, "unknown-format"),
                |error, hint| error.hint(hint.clone()),
            ),
            FetchError::Unfit(problem) => problem.hints.iter().fold(
                of(StatusCode::UNPROCESSABLE_ENTITY, "unfit-format"),
                |error, hint| error.hint(hint.clone()),
            ),
            FetchError::Failed(failure) => {
                // Without the word for its kind, which goes before it in a report.
                let error =
                    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "output-failed", failure.message.clone());
                let error = failure.causes.iter().fold(error, |error, cause| error.cause(cause.clone()));
                failure.hints.iter().fold(error, |error, hint| error.hint(hint.clone()))
            }
            FetchError::System(_) => of(StatusCode::SERVICE_UNAVAILABLE, "system"),
        }
    }
}
