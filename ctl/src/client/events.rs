//! The events of a run, as they come.

use std::collections::VecDeque;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use protocol::{RunEvent, exit};
use serde_json::Value;

use super::sse::{Message, Reader};
use crate::error::Error;

/// A stream of events.
pub struct Events {
    body: Incoming,
    reader: Reader,
    ready: VecDeque<Message>,
}

/// One event, as this version understands it and as it came.
#[derive(Debug, Clone)]
pub struct Received {
    /// What it means.
    pub event: RunEvent,
    /// Every field of it, known or not.
    pub raw: Value,
}

/// How a wait for the next event ended.
#[derive(Debug)]
pub enum Next {
    /// With an event.
    Event(Box<Received>),
    /// With the end of the stream.
    End,
    /// With the connection lost, and why.
    Cut(String),
}

impl Events {
    pub(super) fn new(body: Incoming) -> Events {
        Events { body, reader: Reader::default(), ready: VecDeque::new() }
    }

    /// Waits for the next event. May be dropped while waiting without losing anything.
    pub async fn next(&mut self) -> Result<Next, Error> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return read(&message).map(|received| Next::Event(Box::new(received)));
            }
            let frame = match self.body.frame().await {
                None => return Ok(Next::End),
                Some(Err(problem)) => return Ok(Next::Cut(super::with_sources(&problem))),
                Some(Ok(frame)) => frame,
            };
            let Some(bytes) = frame.data_ref() else { continue };
            let mut messages = Vec::new();
            let fed = self.reader.feed(bytes, &mut messages);
            self.ready.extend(messages);
            if fed.is_err() {
                return Err(malformed(&format!("it is longer than {} bytes", Reader::BYTES_MAX)));
            }
        }
    }
}

fn read(message: &Message) -> Result<Received, Error> {
    let raw: Value = serde_json::from_str(&message.data).map_err(|problem| malformed(&problem))?;
    let event = serde_json::from_value(raw.clone()).map_err(|problem| malformed(&problem))?;
    Ok(Received { event, raw })
}

fn malformed(why: &dyn std::fmt::Display) -> Error {
    Error::new(exit::INTERNAL, "not-understood", "the daemon sent an event that this ctl does not understand")
        .cause(why)
        .hint(format!(
            "it may be a daemon of another version: this ctl is {}; compare with `ctl status`",
            env!("CARGO_PKG_VERSION")
        ))
}
