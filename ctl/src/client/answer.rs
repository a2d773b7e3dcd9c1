//! What the daemon answered, and what it means for the user.

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Response, StatusCode};
use protocol::{ErrorBody, ErrorDetail, exit};
use serde::de::DeserializeOwned;

use crate::error::Error;

/// Longest answer taken: the graph of 100,000 nodes is well below.
const ANSWER_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Reads a good answer.
pub async fn decode<T: DeserializeOwned>(path: &str, response: Response<Incoming>) -> Result<T, Error> {
    let bytes = collect(path, response).await?;
    serde_json::from_slice(&bytes).map_err(|problem| not_understood(path, &problem, &bytes))
}

/// Reads an answer that says no.
pub async fn refused(path: &str, response: Response<Incoming>) -> Error {
    let status = response.status();
    let bytes = match collect(path, response).await {
        Ok(bytes) => bytes,
        Err(problem) => return problem,
    };
    match serde_json::from_slice::<ErrorBody>(&bytes) {
        Ok(body) => Error::of_detail(exit_code(status), body.error),
        Err(_) => without_detail(path, status, &bytes),
    }
}

/// The exit code that a status stands for.
pub fn exit_code(status: StatusCode) -> u8 {
    match status {
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::PAYLOAD_TOO_LARGE => exit::PROBLEMS,
        StatusCode::BAD_REQUEST | StatusCode::CONFLICT => exit::USAGE,
        StatusCode::NOT_FOUND => exit::NOT_FOUND,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => exit::REFUSED,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => exit::UNREACHABLE,
        _ => exit::INTERNAL,
    }
}

async fn collect(path: &str, response: Response<Incoming>) -> Result<Bytes, Error> {
    match Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(problem) => {
            Err(Error::new(exit::UNREACHABLE, "connection-lost", format!("the daemon's answer to {path} was cut off"))
                .cause(super::with_sources(problem.as_ref()))
                .hint("the daemon may have ended: `ctl status` shows whether it is still there"))
        }
    }
}

fn not_understood(path: &str, problem: &serde_json::Error, bytes: &[u8]) -> Error {
    Error::new(exit::INTERNAL, "not-understood", format!("the daemon's answer to {path} is not what this ctl expects"))
        .cause(problem)
        .cause(format!("it begins with {}", beginning(bytes)))
        .hint(versions_hint())
}

/// For answers that did not come from the daemon's own code, such as a path it does not have.
fn without_detail(path: &str, status: StatusCode, bytes: &[u8]) -> Error {
    let message = match status {
        StatusCode::NOT_FOUND => format!("what answers knows no {path}"),
        _ => format!("what answers says {status} to {path}, without a reason"),
    };
    let mut error = Error::of_detail(
        if status == StatusCode::NOT_FOUND { exit::INTERNAL } else { exit_code(status) },
        ErrorDetail { code: format!("http-{}", status.as_u16()), message, ..ErrorDetail::default() },
    );
    if !bytes.is_empty() {
        error = error.cause(format!("it answers {}", beginning(bytes)));
    }
    error.hint(versions_hint())
}

fn versions_hint() -> String {
    format!(
        "it may be a daemon of another version, or no dagd at all: this ctl is {}; compare with `dagd --version`",
        env!("CARGO_PKG_VERSION")
    )
}

fn beginning(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]);
    let short: String = text.chars().take(80).collect();
    format!("{short:?}{}", if bytes.len() > short.len() { "…" } else { "" })
}
