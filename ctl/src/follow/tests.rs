//! Following a run on a real socket, whatever the daemon does meanwhile.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;

use protocol::{BlockUse, NodeCounts, RunState};

use super::*;
use crate::client::address::Addresses;

/// Answers each connection in turn with what stands in the script, then ends. What stands after HOLD is sent when the
/// next connection has had its answer.
struct Daemon {
    _folder: tempfile::TempDir,
    client: Client,
    requests: std::thread::JoinHandle<Vec<String>>,
}

const HOLD: &str = "HOLD";

fn daemon(script: Vec<String>) -> Daemon {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("dagd.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let requests = std::thread::spawn(move || {
        let mut held: Option<(UnixStream, String)> = None;
        let mut requests = Vec::new();
        for answer in script {
            let (mut stream, _) = listener.accept().unwrap();
            requests.push(read_request(&stream));
            let (now, later) = answer.split_once(HOLD).unwrap_or((&answer, ""));
            // The client may have seen enough.
            let _ = stream.write_all(now.as_bytes());
            if let Some((mut stream, rest)) = held.take() {
                let _ = stream.write_all(rest.as_bytes());
            }
            held = answer.contains(HOLD).then(|| (stream, later.to_owned()));
        }
        requests
    });
    Daemon { client: Client::new(Addresses::one(socket)), _folder: folder, requests }
}

/// Reads a request to its end, so that closing the connection does not take the answer with it.
fn read_request(stream: &UnixStream) -> String {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).unwrap();
        length = line.strip_prefix("content-length: ").map_or(length, |text| text.trim().parse().unwrap());
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    first.trim_end_matches(" HTTP/1.1\r\n").to_owned()
}

fn json(value: &impl serde::Serialize) -> String {
    let body = serde_json::to_string(value).unwrap();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn stream(events: &[(u64, &str)], end: &str) -> String {
    let lines: String = events
        .iter()
        .map(|(sequence, rest)| format!("id: {sequence}\ndata: {{\"sequence\":{sequence},\"time_us\":0,{rest}}}\n\n"))
        .collect();
    format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{lines}{end}")
}

fn detail(state: RunState, succeeded: u64) -> RunDetail {
    RunDetail {
        plugins: Vec::new(),
        summary: RunSummary {
            id: "r".into(),
            pipeline: "p".into(),
            state,
            generation: 1,
            submitted_us: 0,
            started_us: None,
            finished_us: None,
            counts: NodeCounts { total: 3, succeeded, ..NodeCounts::default() },
            cause: None,
            save_version: None,
            resumed_from: None,
        },
        nodes: vec![],
        datasets: vec![],
        failures: vec![],
        resume: None,
        blocks: BlockUse::default(),
    }
}

const STARTED: (u64, &str) = (1, r#""kind":"run_started","pipeline":"p","nodes":3"#);
const FINISHED: (u64, &str) = (9, r#""kind":"run_finished","state":"succeeded","duration_us":5"#);
const NODE: &str = r#""kind":"node_finished","node":"a","attempt":1,"worker":0,"duration_us":1000"#;

#[derive(Clone, Default)]
struct Paper(Rc<RefCell<Vec<u8>>>);

impl Paper {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow()).into_owned()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Follows with plain lines; gives how it ended, what was said, and what was asked.
async fn watch(
    script: Vec<String>,
    on_interrupt: OnInterrupt,
    interrupts: u32,
    reconnect: bool,
) -> (Result<Ended, Error>, String, Vec<String>) {
    let daemon = daemon(script);
    let paper = Paper::default();
    let mut screen = Screen::of_writers(Box::new(io::sink()), Box::new(paper.clone()), false);
    let mut watcher = Watcher::suited(&screen, &detail(RunState::Running, 0).summary, false);
    let mut interrupts = Interrupts::scripted(interrupts);
    let ended = follow(&daemon.client, "r", &mut watcher, &mut interrupts, on_interrupt, reconnect, &mut screen).await;
    (ended, paper.text(), daemon.requests.join().unwrap())
}

#[tokio::test]
async fn a_run_is_followed_to_its_report() {
    let script = vec![stream(&[STARTED, (2, NODE), FINISHED], ""), json(&detail(RunState::Succeeded, 3))];
    let (ended, said, asked) = watch(script, OnInterrupt::Leave, 0, true).await;
    assert!(matches!(ended, Ok(Ended::Finished(detail)) if detail.summary.counts.succeeded == 3));
    assert_eq!(said, "Running p (3 nodes) as r\nCompleted node a (1 of 3) in 1.0 ms\n");
    assert_eq!(asked, ["GET /v1/runs/r/events?from=0", "GET /v1/runs/r"]);
}

#[tokio::test]
async fn a_lost_connection_is_taken_up_where_it_broke() {
    let script = vec![
        stream(&[STARTED, (2, NODE)], ""),
        json(&detail(RunState::Running, 1)),
        stream(&[FINISHED], ""),
        json(&detail(RunState::Succeeded, 3)),
    ];
    let (ended, _, asked) = watch(script, OnInterrupt::Leave, 0, true).await;
    assert!(matches!(ended, Ok(Ended::Finished(_))));
    assert_eq!(asked[2], "GET /v1/runs/r/events?from=2");
}

#[tokio::test]
async fn a_private_daemon_that_is_lost_stays_lost() {
    let script = vec![stream(&[STARTED], ""), json(&detail(RunState::Running, 0))];
    let (ended, ..) = watch(script, OnInterrupt::Cancel, 0, false).await;
    let error = ended.unwrap_err();
    assert_eq!((error.exit(), error.code()), (exit::UNREACHABLE, "connection-lost"));
}

#[tokio::test]
async fn a_stream_that_ends_early_on_a_run_that_is_over_is_no_loss() {
    let over = json(&detail(RunState::Cancelled, 1));
    let (ended, ..) = watch(vec![stream(&[STARTED], ""), over.clone(), over], OnInterrupt::Leave, 0, false).await;
    assert!(matches!(ended, Ok(Ended::Finished(detail)) if detail.summary.state == RunState::Cancelled));
}

#[tokio::test]
async fn after_missed_events_the_count_is_right_again() {
    let missed = (6, r#""kind":"missed","count":5"#);
    let script = vec![
        stream(&[STARTED, missed, (7, NODE), FINISHED], ""),
        json(&detail(RunState::Running, 2)),
        json(&detail(RunState::Succeeded, 3)),
    ];
    let (ended, said, _) = watch(script, OnInterrupt::Leave, 0, true).await;
    assert!(matches!(ended, Ok(Ended::Finished(_))));
    assert!(said.contains("(5 events went by too fast to be shown)\nCompleted node a (3 of 3)"), "{said}");
}

#[tokio::test]
async fn an_interrupt_leaves_a_submitted_run_alone() {
    let (ended, _, asked) = watch(vec![stream(&[STARTED], HOLD)], OnInterrupt::Leave, 1, true).await;
    assert!(matches!(ended, Ok(Ended::Left)));
    assert_eq!(asked, ["GET /v1/runs/r/events?from=0"]);
}

#[tokio::test]
async fn an_interrupt_cancels_a_run_of_ones_own_and_waits_for_its_end() {
    let rest = "id: 9\ndata: {\"sequence\":9,\"time_us\":0,\"kind\":\"run_finished\",\"state\":\"cancelled\",\"duration_us\":5}\n\n";
    let script = vec![
        stream(&[STARTED], &format!("{HOLD}{rest}")),
        json(&detail(RunState::Running, 1).summary),
        json(&detail(RunState::Cancelled, 1)),
    ];
    let (ended, said, asked) = watch(script, OnInterrupt::Cancel, 1, false).await;
    assert!(matches!(ended, Ok(Ended::Finished(detail)) if detail.summary.state == RunState::Cancelled));
    assert!(said.contains("cancelling the run; Ctrl-C again does not wait for it\n"), "{said}");
    assert_eq!(asked, ["GET /v1/runs/r/events?from=0", "POST /v1/runs/r/cancel", "GET /v1/runs/r"]);
}

#[tokio::test]
async fn a_second_interrupt_does_not_wait() {
    let script = vec![stream(&[STARTED], HOLD), json(&detail(RunState::Running, 1).summary)];
    let (ended, ..) = watch(script, OnInterrupt::Cancel, 2, false).await;
    assert!(matches!(ended, Ok(Ended::Abandoned)));
}
