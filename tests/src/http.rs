//! Just enough HTTP/1.1 over a Unix socket, by hand, so that tests can also send what no client would.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::wait::PATIENCE;

/// An answer, taken apart.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The head as it came.
    pub head: String,
    /// The body, chunks joined.
    pub body: Vec<u8>,
}

impl Response {
    /// The body read as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        self.read()
    }

    /// The body read as one of the API's types.
    #[track_caller]
    pub fn read<T: DeserializeOwned>(&self) -> T {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(problem) => {
                panic!("the body is not what was expected ({problem}): {}", String::from_utf8_lossy(&self.body))
            }
        }
    }

    /// Panics with the whole answer unless the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert!(
            self.status == status,
            "expected status {status}, got {}:\n{}",
            self.head,
            String::from_utf8_lossy(&self.body)
        );
        self
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let split = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..split]).into_owned();
        let status = head.split_whitespace().nth(1)?.parse().ok()?;
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let rest = &bytes[split + 4..];
        let body = if chunked { join_chunks(rest) } else { rest.to_vec() };
        Some(Self { status, head, body })
    }
}

/// Opens a connection on which nothing waits for ever.
pub fn connect(socket: &Path) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Sends one request and reads the answer to the end of the connection.
#[track_caller]
pub fn request(socket: &Path, method: &str, target: &str, body: Option<&Value>) -> Response {
    try_request(socket, method, target, body)
        .unwrap_or_else(|problem| panic!("{method} {target} on {}: {problem}", socket.display()))
}

/// Like [`request`], with the connection's error as a value.
pub fn try_request(socket: &Path, method: &str, target: &str, body: Option<&Value>) -> io::Result<Response> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: dagd\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let answer = send(&mut connect(socket)?, &[head.as_bytes(), body.as_bytes()].concat(), |_| Ok(()))?;
    Response::parse(&answer)
        .ok_or_else(|| io::Error::other(format!("no HTTP answer, but {:?}", String::from_utf8_lossy(&answer))))
}

/// Sends raw bytes, says that no more will come, and returns whatever comes back before the other side closes.
pub fn exchange(socket: &Path, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = connect(socket)?;
    send(&mut stream, bytes, |stream| stream.shutdown(std::net::Shutdown::Write))
}

/// The server may answer and close before it has read everything; its answer is what counts.
fn send(
    stream: &mut UnixStream,
    bytes: &[u8],
    then: impl FnOnce(&UnixStream) -> io::Result<()>,
) -> io::Result<Vec<u8>> {
    let sent = stream.write_all(bytes).and_then(|()| then(stream));
    let answer = read_answer(stream);
    if answer.is_empty() {
        sent?;
    }
    Ok(answer)
}

/// Reads to the end of the connection; a reset after the answer is an end too.
pub fn read_answer(stream: &mut UnixStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

/// Takes raw bytes of an answer apart; `None` where they are no HTTP.
pub fn parse(bytes: &[u8]) -> Option<Response> {
    Response::parse(bytes)
}

fn join_chunks(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(line_end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size_text = String::from_utf8_lossy(&rest[..line_end]);
        let size = usize::from_str_radix(size_text.split(';').next().unwrap_or("").trim(), 16).unwrap_or(0);
        let start = line_end + 2;
        if size == 0 || start + size > rest.len() {
            break;
        }
        body.extend_from_slice(&rest[start..start + size]);
        rest = &rest[(start + size + 2).min(rest.len())..];
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined() {
        let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        let response = parse(answer).unwrap();
        assert_eq!((response.status, response.body.as_slice()), (200, b"abcde".as_slice()));
    }

    #[test]
    fn what_is_no_http_is_none() {
        assert!(parse(b"").is_none());
        assert!(parse(b"hello").is_none());
    }
}
