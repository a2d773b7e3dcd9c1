//! The control API: HTTP/1.1 and JSON on a Unix socket.
//!
//! [`control`] is the thread it lives on, [`connection`] the life of one connection; [`routes`] lists every request, and each
//! resource has a file of its own. One thread serves all connections and never blocks: what reads the disk, plans a pipeline or
//! writes a long answer happens on a few threads beside it ([`Api::answer`]), so that control answers whatever the
//! workers are doing.
#![forbid(unsafe_code)]

mod answer;
mod backend;
mod body;
mod catalog;
mod connection;
mod control;
mod datasets;
mod events;
mod leftover;
mod logs;
mod openapi;
mod outputs;
mod pipelines;
mod plugins;
mod reload;
mod routes;
mod runs;
mod status;
#[cfg(test)]
mod tests;
mod uploads;

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::Semaphore;

use answer::{ApiError, Json};
pub use backend::Backend;
pub use control::{Control, Limits};

/// How many requests that may take long (planning, large bodies) are worked on at once; the others wait, and short
/// requests pass them by.
const HEAVY_MAX: usize = 4;
/// How many reloads are under way or wait beside it for what comes of the next.
const RELOADS_MAX: usize = 3;

/// What every handler gets.
#[derive(Clone)]
struct Api {
    backend: Arc<dyn Backend>,
    heavy: Arc<Semaphore>,
    reloads: Arc<Semaphore>,
}

impl Api {
    fn new(backend: Arc<dyn Backend>) -> Api {
        let semaphore = |places| Arc::new(Semaphore::new(places));
        Api { backend, heavy: semaphore(HEAVY_MAX), reloads: semaphore(RELOADS_MAX) }
    }

    /// Answers a request on a thread that may block; writing the JSON happens there too.
    async fn answer<T: Serialize>(
        &self,
        status: StatusCode,
        work: impl FnOnce(&dyn Backend) -> Result<T, ApiError> + Send + 'static,
    ) -> Response {
        self.work(move |daemon| work(daemon).and_then(|value| Json::of(status, &value))).await.into_response()
    }

    /// Answers a request that may take long; few of these are worked on at once.
    async fn answer_heavy<T: Serialize>(
        &self,
        status: StatusCode,
        work: impl FnOnce(&dyn Backend) -> Result<T, ApiError> + Send + 'static,
    ) -> Response {
        self.work_heavy(move |daemon| work(daemon).and_then(|value| Json::of(status, &value))).await.into_response()
    }

    /// Does something on a thread that may block.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Backend) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let backend = Arc::clone(&self.backend);
        let done = tokio::task::spawn_blocking(move || work(&*backend)).await;
        done.unwrap_or_else(|error| Err(ApiError::internal(&error)))
    }

    /// The same of what may take long.
    async fn work_heavy<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Backend) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        // The semaphore is never closed; if it were, the request would merely not wait its turn.
        let _turn = Arc::clone(&self.heavy).acquire_owned().await.ok();
        self.work(work).await
    }
}
