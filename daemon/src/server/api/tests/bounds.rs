//! Nothing a client does harms another client.

use std::io::{ErrorKind, Read, Write};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use protocol::BODY_BYTES_MAX;

use super::{PATIENCE, answer_of, read_answer, serve, serve_with};
use crate::server::api::Limits;
use crate::server::socket::peer::Admission;

#[test]
fn what_is_no_http_ends_its_connection_and_no_other() {
    let served = serve();
    let mut other = served.connect();
    other.write_all(b"GET /v1/status HTTP/1.1\r\nHost: d\r\n").unwrap();
    for garbage in [
        &b"hello\r\n\r\n"[..],
        b"\x00\x01\x02\x03\xff\xfe\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /v1/runs HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    ] {
        let mut stream = served.connect();
        stream.write_all(garbage).unwrap();
        let mut bytes = Vec::new();
        // Closed, with or without a word.
        stream.read_to_end(&mut bytes).unwrap();
        let answer = String::from_utf8_lossy(&bytes).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    other.write_all(b"Connection: close\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut other).status, 200, "begun before, finished after");
}

#[test]
fn an_endless_head_is_cut_off() {
    let served = serve();
    let mut stream = served.connect();
    let line = format!("X-Header: {}\r\n", "x".repeat(1000));
    stream.write_all(b"GET /v1/status HTTP/1.1\r\n").unwrap();
    let refused = (0..1000).any(|_| stream.write_all(line.as_bytes()).is_err());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(refused || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn a_slow_head_is_given_up() {
    let limits = Limits { head_patience: Duration::from_millis(100), ..Limits::default() };
    let served = serve_with(limits, Admission::new(&[], None));
    let mut stream = served.connect();
    stream.write_all(b"GET /v1/st").unwrap();
    let mut answer = Vec::new();
    // Ends because the daemon closes the connection; the read time-out would be an error.
    stream.read_to_end(&mut answer).unwrap();
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}

#[test]
fn a_body_of_a_gibibyte_is_refused_with_the_reason() {
    let served = serve();
    let gibibyte: usize = 1 << 30;
    let before = memory_peak_kib();
    let mut stream = served.connect();
    let head = format!("POST /v1/runs HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Length: {gibibyte}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    // A client that sends it all before it reads still gets to read the answer, also where the machine is so busy that
    // the daemon has no more patience for the rest and closes: the answer was sent before that.
    let piece = vec![b' '; 1 << 20];
    for _ in 0..gibibyte / piece.len() {
        if let Err(error) = stream.write_all(&piece) {
            assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
            break;
        }
    }
    let mut bytes = Vec::new();
    // What came before the connection was closed is there, even if the closing itself is an error.
    let _ = stream.read_to_end(&mut bytes);
    let answer = answer_of(bytes);
    assert_eq!((answer.status, answer.code().as_str()), (413, "body-too-large"));
    let grown = memory_peak_kib() - before;
    // Other tests run beside this one and have bodies of their own; a kept one would show all the same.
    assert!(grown < 900 * 1024, "it was kept: the process grew by {grown} KiB");
}

#[test]
fn a_client_that_asks_first_need_not_send() {
    let served = serve();
    let length = BODY_BYTES_MAX + 1;
    let answer = served.send(&format!(
        "POST /v1/runs HTTP/1.1\r\nHost: d\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    ));
    assert_eq!(answer.status, 413, "{answer:?}");
}

#[test]
fn a_body_without_an_announced_length_is_bounded_too() {
    let served = serve();
    let mut stream = served.connect();
    stream
        .write_all(b"POST /v1/runs HTTP/1.1\r\nHost: d\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    let piece = vec![b' '; 1 << 20];
    for _ in 0..BODY_BYTES_MAX / piece.len() + 2 {
        stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).unwrap();
        stream.write_all(&piece).unwrap();
        stream.write_all(b"\r\n").unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    let answer = read_answer(&mut stream);
    assert_eq!((answer.status, answer.code().as_str()), (413, "body-too-large"));
}

#[test]
fn a_body_that_breaks_off_harms_nobody() {
    let served = serve();
    for _ in 0..10 {
        let mut stream = served.connect();
        stream.write_all(b"POST /v1/runs HTTP/1.1\r\nHost: d\r\nContent-Length: 100\r\n\r\n{").unwrap();
    }
    assert_eq!(served.get("/v1/status").status, 200);
}

#[test]
fn the_number_of_connections_is_bounded_and_the_next_one_waits() {
    let limits = Limits { connections_max: 2, ..Limits::default() };
    let served = serve_with(limits, Admission::new(&[], None));
    let open = |served: &super::Served| {
        let mut stream = served.connect();
        stream.write_all(b"GET /v1/status HTTP/1.1\r\nHost: d\r\n\r\n").unwrap();
        stream.read_exact(&mut [0; 12]).unwrap();
        stream
    };
    let held = [open(&served), open(&served)];
    let mut third = served.connect();
    third.write_all(b"GET /v1/status HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n").unwrap();
    third.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(third.read(&mut [0; 1]).is_err(), "no place yet");
    drop(held);
    third.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(read_answer(&mut third).status, 200);
}

#[test]
fn other_users_are_refused_and_told_so() {
    // This process is a stranger to a daemon that serves nobody.
    let admission = Admission::only(&[], None);
    let served = serve_with(Limits::default(), admission);
    let answer = served.get("/v1/status");
    assert_eq!((answer.status, answer.code().as_str()), (403, "refused"));
    let submission = r#"{"pipeline":{"name":"p.toml","text":""}}"#;
    assert_eq!(served.ask("POST", "/v1/runs", submission).status, 403);
    assert_eq!(served.pretend.submitted.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[test]
fn who_is_refused_and_says_nothing_keeps_no_place() {
    let served = serve_with(Limits::default(), Admission::only(&[], None));
    let started = Instant::now();
    let mut silent = served.connect();
    // Ends because the daemon closes the connection; what it may say first is of no matter.
    silent.read_to_end(&mut Vec::new()).unwrap();
    let patience = Limits::default().head_patience;
    assert!(started.elapsed() < patience / 2, "others are given {patience:?}, it took {:?}", started.elapsed());
}

#[test]
fn short_requests_pass_long_ones_by() {
    let served = serve();
    served.pretend.hang_planning(true);
    let submission = r#"{"pipeline":{"name":"p.toml","text":""}}"#;
    std::thread::scope(|scope| {
        let (tell, told) = channel();
        for _ in 0..32 {
            let (served, tell) = (&served, tell.clone());
            scope.spawn(move || tell.send(served.ask("POST", "/v1/runs", submission).status));
        }
        // All plans are under way and none can end: were one of them in the way, the first of these would never come back.
        let mut took: Vec<Duration> = (0..50)
            .map(|_| {
                let started = Instant::now();
                assert_eq!(served.get("/v1/status").status, 200);
                started.elapsed()
            })
            .collect();
        took.sort();
        let median = took[took.len() / 2];
        served.pretend.hang_planning(false);
        let answered: Vec<u16> = told.iter().take(32).collect();
        assert!(answered.iter().all(|status| *status == 201), "{answered:?}");
        // 10 ms are promised of an idle machine (the bench measures it); tests share theirs with compilers.
        assert!(median < Duration::from_millis(500), "{median:?}");
    });
}

#[test]
fn stopping_ends_connections_that_are_open() {
    let mut served = serve();
    let mut idle = served.connect();
    idle.write_all(b"GET /v1/runs/r1/events HTTP/1.1\r\nHost: d\r\n\r\n").unwrap();
    idle.read_exact(&mut [0; 12]).unwrap();
    let started = Instant::now();
    served.control.take().unwrap().stop();
    assert!(started.elapsed() < Duration::from_secs(10));
    let mut rest = Vec::new();
    let _ = idle.read_to_end(&mut rest);
    assert!(std::os::unix::net::UnixStream::connect(&served.path).is_err(), "nobody listens any more");
}

/// The most memory this process has had, in KiB.
fn memory_peak_kib() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}
