//! Events as they happen.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use protocol::{EventKind, RunEvent, RunState};

use super::{Served, serve};

fn skipped(node: u64) -> EventKind {
    EventKind::NodeSkipped { node: node.to_string(), because: String::new() }
}

fn finished() -> EventKind {
    EventKind::RunFinished { state: RunState::Succeeded, duration_us: 1, cause: None }
}

/// A client that follows run `r1`.
struct Follower {
    lines: BufReader<UnixStream>,
}

impl Follower {
    fn new(served: &Served, query: &str, headers: &str) -> Follower {
        let mut stream = served.connect();
        let request =
            format!("GET /v1/runs/r1/events{query} HTTP/1.1\r\nHost: d\r\n{headers}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).unwrap() > 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.to_lowercase().contains("content-type: text/event-stream"), "{head}");
        Follower { lines }
    }

    /// The next event; none at the end of the stream. Checks that `id` and `event` agree with the data.
    fn next(&mut self) -> Option<RunEvent> {
        let (mut id, mut name) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            // Lines between are the sizes of HTTP's chunks.
            if let Some(value) = line.strip_prefix("id: ") {
                value.trim().clone_into(&mut id);
            } else if let Some(value) = line.strip_prefix("event: ") {
                value.trim().clone_into(&mut name);
            } else if let Some(data) = line.strip_prefix("data: ") {
                let event: RunEvent = serde_json::from_str(data).unwrap();
                assert_eq!((id.as_str(), name.as_str()), (event.sequence.to_string().as_str(), event.kind.name()));
                return Some(event);
            }
        }
    }

    fn rest(mut self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).map(shown).collect()
    }
}

fn shown(event: RunEvent) -> String {
    match event.kind {
        EventKind::Missed { count } => format!("missed {count} to {}", event.sequence),
        kind => format!("{} {}", event.sequence, kind.name()),
    }
}

#[test]
fn events_arrive_as_they_happen_and_the_stream_ends_with_the_run() {
    let served = serve();
    let mut follower = Follower::new(&served, "", "");
    served.pretend.feed.publish(1, skipped(1));
    assert_eq!(shown(follower.next().unwrap()), "1 node_skipped");
    served.pretend.feed.publish(2, skipped(2));
    assert_eq!(shown(follower.next().unwrap()), "2 node_skipped");
    served.pretend.feed.publish(3, finished());
    served.pretend.feed.close();
    assert_eq!(follower.rest(), ["3 run_finished"]);
    assert_eq!(Follower::new(&served, "", "").rest(), ["1 node_skipped", "2 node_skipped", "3 run_finished"]);
}

#[test]
fn a_client_that_comes_back_goes_on_where_it_was() {
    let served = serve();
    for n in 1..=4 {
        served.pretend.feed.publish(0, skipped(n));
    }
    served.pretend.feed.close();
    assert_eq!(Follower::new(&served, "?from=2", "").rest(), ["3 node_skipped", "4 node_skipped"]);
    assert_eq!(Follower::new(&served, "?from=1", "Last-Event-ID: 3\r\n").rest(), ["4 node_skipped"]);
    let wrong =
        served.send("GET /v1/runs/r1/events HTTP/1.1\r\nHost: d\r\nLast-Event-ID: three\r\nConnection: close\r\n\r\n");
    assert_eq!((wrong.status, wrong.code().as_str()), (400, "bad-last-event-id"));
}

#[test]
fn a_client_that_does_not_read_holds_nobody_up_and_is_told_what_it_missed() {
    let served = serve();
    let mut slow = Follower::new(&served, "", "");
    // More than the socket's buffers hold: the daemon must stop pulling, and the feed (of 8 events) moves on.
    let long = "x".repeat(4096);
    let total = 2000;
    for n in 1..=total {
        let kind = EventKind::NodeSkipped { node: n.to_string(), because: long.clone() };
        served.pretend.feed.publish(0, kind);
        if n % 100 == 0 {
            assert_eq!(served.get("/v1/status").status, 200);
        }
    }
    served.pretend.feed.close();
    let (mut seen, mut missed, mut last) = (0, 0, 0);
    while let Some(event) = slow.next() {
        match event.kind {
            EventKind::Missed { count } => {
                assert_eq!(event.sequence, last + count);
                missed += count;
            }
            _ => {
                assert_eq!(event.sequence, last + 1, "no gap without a word");
                seen += 1;
            }
        }
        last = event.sequence;
    }
    assert_eq!(seen + missed, total);
    assert!(missed > 0, "the reader was slow");
}
