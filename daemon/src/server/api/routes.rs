//! Every request the API answers, once: the router and `/openapi.json` are both made from this list.

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use protocol::path;

use super::answer::ApiError;
use super::{
    Api, catalog, datasets, events, logs, openapi, outputs, pipelines, plugins, reload, runs, status, uploads,
};

/// One request: what it is called, what it takes and gives, and who answers it.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    /// Name and meaning of each query parameter.
    pub(super) query: &'static [(&'static str, &'static str, Query)],
    /// Schema of the body, if there is one.
    pub(super) body: Option<&'static str>,
    /// Status and schema of success.
    pub(super) success: (StatusCode, Answer),
    /// The errors that may be answered beside 500.
    pub(super) errors: &'static [(StatusCode, &'static str)],
    handler: fn() -> MethodRouter<Api>,
}

/// What sort of value a query parameter is.
#[derive(Clone, Copy)]
pub(super) enum Query {
    Number,
    State,
    Text,
    Boolean,
}

/// What a success carries.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    /// JSON of this schema.
    Schema(&'static str),
    /// A stream of server-sent events, each `data` of this schema.
    Events(&'static str),
    /// Bytes; the type is told with them.
    Bytes,
    /// The description of the API itself.
    Description,
}

/// In place of a schema: the body is bytes.
pub(super) const BYTES: &str = "(bytes)";

const BAD_QUERY: (StatusCode, &str) = (StatusCode::BAD_REQUEST, "the query cannot be understood");
const BAD_BODY: (StatusCode, &str) =
    (StatusCode::BAD_REQUEST, "the body is no submission, or its run_id cannot be one");
const BAD_OPTIONS: (StatusCode, &str) = (StatusCode::BAD_REQUEST, "the body is no ReloadOptions");
const NOTHING_BEFORE: (StatusCode, &str) = (StatusCode::CONFLICT, "there is no generation to roll back to");
const REFUSED: (StatusCode, &str) =
    (StatusCode::UNPROCESSABLE_ENTITY, "the new generation or the configuration is refused; every reason is listed");
const BAD_QUESTION: (StatusCode, &str) = (StatusCode::BAD_REQUEST, "the body is no question about a catalog");
const NO_RUN: (StatusCode, &str) = (StatusCode::NOT_FOUND, "there is no such run");
const NO_OUTPUT: (StatusCode, &str) = (StatusCode::NOT_FOUND, "there is no such run or output, or it has expired");
const TOO_LARGE: (StatusCode, &str) = (StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 64 MiB");
const TOO_SLOW: (StatusCode, &str) = (StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time");
const PROBLEMS: (StatusCode, &str) = (StatusCode::UNPROCESSABLE_ENTITY, "the pipeline has problems; all are listed");
const TAKEN: (StatusCode, &str) = (StatusCode::CONFLICT, "a run of this run_id exists");
const NOT_RESUMABLE: (StatusCode, &str) =
    (StatusCode::CONFLICT, "the run is under way, or nothing of it is left to do");
const UNAVAILABLE: (StatusCode, &str) = (StatusCode::SERVICE_UNAVAILABLE, "the daemon takes no runs now; it says why");

const UNWELL: (StatusCode, &str) = (StatusCode::SERVICE_UNAVAILABLE, "the scheduler does not answer");

/// The list.
pub(super) fn all() -> Vec<Route> {
    vec![
        Route {
            method: Method::GET,
            path: path::STATUS,
            summary: "Tells how the daemon is: plugins, workers, runs, memory.",
            query: &[],
            body: None,
            success: (StatusCode::OK, Answer::Schema("Status")),
            errors: &[],
            handler: || get(status::get),
        },
        Route {
            method: Method::GET,
            path: path::HEALTH,
            summary: "Proves that control and scheduler answer, by going through both.",
            query: &[],
            body: None,
            success: (StatusCode::OK, Answer::Schema("Health")),
            errors: &[UNWELL],
            handler: || get(status::health),
        },
        Route {
            method: Method::GET,
            path: path::RUNS,
            summary: "Lists runs, newest first.",
            query: &[
                ("state", "Only runs in this state.", Query::State),
                ("limit", "At most so many; 100 when not given.", Query::Number),
            ],
            body: None,
            success: (StatusCode::OK, Answer::Schema("RunList")),
            errors: &[BAD_QUERY],
            handler: || get(runs::list),
        },
        Route {
            method: Method::POST,
            path: path::RUNS,
            summary: "Submits a pipeline. When this answers, the run is on disk; `Location` names it.",
            query: &[(
                "wait",
                "Answer when the run is over and its report (`RunDetail`) is on disk, and not before: the fastest way to a result. The run \
                 goes on if the client does not wait.",
                Query::Boolean,
            )],
            body: Some("Submission"),
            success: (StatusCode::CREATED, Answer::Schema("RunSummary")),
            errors: &[BAD_BODY, TOO_SLOW, TAKEN, TOO_LARGE, PROBLEMS, UNAVAILABLE],
            handler: || post(runs::submit),
        },
        Route {
            method: Method::GET,
            path: path::RUN,
            summary: "Tells everything about a run.",
            query: &[],
            body: None,
            success: (StatusCode::OK, Answer::Schema("RunDetail")),
            errors: &[NO_RUN],
            handler: || get(runs::show),
        },
        Route {
            method: Method::GET,
            path: path::RUN_EVENTS,
            summary: "Streams a run's events; ends with the run. `Last-Event-ID` works as `from` does.",
            query: &[("from", "Only events after the one of this sequence number.", Query::Number)],
            body: None,
            success: (StatusCode::OK, Answer::Events("RunEvent")),
            errors: &[BAD_QUERY, NO_RUN],
            handler: || get(events::get),
        },
        Route {
            method: Method::GET,
            path: path::RUN_LOGS,
            summary: "Gives what a run's nodes, datasets and hooks have logged.",
            query: &[("from", "Only lines from this number on.", Query::Number)],
            body: None,
            success: (StatusCode::OK, Answer::Schema("LogList")),
            errors: &[BAD_QUERY, NO_RUN],
            handler: || get(logs::get),
        },
        Route {
            method: Method::GET,
            path: path::RUN_OUTPUTS,
            summary: "Lists what a run has made and no node of it reads, and where it is.",
            query: &[],
            body: None,
            success: (StatusCode::OK, Answer::Schema("OutputList")),
            errors: &[NO_OUTPUT],
            handler: || get(outputs::list),
        },
        Route {
            method: Method::GET,
            path: path::RUN_OUTPUT,
            summary: "Gives an output: a table as an Arrow IPC stream, or in the format that `as` asks for; anything else as it is.",
            query: &[(
                "as",
                "A file name or an ending, as `csv`: the dataset type of that name writes it.",
                Query::Text,
            )],
            body: None,
            success: (StatusCode::OK, Answer::Bytes),
            errors: &[
                BAD_QUERY,
                NO_OUTPUT,
                (StatusCode::CONFLICT, "it is not made yet"),
                (StatusCode::GONE, "it was there, and is not any more; it says why"),
                (StatusCode::UNPROCESSABLE_ENTITY, "it cannot be had in that format"),
                (StatusCode::SERVICE_UNAVAILABLE, "the system refused"),
            ],
            handler: || get(outputs::get),
        },
        Route {
            method: Method::GET,
            path: path::PIPELINES,
            summary: "Lists the pipelines that have run, with the last run of each. `POST /v1/graph` tells what is in one.",
            query: &[],
            body: None,
            success: (StatusCode::OK, Answer::Schema("PipelineList")),
            errors: &[],
            handler: || get(pipelines::list),
        },
        Route {
            method: Method::POST,
            path: path::RUN_CANCEL,
            summary: "Asks a run to stop; a run that is over stays as it is.",
            query: &[],
            body: None,
            success: (StatusCode::OK, Answer::Schema("RunSummary")),
            errors: &[NO_RUN],
            handler: || post(runs::cancel),
        },
        Route {
            method: Method::POST,
            path: path::RUN_RESUME,
            summary: "Runs what of a run did not finish, as a new run; `Location` names it.",
            query: &[],
            body: Some("ResumeRequest"),
            success: (StatusCode::CREATED, Answer::Schema("RunSummary")),
            errors: &[BAD_BODY, TOO_SLOW, TOO_LARGE, NO_RUN, NOT_RESUMABLE, PROBLEMS, UNAVAILABLE],
            handler: || post(runs::resume),
        },
        Route {
            method: Method::POST,
            path: path::VALIDATE,
            summary: "Checks a pipeline without running it.",
            query: &[],
            body: Some("Submission"),
            success: (StatusCode::OK, Answer::Schema("Validation")),
            errors: &[BAD_BODY, TOO_SLOW, TOO_LARGE, PROBLEMS, UNAVAILABLE],
            handler: || post(pipelines::validate),
        },
        Route {
            method: Method::POST,
            path: path::GRAPH,
            summary: "Gives a pipeline as a graph of nodes and datasets.",
            query: &[],
            body: Some("Submission"),
            success: (StatusCode::OK, Answer::Schema("Graph")),
            errors: &[BAD_BODY, TOO_SLOW, TOO_LARGE, PROBLEMS, UNAVAILABLE],
            handler: || post(pipelines::graph),
        },
        Route {
            method: Method::POST,
            path: path::SNAPSHOT,
            summary: "Tells what is in a pipeline without running it: nodes with their ports, datasets with their types, parameters.",
            query: &[],
            body: Some("Submission"),
            success: (StatusCode::OK, Answer::Schema("Graph")),
            errors: &[BAD_BODY, TOO_SLOW, TOO_LARGE, PROBLEMS, UNAVAILABLE],
            handler: || post(pipelines::graph),
        },
        Route {
            method: Method::GET,
            path: path::PLUGINS,
            summary: "Lists the plugins, and the libraries that were refused.",
            query: &[],
            body: None,
            success: (StatusCode::OK, Answer::Schema("PluginList")),
            errors: &[],
            handler: || get(plugins::plugins),
        },
        Route {
            method: Method::POST,
            path: path::RELOAD,
            summary: "Loads the plugins and the configuration anew: all of it, or nothing changes.",
            query: &[],
            body: Some("ReloadOptions"),
            success: (StatusCode::OK, Answer::Schema("ReloadReport")),
            errors: &[BAD_OPTIONS, TOO_SLOW, NOTHING_BEFORE, TOO_LARGE, REFUSED, UNAVAILABLE],
            handler: || post(reload::post),
        },
        Route {
            method: Method::POST,
            path: path::CATALOG,
            summary: "Tells which catalog entry each dataset of a pipeline resolves to, and why.",
            query: &[],
            body: Some("CatalogRequest"),
            success: (StatusCode::OK, Answer::Schema("CatalogList")),
            errors: &[BAD_QUESTION, TOO_SLOW, TOO_LARGE, PROBLEMS],
            handler: || post(catalog::list),
        },
        Route {
            method: Method::POST,
            path: path::CATALOG_EXISTS,
            summary: "Asks the types of a pipeline's datasets whether the data is there.",
            query: &[],
            body: Some("CatalogRequest"),
            success: (StatusCode::OK, Answer::Schema("ExistsList")),
            errors: &[BAD_QUESTION, TOO_SLOW, TOO_LARGE, PROBLEMS],
            handler: || post(catalog::exists),
        },
        Route {
            method: Method::POST,
            path: path::CATALOG_VERSIONS,
            summary: "Lists the versions of a pipeline's versioned datasets, latest first.",
            query: &[],
            body: Some("CatalogRequest"),
            success: (StatusCode::OK, Answer::Schema("VersionList")),
            errors: &[BAD_QUESTION, TOO_SLOW, TOO_LARGE, PROBLEMS],
            handler: || post(catalog::versions),
        },
        Route {
            method: Method::GET,
            path: path::NODES,
            summary: "Lists the nodes that pipelines can call, with their ports.",
            query: &[],
            body: None,
            success: (StatusCode::OK, Answer::Schema("NodeList")),
            errors: &[],
            handler: || get(plugins::nodes),
        },
        Route {
            method: Method::GET,
            path: path::HOOKS,
            summary: "Lists the hooks: which are called, in which order, and why others are not.",
            query: &[],
            body: None,
            success: (StatusCode::OK, Answer::Schema("HookList")),
            errors: &[],
            handler: || get(plugins::hooks),
        },
        Route {
            method: Method::POST,
            path: path::BLOCKS,
            summary: "Takes bytes that a run is to read; `inputs` of a submission names them. Bounded by the memory budget.",
            query: &[],
            body: Some(BYTES),
            success: (StatusCode::CREATED, Answer::Schema("UploadedBlock")),
            errors: &[
                TOO_SLOW,
                (StatusCode::PAYLOAD_TOO_LARGE, "it does not fit into the memory budget"),
                (StatusCode::TOO_MANY_REQUESTS, "too many uploads wait for a run"),
                (StatusCode::SERVICE_UNAVAILABLE, "the system has no memory for it"),
            ],
            handler: || post(uploads::post),
        },
        Route {
            method: Method::GET,
            path: path::DATASETS,
            summary: "Lists the blocks in memory: of runs, resident ones, outputs that wait to be fetched.",
            query: &[],
            body: None,
            success: (StatusCode::OK, Answer::Schema("BlockList")),
            errors: &[],
            handler: || get(datasets::list),
        },
        Route {
            method: Method::POST,
            path: path::DATASETS_EVICT,
            summary: "Drops resident datasets: at once, or with their last reader.",
            query: &[],
            body: Some("EvictRequest"),
            success: (StatusCode::OK, Answer::Schema("Eviction")),
            errors: &[
                (StatusCode::BAD_REQUEST, "the body names nothing"),
                (StatusCode::NOT_FOUND, "a name is of no resident dataset; nothing was dropped"),
                TOO_SLOW,
                TOO_LARGE,
            ],
            handler: || post(datasets::evict),
        },
        Route {
            method: Method::GET,
            path: path::OPENAPI,
            summary: "Gives this description.",
            query: &[],
            body: None,
            success: (StatusCode::OK, Answer::Description),
            errors: &[],
            handler: || get(openapi::get),
        },
    ]
}

/// The router of all of them; anything else is answered in the same shape of errors.
pub(super) fn router(api: Api) -> Router {
    let mut router = Router::new();
    for route in all() {
        router = router.route(route.path, (route.handler)());
    }
    router.fallback(no_such_path).method_not_allowed_fallback(wrong_method).with_state(api)
}

async fn no_such_path(uri: Uri) -> Response {
    ApiError::new(StatusCode::NOT_FOUND, "no-such-path", format!("there is nothing at {}", uri.path()))
        .hint(format!("{} describes every path", path::OPENAPI))
        .into_response()
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let message = format!("{} does not take {method}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "wrong-method", message)
        .hint(format!("{} describes the methods of every path", path::OPENAPI))
        .into_response()
}
