//! The API over a real Unix socket, in front of a daemon of which every answer is known.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bounds;
mod data;
mod described;
mod pretend;
mod requests;
mod streams;

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{Control, Limits};
use crate::server::socket::peer::Admission;
use pretend::Pretend;

/// A served socket in a folder of its own.
struct Served {
    path: PathBuf,
    pretend: Arc<Pretend>,
    control: Option<Control>,
    _folder: tempfile::TempDir,
}

/// How long a test waits for anything before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

fn serve() -> Served {
    serve_with(Limits::default(), Admission::new(&[], None))
}

fn serve_with(limits: Limits, admission: Admission) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dagd.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let pretend = Arc::new(Pretend::default());
    let backend = Arc::clone(&pretend);
    let control = Control::start(listener, backend, admission, limits, || ()).unwrap();
    Served { path, pretend, control: Some(control), _folder: folder }
}

impl Served {
    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a request on a connection of its own and reads the whole answer.
    fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let length = body.len();
        self.send(&format!(
            "{method} {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "")
    }

    fn send(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        read_answer(&mut stream)
    }
}

/// An answer, as it came.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The code of an error answer.
    fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// Reads until the other side closes.
fn read_answer(stream: &mut UnixStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    answer_of(bytes)
}

/// Takes an answer apart.
fn answer_of(bytes: Vec<u8>) -> Answer {
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}
