//! `/v1/runs`: list, submit, show, cancel.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::{ResumeRequest, RunFilter, RunState, RunSummary};

use super::answer::{ApiError, Json};
use super::pipelines::submission;
use super::{Api, Backend, body};
use crate::server::daemon::{AwaitedReport, CancelOutcome};

/// A report of so many nodes and datasets is written as JSON at once, by the thread that serves all.
const SHORT_REPORT_MAX: usize = 32;

/// A run's id out of the path, or why there is none.
pub(super) type RunId = Result<Path<String>, PathRejection>;

pub(super) fn id_of(id: RunId) -> Result<String, ApiError> {
    id.map(|Path(id)| id).map_err(|error| ApiError::bad_request("bad-path", error.body_text()))
}

pub(super) async fn list(State(api): State<Api>, filter: Result<Query<RunFilter>, QueryRejection>) -> Response {
    let filter = match filter {
        Ok(Query(filter)) => filter,
        Err(error) => {
            let states: Vec<&str> = RunState::ALL.into_iter().map(RunState::as_str).collect();
            return ApiError::bad_request("bad-query", error.body_text())
                .hint(format!("state is one of {}; limit is a number", states.join(", ")))
                .into_response();
        }
    };
    api.answer(StatusCode::OK, move |daemon| {
        daemon.runs(&filter).map_err(|message| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "store", message))
    })
    .await
}

/// How a submission is answered.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Answering {
    /// Not before the run is over.
    wait: bool,
}

pub(super) async fn submit(
    State(api): State<Api>,
    answering: Result<Query<Answering>, QueryRejection>,
    request: Request,
) -> Response {
    let wait = match answering {
        Ok(Query(answering)) => answering.wait,
        Err(error) => {
            return ApiError::bad_request("bad-query", error.body_text())
                .hint("?wait=true answers when the run is over")
                .into_response();
        }
    };
    let body = match body::read(request).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    match wait {
        false => created(&api, move |daemon| Ok(daemon.submit(submission(&body)?)?)).await,
        true => reported(&api, body).await,
    }
}

pub(super) async fn resume(State(api): State<Api>, id: RunId, request: Request) -> Response {
    let id = match id_of(id) {
        Ok(id) => id,
        Err(error) => return error.into_response(),
    };
    let body = match body::read(request).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    created(&api, move |daemon| {
        let request = resume_request(&body)?;
        daemon.resume(&id, request.credentials)?.ok_or_else(|| ApiError::no_such_run(&id))
    })
    .await
}

/// What is given once more with a resumption; nothing need be.
fn resume_request(body: &[u8]) -> Result<ResumeRequest, ApiError> {
    if body.is_empty() {
        return Ok(ResumeRequest::default());
    }
    // The error tells a place and names of fields, never what a secret says.
    serde_json::from_slice(body).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        ApiError::bad_request("bad-body", format!("the body is no resumption: it cannot be read at {place}"))
            .hint("see ResumeRequest in /openapi.json; `{}` gives nothing")
    })
}

/// Answers with a new run, and says where it is.
async fn created(
    api: &Api,
    create: impl FnOnce(&dyn Backend) -> Result<RunSummary, ApiError> + Send + 'static,
) -> Response {
    let created = api.work_heavy(move |daemon| {
        let summary = create(daemon)?;
        Ok((Json::of(StatusCode::CREATED, &summary)?, summary.id))
    });
    match created.await {
        Ok((json, id)) => at(&id, json.into_response()),
        Err(error) => error.into_response(),
    }
}

/// Begins a run, and answers with its report when it is over. Who stops waiting stops nothing else.
async fn reported(api: &Api, body: Vec<u8>) -> Response {
    let begun = api.work_heavy(move |daemon| Ok(daemon.submit_for_report(submission(&body)?)?)).await;
    let AwaitedReport { id, report } = match begun {
        Ok(awaited) => awaited,
        Err(error) => return error.into_response(),
    };
    let response = match report.await {
        Ok(report) if report.nodes.len() + report.datasets.len() <= SHORT_REPORT_MAX => {
            Json::of(StatusCode::CREATED, &*report).into_response()
        }
        Ok(report) => api.work(move |_| Json::of(StatusCode::CREATED, &*report)).await.into_response(),
        Err(_) => {
            let id = id.clone();
            api.answer(StatusCode::CREATED, move |daemon| daemon.run(&id).ok_or_else(|| ApiError::no_such_run(&id)))
                .await
        }
    };
    at(&id, response)
}

/// Says where a run is.
fn at(id: &str, mut response: Response) -> Response {
    if let Ok(location) = HeaderValue::from_str(&protocol::path::run(id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

pub(super) async fn show(State(api): State<Api>, id: RunId) -> Response {
    let id = match id_of(id) {
        Ok(id) => id,
        Err(error) => return error.into_response(),
    };
    api.answer(StatusCode::OK, move |daemon| daemon.run(&id).ok_or_else(|| ApiError::no_such_run(&id))).await
}

pub(super) async fn cancel(State(api): State<Api>, id: RunId) -> Response {
    let id = match id_of(id) {
        Ok(id) => id,
        Err(error) => return error.into_response(),
    };
    api.answer(StatusCode::OK, move |daemon| match daemon.cancel(&id, "cancelled on request") {
        CancelOutcome::Cancelling(summary) | CancelOutcome::AlreadyOver(summary) => Ok(summary),
        CancelOutcome::Unknown => Err(ApiError::no_such_run(&id)),
    })
    .await
}
