//! Sends a file's bytes: streamed, so that it may be larger than memory here.

use std::fs::File;
use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use protocol::{UploadedBlock, exit, path};

use super::{Client, answer, with_sources};
use crate::error::Error;

/// So much is read at a time.
const PIECE_BYTES: usize = 256 * 1024;
/// How long all of it may take.
const UPLOAD_PATIENCE: Duration = Duration::from_secs(6 * 3600);

impl Client {
    /// Sends a file to the daemon's memory.
    pub async fn send_file(&self, file: File, bytes: Option<u64>) -> Result<UploadedBlock, Error> {
        let (stream, address) = self.addresses.connect().await?;
        let lost = |problem: hyper::Error| {
            let message = format!("the daemon at {address} closed the connection while data was sent to it");
            Error::new(exit::UNREACHABLE, "connection-lost", message)
                .cause(with_sources(&problem))
                .hint("its log tells why; `ctl status` shows whether it is still there")
        };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(&lost)?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(Method::POST)
            .uri(path::BLOCKS)
            .header(HOST, "dagd")
            .header(USER_AGENT, concat!("ctl/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(Pieces { file, left: bytes, is_over: false })
            .map_err(|problem| Error::internal("cannot put the request together", problem))?;
        match tokio::time::timeout(UPLOAD_PATIENCE, sender.send_request(request)).await {
            Ok(response) => {
                let response = response.map_err(lost)?;
                if response.status().is_success() {
                    answer::decode(path::BLOCKS, response).await
                } else {
                    Err(answer::refused(path::BLOCKS, response).await)
                }
            }
            Err(_) => Err(Error::new(
                exit::UNREACHABLE,
                "no-answer",
                format!("the daemon at {address} did not take the data within {} h", UPLOAD_PATIENCE.as_secs() / 3600),
            )),
        }
    }
}

/// A file, piece by piece. Reading blocks: nothing else happens here meanwhile.
struct Pieces {
    file: File,
    /// How much is still to come, if that is known.
    left: Option<u64>,
    is_over: bool,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let wanted = self.left.map_or(PIECE_BYTES as u64, |left| left.min(PIECE_BYTES as u64));
        if self.is_over || wanted == 0 {
            return Poll::Ready(None);
        }
        let mut piece = Vec::new();
        let read = (&mut self.file).take(wanted).read_to_end(&mut piece);
        Poll::Ready(match read {
            Ok(0) if self.left.is_some() => {
                self.is_over = true;
                Some(Err(std::io::Error::other("the file became shorter while it was sent")))
            }
            Ok(0) => None,
            Ok(length) => {
                self.left = self.left.map(|left| left - length as u64);
                Some(Ok(Frame::data(Bytes::from(piece))))
            }
            Err(problem) => Some(Err(problem)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map(SizeHint::with_exact).unwrap_or_default()
    }
}
