//! The client against a tiny server on a real Unix socket that says exactly what a test wants it to say.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread::JoinHandle;

use protocol::{EventKind, Status, path};

use super::events::Next;
use super::*;

/// Answers one connection for each of `answers`, whatever is asked, and gives back what was asked.
fn server(answers: Vec<Vec<u8>>) -> (tempfile::TempDir, Client, JoinHandle<Vec<String>>) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("dagd.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let server = std::thread::spawn(move || answers.iter().map(|answer| serve(&listener, answer)).collect());
    (folder, Client::new(Addresses::one(socket)), server)
}

fn serve(listener: &UnixListener, answer: &[u8]) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let request = read_request(&mut stream);
    // The client may have hung up on a malformed answer.
    let _ = stream.write_all(answer);
    request
}

fn read_request(stream: &mut UnixStream) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        match stream.read(&mut chunk).unwrap() {
            0 => return text,
            read => bytes.extend_from_slice(&chunk[..read]),
        }
    }
}

fn http(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn told(error: &Error) -> (u8, &str, String, String) {
    let Error::Failed(complaint) = error else { panic!("a closed pipe") };
    let detail = &complaint.detail;
    (complaint.exit, &detail.message, detail.causes.join("\n"), detail.hints.join("\n"))
}

async fn status_of(answer: &[u8]) -> Result<Status, Error> {
    let (_folder, client, server) = server(vec![answer.to_vec()]);
    let outcome = client.get(path::STATUS).await;
    server.join().unwrap();
    outcome
}

#[tokio::test]
async fn a_good_answer_is_read_and_the_request_is_proper() {
    let status = r#"{"version":"9","pid":1,"started_us":0,"state":"running","generation":1,"new_field":[1]}"#;
    let (_folder, client, server) = server(vec![http("200 OK", status), http("200 OK", "{\"runs\":[]}")]);
    let got: Status = client.get(path::STATUS).await.unwrap();
    assert_eq!(got.version, "9");
    let _: protocol::RunList = client.post(path::RUNS, &serde_json::json!({ "a": 1 })).await.unwrap();
    let requests = server.join().unwrap();
    assert!(requests[0].starts_with("GET /v1/status HTTP/1.1\r\nhost: dagd\r\nuser-agent: ctl/"), "{}", requests[0]);
    assert!(requests[1].starts_with("POST /v1/runs HTTP/1.1\r\n"), "{}", requests[1]);
    assert!(requests[1].contains("\r\ncontent-type: application/json\r\n"), "{}", requests[1]);
    assert!(requests[1].ends_with("\r\n\r\n{\"a\":1}"), "{}", requests[1]);
}

#[tokio::test]
async fn every_refusal_has_its_exit_code_and_keeps_its_words() {
    for (status, code) in [
        ("400 Bad Request", exit::USAGE),
        ("403 Forbidden", exit::REFUSED),
        ("404 Not Found", exit::NOT_FOUND),
        ("409 Conflict", exit::USAGE),
        ("413 Payload Too Large", exit::PROBLEMS),
        ("422 Unprocessable Content", exit::PROBLEMS),
        ("500 Internal Server Error", exit::INTERNAL),
        ("503 Service Unavailable", exit::UNREACHABLE),
    ] {
        let body = r#"{"error":{"code":"x","message":"it is so","causes":["a"],"hints":["b"]}}"#;
        let error = status_of(&http(status, body)).await.unwrap_err();
        assert_eq!(told(&error), (code, "it is so", "a".into(), "b".into()), "{status}");
    }
}

#[tokio::test]
async fn a_refusal_without_words_is_explained() {
    let error = status_of(&http("503 Service Unavailable", "")).await.unwrap_err();
    let (exit, message, _, hints) = told(&error);
    assert_eq!(exit, exit::UNREACHABLE);
    assert_eq!(message, "what answers says 503 Service Unavailable to /v1/status, without a reason");
    assert!(hints.contains("another version"), "{hints}");
}

#[tokio::test]
async fn a_daemon_without_this_path_is_taken_for_another_version() {
    let error = status_of(&http("404 Not Found", "nothing here")).await.unwrap_err();
    let (exit, message, cause, hints) = told(&error);
    assert_eq!(exit, exit::INTERNAL);
    assert_eq!(message, "what answers knows no /v1/status");
    assert_eq!(cause, "it answers \"nothing here\"");
    assert!(hints.contains(concat!("this ctl is ", env!("CARGO_PKG_VERSION"))), "{hints}");
}

#[tokio::test]
async fn an_answer_of_another_shape_is_quoted() {
    let error = status_of(&http("200 OK", "{\"version\":3}")).await.unwrap_err();
    let (exit, message, cause, hints) = told(&error);
    assert_eq!(exit, exit::INTERNAL);
    assert_eq!(message, "the daemon's answer to /v1/status is not what this ctl expects");
    assert!(cause.contains("invalid type: integer `3`") && cause.contains("begins with \"{"), "{cause}");
    assert!(hints.contains("another version"), "{hints}");
}

#[tokio::test]
async fn what_is_not_http_is_an_error_and_no_panic() {
    for answer in [&b"SSH-2.0-OpenSSH_9\r\n"[..], b"HTTP/1.1 2000 OK\r\n\r\n", b"\x16\x03\x01\x02", b"", b"HTTP/1.1"] {
        let error = status_of(answer).await.unwrap_err();
        let (exit, message, cause, _) = told(&error);
        assert_eq!(exit, exit::UNREACHABLE, "{message}");
        assert!(message.contains("closed the connection without an answer to GET /v1/status"), "{message}");
        assert!(!cause.is_empty());
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_told() {
    let error = status_of(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"vers").await.unwrap_err();
    let (exit, message, ..) = told(&error);
    assert_eq!((exit, message), (exit::UNREACHABLE, "the daemon's answer to /v1/status was cut off"));
}

#[tokio::test]
async fn a_daemon_that_keeps_silent_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("dagd.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    let client = Client::new(Addresses::one(socket)).with_patience(Duration::from_millis(30));
    let error = client.get::<Status>(path::STATUS).await.unwrap_err();
    let (exit, message, ..) = told(&error);
    assert_eq!(exit, exit::UNREACHABLE);
    assert!(message.contains("took the request GET /v1/status and gave no answer"), "{message}");
}

#[tokio::test]
async fn a_request_beyond_the_limit_is_not_sent() {
    let client = Client::new(Addresses::one("/nowhere".into()));
    let error = client.post::<Status>(path::RUNS, &"x".repeat(BODY_BYTES_MAX)).await.unwrap_err();
    let (exit, message, ..) = told(&error);
    assert_eq!(exit, exit::PROBLEMS);
    assert!(message.contains("takes at most 64.0 MiB"), "{message}");
}

async fn nobody(paths: PathBuf) -> Error {
    Client::new(Addresses::one(paths)).get::<Status>(path::STATUS).await.unwrap_err()
}

#[tokio::test]
async fn no_daemon_says_why_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("dagd.sock");
    let shown = socket.display().to_string();
    let message = |why: &str| format!("no daemon answers at {shown} ({why})");

    let error = nobody(socket.clone()).await;
    let (exit, said, _, hints) = told(&error);
    assert_eq!((exit, said), (exit::UNREACHABLE, message("there is no such socket").as_str()));
    assert!(hints.starts_with("start one with `dagd serve`, or use `ctl run`, which needs none\n"), "{hints}");

    drop(UnixListener::bind(&socket).unwrap());
    let error = nobody(socket.clone()).await;
    let stale = "stale socket: the file is there, but the daemon that made it is gone";
    assert_eq!(told(&error).1, message(stale));

    std::fs::remove_file(&socket).unwrap();
    std::fs::write(&socket, "").unwrap();
    assert_eq!(told(&nobody(socket.clone()).await).1, message("that is no socket"));

    let error = nobody(folder.path().join("none/dagd.sock")).await;
    assert!(told(&error).1.contains("there is no folder "), "{error:?}");
    let error = nobody("@no-such-name-anywhere".into()).await;
    assert_eq!(told(&error).1, "no daemon answers at @no-such-name-anywhere (nobody listens)");
    let error = nobody(folder.path().join("x".repeat(200))).await;
    assert_eq!(told(&error).0, exit::USAGE);
}

#[tokio::test]
async fn a_socket_of_somebody_else_is_a_matter_of_permission() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("dagd.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o0)).unwrap();
    if UnixStream::connect(&socket).is_ok() {
        return; // the superuser may do anything
    }
    let error = nobody(socket).await;
    assert_eq!(told(&error).0, exit::REFUSED);
}

#[tokio::test]
async fn events_come_one_by_one_until_the_stream_ends() {
    let stream = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
        : alive\n\nid: 1\nevent: run_started\ndata: {\"sequence\":1,\"time_us\":5,\"kind\":\"run_started\",\"pipeline\":\"p\",\"nodes\":2}\n\n\
        id: 2\nevent: later\ndata: {\"sequence\":2,\"time_us\":6,\"kind\":\"later\",\"extra\":true}\n\n";
    let (_folder, client, server) = server(vec![stream.as_bytes().to_vec()]);
    let mut events = client.events(&path::run_events("r", 0)).await.unwrap();
    let Next::Event(first) = events.next().await.unwrap() else { panic!("no event") };
    assert!(matches!(first.event.kind, EventKind::RunStarted { nodes: 2, .. }));
    let Next::Event(second) = events.next().await.unwrap() else { panic!("no event") };
    assert_eq!(second.event.kind, EventKind::Unknown);
    assert_eq!(second.raw["extra"], true);
    assert!(matches!(events.next().await.unwrap(), Next::End));
    assert!(server.join().unwrap()[0].starts_with("GET /v1/runs/r/events?from=0 "));
}

#[tokio::test]
async fn a_stream_that_breaks_is_cut_and_one_that_lies_is_an_error() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n: ali\r\n";
    let (_folder, client, server) = server(vec![
        chunked.as_bytes().to_vec(),
        b"HTTP/1.1 200 OK\r\n\r\ndata: {\"sequence\":\"one\"}\n\n".to_vec(),
        http("404 Not Found", r#"{"error":{"code":"not-found","message":"there is no run r"}}"#),
    ]);
    let mut events = client.events(&path::run_events("r", 0)).await.unwrap();
    assert!(matches!(events.next().await.unwrap(), Next::Cut(_)));
    let mut events = client.events(&path::run_events("r", 0)).await.unwrap();
    assert_eq!(events.next().await.unwrap_err().exit(), exit::INTERNAL);
    let error = client.events(&path::run_events("r", 0)).await.map(|_| ()).unwrap_err();
    assert_eq!(told(&error).0, exit::NOT_FOUND);
    server.join().unwrap();
}
