//! Speaks HTTP/1.1 with the daemon over its Unix socket.
//!
//! Every request has a connection of its own: on a Unix socket one costs microseconds, and nothing can be left over from
//! the request before. Whatever the daemon answers becomes the type asked for or an [`Error`] that says what to do.

pub mod address;
pub mod answer;
pub mod events;
pub mod sse;
mod upload;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use protocol::{BODY_BYTES_MAX, RESTARTING, exit};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::address::Addresses;
use self::events::Events;
use crate::error::Error;
use crate::render::units;

/// How long to wait before asking a service again that is being restarted.
const RESTART_PAUSE: Duration = Duration::from_millis(250);

/// The daemon, as far as its address is known.
#[derive(Debug, Clone)]
pub struct Client {
    addresses: Addresses,
    patience: Duration,
}

impl Client {
    /// How long an answer may take to begin. A pipeline of 100,000 nodes is planned in a fraction of this.
    pub const PATIENCE: Duration = Duration::from_secs(120);

    /// Makes a client that will look for the daemon at these addresses; connects only when something is asked.
    pub fn new(addresses: Addresses) -> Client {
        Client { addresses, patience: Client::PATIENCE }
    }

    /// The same client with another patience.
    pub fn with_patience(mut self, patience: Duration) -> Client {
        self.patience = patience;
        self
    }

    /// Asks for what is at `path`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let response = self.send(Method::GET, path, None).await?;
        self.decode(path, response).await
    }

    /// Sends `body` to `path`.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Error> {
        let body =
            serde_json::to_vec(body).map_err(|problem| Error::internal("cannot write the request as JSON", problem))?;
        if body.len() > BODY_BYTES_MAX {
            let (size, most) = (units::size(body.len() as u64), units::size(BODY_BYTES_MAX as u64));
            return Err(Error::new(
                exit::PROBLEMS,
                "too-large",
                format!("the pipeline and its files make a request of {size}, the daemon takes at most {most}"),
            )
            .hint("use `matrix` instead of writing out similar nodes, or split the pipeline"));
        }
        let response = self.send(Method::POST, path, Some(body)).await?;
        self.decode(path, response).await
    }

    /// Sends `body` to `path`; a service that is being restarted is asked again until the next daemon answers.
    pub async fn post_over_restart<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Error> {
        let give_up = tokio::time::Instant::now() + self.patience;
        loop {
            match self.post(path, body).await {
                Err(error) if error.code() == RESTARTING && tokio::time::Instant::now() < give_up => {
                    tokio::time::sleep(RESTART_PAUSE).await;
                }
                answer => return answer,
            }
        }
    }

    /// Fetches the bytes at `path`, piece by piece; says how many there were.
    pub async fn download(&self, path: &str, mut take: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<u64, Error> {
        let response = self.send(Method::GET, path, None).await?;
        if !response.status().is_success() {
            return Err(answer::refused(path, response).await);
        }
        let mut body = response.into_body();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            let cut_off = |problem: hyper::Error| {
                Error::new(exit::UNREACHABLE, "connection-lost", format!("the daemon's answer to {path} was cut off"))
                    .cause(with_sources(&problem))
                    .hint("the daemon may have ended: `ctl status` shows whether it is still there")
            };
            if let Ok(data) = frame.map_err(cut_off)?.into_data() {
                length += data.len() as u64;
                take(&data)?;
            }
        }
        Ok(length)
    }

    /// Follows the events at `path`.
    pub async fn events(&self, path: &str) -> Result<Events, Error> {
        let response = self.send(Method::GET, path, None).await?;
        if response.status().is_success() {
            Ok(Events::new(response.into_body()))
        } else {
            Err(answer::refused(path, response).await)
        }
    }

    async fn send(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Response<Incoming>, Error> {
        let (stream, address) = self.addresses.connect().await?;
        let attempt = format!("{method} {path}");
        let lost = |problem: hyper::Error| {
            Error::new(
                exit::UNREACHABLE,
                "connection-lost",
                format!("the daemon at {address} closed the connection without an answer to {attempt}"),
            )
            .cause(with_sources(&problem))
            .hint("its log tells why; `ctl status` shows whether it is still there")
        };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(&lost)?;
        // Moves the bytes; ends by itself when the answer is read or dropped. What goes wrong there shows here too.
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "dagd")
            .header(USER_AGENT, concat!("ctl/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json, text/event-stream");
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(|problem| Error::internal("cannot put the request together", problem))?;
        match tokio::time::timeout(self.patience, sender.send_request(request)).await {
            Ok(answer) => answer.map_err(lost),
            Err(_) => Err(Error::new(
                exit::UNREACHABLE,
                "no-answer",
                format!(
                    "the daemon at {address} took the request {attempt} and gave no answer within {} s",
                    self.patience.as_secs()
                ),
            )
            .hint("it may be stuck: look at its log, then restart it")),
        }
    }

    async fn decode<T: DeserializeOwned>(&self, path: &str, response: Response<Incoming>) -> Result<T, Error> {
        if response.status().is_success() {
            answer::decode(path, response).await
        } else {
            Err(answer::refused(path, response).await)
        }
    }
}

/// Writes an error and the errors it came from on one line.
pub fn with_sources(problem: &dyn std::error::Error) -> String {
    let mut text = problem.to_string();
    let mut source = problem.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
