//! The life of one connection: who is it, what does it ask, until it closes.
//!
//! Whatever is wrong with a connection ends that connection and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::UnixStream;
use tokio::sync::watch;

use super::answer::ApiError;
use super::control::Limits;
use super::leftover;
use crate::server::socket::peer::{Admission, Peer};

/// How long an answer that is under way may take to end when the daemon stops.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

/// How long a peer that is refused may take to ask, so that it takes nobody's place for long.
const REFUSED_PATIENCE: Duration = Duration::from_secs(1);

/// How long a peer that has not asked anything yet may still do so when the daemon stops, and how often that is looked at.
const FIRST_REQUEST_PATIENCE: Duration = Duration::from_millis(500);
const FIRST_REQUEST_PAUSE: Duration = Duration::from_millis(5);

/// The largest head of a request.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Serves a connection until it closes or `stop` turns true.
pub(super) async fn serve(
    stream: UnixStream,
    router: Router,
    admission: Arc<Admission>,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let peer = match stream.peer_cred() {
        Ok(credentials) => Peer { uid: credentials.uid(), gid: credentials.gid(), pid: credentials.pid() },
        Err(error) => {
            log::warn!("a connection was closed because the kernel does not say whose it is: {error}");
            return;
        }
    };
    let admitted = admits(&admission, peer).await;
    if !admitted {
        log::warn!("refused a connection of user {} (process {})", peer.uid, peer.pid.unwrap_or(0));
    }

    let router = TowerToHyperService::new(router);
    let asked_once = Arc::new(AtomicBool::new(false));
    let has_asked = Arc::clone(&asked_once);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        has_asked.store(true, Ordering::Relaxed);
        let router = router.clone();
        async move {
            if !admitted {
                return Ok(refused(peer));
            }
            let started = Instant::now();
            let asked = format!("{} {}", request.method(), request.uri());
            let (request, leftover) = leftover::lend(request);
            let response: Result<Response, std::convert::Infallible> = router.call(request).await;
            let status = response.as_ref().map(Response::status).unwrap_or_default();
            // Who did not send in time has had its time.
            if status != StatusCode::REQUEST_TIMEOUT {
                leftover.discard().await;
            }
            log::debug!("user {}: {asked}: {} after {} µs", peer.uid, status.as_u16(), started.elapsed().as_micros());
            response
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(if admitted { limits.head_patience } else { limits.head_patience.min(REFUSED_PATIENCE) })
        .max_buf_size(HEAD_BYTES_MAX)
        // A client that has said all it wants to say still gets its answer.
        .half_close(true)
        // Who is refused gets one answer.
        .keep_alive(admitted)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            let ending = async {
                // Who was let in and has not asked yet is about to: closing now would leave it without any answer.
                let first = async {
                    while !asked_once.load(Ordering::Relaxed) {
                        tokio::time::sleep(FIRST_REQUEST_PAUSE).await;
                    }
                };
                tokio::select! {
                    ended = connection.as_mut() => return ended,
                    _ = tokio::time::timeout(FIRST_REQUEST_PATIENCE, first) => {}
                }
                connection.as_mut().graceful_shutdown();
                connection.await
            };
            tokio::time::timeout(STOP_PATIENCE, ending).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        // The peer went away, or wrote something that is no HTTP; hyper has answered 400 where it could.
        log::debug!("the connection of user {} ended: {error}", peer.uid);
    }
}

/// Waits until the daemon stops.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that nobody is left who could say so, which is the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn admits(admission: &Arc<Admission>, peer: Peer) -> bool {
    if let Some(admitted) = admission.admits_at_once(peer) {
        return admitted;
    }
    let admission = Arc::clone(admission);
    tokio::task::spawn_blocking(move || admission.admits(peer)).await.unwrap_or(false)
}

fn refused(peer: Peer) -> Response {
    let message = format!("this daemon does not serve user {}", peer.uid);
    ApiError::new(StatusCode::FORBIDDEN, "refused", message)
        .hint("its owner can add the user to [server] allowed_uids, or to the group that [server] group names")
        .into_response()
}
