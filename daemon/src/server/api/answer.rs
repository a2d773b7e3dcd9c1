//! Answers: JSON, and errors in their one shape.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::{ErrorBody, ErrorDetail, RESTARTING};
use serde::Serialize;

use crate::server::daemon::SubmitError;

/// A JSON answer, written already.
pub(super) struct Json {
    status: StatusCode,
    text: Vec<u8>,
}

impl Json {
    pub(super) fn of(status: StatusCode, value: &impl Serialize) -> Result<Json, ApiError> {
        serde_json::to_vec(value).map(|text| Json { status, text }).map_err(|error| ApiError::internal(&error))
    }
}

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.text));
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

/// Why a request is not answered as asked.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    detail: ErrorDetail,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> ApiError {
        let detail = ErrorDetail { code: code.to_owned(), message: message.into(), ..ErrorDetail::default() };
        ApiError { status, detail }
    }

    pub(super) fn cause(mut self, cause: impl Into<String>) -> ApiError {
        self.detail.causes.push(cause.into());
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> ApiError {
        self.detail.hints.push(hint.into());
        self
    }

    pub(super) fn problems(mut self, problems: Vec<protocol::Problem>) -> ApiError {
        self.detail.problems = problems;
        self
    }

    pub(super) fn bad_request(code: &str, message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(super) fn no_such_run(id: &str) -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, "no-such-run", format!("there is no run {id:?}"))
            .hint("`ctl runs` lists the runs; old ones are forgotten as [runs] in the configuration says")
    }

    pub(super) fn internal(cause: &dyn std::error::Error) -> ApiError {
        log::error!("a request failed inside the daemon: {cause}");
        let message = "the daemon could not answer because of a mistake of its own; its log says more";
        let mut error = ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message);
        error.detail.causes.push(cause.to_string());
        error
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> ApiError {
        let message = error.to_string();
        match error {
            SubmitError::Problems(problems) => {
                let mut error = ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "problems", message);
                error.detail.problems = problems;
                error
            }
            SubmitError::IdTaken(_) => ApiError::new(StatusCode::CONFLICT, "id-taken", message)
                .hint("leave the id out to get a new one, or choose another"),
            SubmitError::BadId(_) => ApiError::bad_request("bad-id", message),
            SubmitError::Stopping { is_managed: true } => {
                ApiError::new(StatusCode::SERVICE_UNAVAILABLE, RESTARTING, message)
                    .hint("ask again: the next daemon answers at the same socket")
            }
            SubmitError::Stopping { is_managed: false } => {
                ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            }
            SubmitError::NotResumable { hint, .. } => {
                ApiError::new(StatusCode::CONFLICT, "not-resumable", message).hint(hint)
            }
            SubmitError::Unavailable(_) => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let is_brief = self.detail.code == RESTARTING;
        let body = ErrorBody { error: self.detail };
        match serde_json::to_vec(&body) {
            Ok(text) => {
                let mut response = Json { status: self.status, text }.into_response();
                if is_brief {
                    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                }
                response
            }
            // Strings and lists always become JSON; the status alone would do if they did not.
            Err(_) => self.status.into_response(),
        }
    }
}
