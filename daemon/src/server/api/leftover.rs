//! What a handler leaves of a request's body.
//!
//! A client that is still writing when the answer is there, and the connection closed because nobody wants the rest, sees a broken
//! pipe instead of the answer. So the rest is read and thrown away first, within bounds, whoever answered: a handler that takes
//! no body, one that refuses it at its first byte, or none at all because the path is wrong.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::header;
use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::timeout;

/// How long, and how much, is thrown away.
const PATIENCE: Duration = Duration::from_secs(10);
const BYTES_MAX: usize = 4 << 30;

/// A body that a handler may read; the rest goes back when it is dropped.
pub(super) struct Lent {
    body: Option<Incoming>,
    rest: Arc<Mutex<Option<Incoming>>>,
}

/// Where the rest comes back.
pub(super) struct Leftover {
    rest: Arc<Mutex<Option<Incoming>>>,
    /// A client that asks first has not begun to send.
    waits: bool,
}

/// Lends a request's body.
pub(super) fn lend(request: Request<Incoming>) -> (Request<Lent>, Leftover) {
    let rest = Arc::new(Mutex::new(None));
    let waits = request.headers().contains_key(header::EXPECT);
    let leftover = Leftover { rest: Arc::clone(&rest), waits };
    (request.map(|body| Lent { body: Some(body), rest }), leftover)
}

impl Leftover {
    /// Reads what is left and throws it away. Whoever is slower, or sends more, sees the connection close.
    pub(super) async fn discard(self) {
        let rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut rest) = rest.filter(|rest| !self.waits && !rest.is_end_stream()) else { return };
        let discard = async {
            let mut discarded = 0;
            while let Some(Ok(frame)) = rest.frame().await {
                discarded += frame.data_ref().map_or(0, Bytes::len);
                if discarded > BYTES_MAX {
                    break;
                }
            }
        };
        let _ = timeout(PATIENCE, discard).await;
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = self.body.take();
    }
}

impl Body for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.body.as_mut().map_or(Poll::Ready(None), |body| Pin::new(body).poll_frame(context))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}
