//! `GET /v1/runs/{id}/events`: a run's events as they happen, as server-sent events.
//!
//! Each carries its sequence number as `id`, so a client that lost its connection asks for what follows with `Last-Event-ID`
//! (or `?from=`). The stream is pulled by the connection: a client that does not read stops the pulling, and when it
//! goes on it is told how many events it missed. The stream ends with the run.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use protocol::{EventKind, RunEvent};
use tokio::time::timeout;

use super::Api;
use super::answer::ApiError;
use super::logs::{From, from_of};
use super::runs::{RunId, id_of};
use crate::server::feed::{Delivery, Subscription};

/// A comment is sent when nothing happens for this long, so that a dead connection is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How many bytes of events are put into one piece.
const PIECE_BYTES: usize = 32 * 1024;

pub(super) async fn get(
    State(api): State<Api>,
    id: RunId,
    from: Result<Query<From>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let wanted = id_of(id).and_then(|id| Ok((id, last_seen(&headers)?.unwrap_or(from_of(from)?))));
    let (id, from) = match wanted {
        Ok(wanted) => wanted,
        Err(error) => return error.into_response(),
    };
    let subscription = match api.backend.events_at_once(&id, from) {
        Some(subscription) => subscription,
        None => {
            let backend = Arc::clone(&api.backend);
            let look = move || backend.events(&id, from).ok_or_else(|| ApiError::no_such_run(&id));
            match tokio::task::spawn_blocking(look).await {
                Ok(Ok(subscription)) => subscription,
                Ok(Err(error)) => return error.into_response(),
                Err(error) => return ApiError::internal(&error).into_response(),
            }
        }
    };
    let mut response = Response::new(Body::from_stream(stream::unfold(Some(subscription), piece)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// The next piece of the stream: all events there are, up to a size. None ends it.
async fn piece(
    subscription: Option<Subscription>,
) -> Option<(Result<Bytes, std::convert::Infallible>, Option<Subscription>)> {
    let mut subscription = subscription?;
    let mut text = String::new();
    let first = match timeout(KEEP_ALIVE, subscription.next()).await {
        Ok(delivery) => Some(delivery),
        Err(_) => {
            text.push_str(": still here\n\n");
            None
        }
    };
    let mut next = first;
    while let Some(delivery) = next {
        if !write(&delivery, &mut text) {
            return if text.is_empty() { None } else { Some((Ok(Bytes::from(text)), None)) };
        }
        next = if text.len() < PIECE_BYTES { subscription.try_next() } else { None };
    }
    Some((Ok(Bytes::from(text)), Some(subscription)))
}

/// Writes one delivery; false at the end.
fn write(delivery: &Delivery, text: &mut String) -> bool {
    match delivery {
        Delivery::Event(event) => write_event(event, text),
        Delivery::Missed { count, last } => {
            let kind = EventKind::Missed { count: *count };
            write_event(&RunEvent { sequence: *last, time_us: now_us(), kind }, text);
        }
        Delivery::End => return false,
    }
    true
}

fn write_event(event: &RunEvent, text: &mut String) {
    match serde_json::to_string(event) {
        // JSON has no line breaks of its own, so one data line holds it.
        Ok(json) => {
            text.push_str(&format!("id: {}\nevent: {}\ndata: {json}\n\n", event.sequence, event.kind.name()));
        }
        Err(error) => log::error!("event {} of a run cannot be written as JSON: {error}", event.sequence),
    }
}

/// The sequence number that a client coming back has seen last.
fn last_seen(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    number.map(Some).ok_or_else(|| {
        ApiError::bad_request("bad-last-event-id", format!("Last-Event-ID is {value:?}, which is no sequence number"))
            .hint("send the id of the last event received, or leave the header out")
    })
}

fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
