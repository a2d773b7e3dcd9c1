//! The control socket: who answers, who may ask, and what happens to requests that are none.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;

use serde_json::json;
use tests::{Scene, command, http, processes};

#[test]
fn without_a_daemon_ctl_says_how_to_start_one() {
    let scene = Scene::with(&[]).build();
    let socket = scene.socket();
    scene.ctl(["status"]).expect_code(4).expect_stderr(&[socket.to_str().unwrap(), "dagd serve"]);
}

#[test]
fn a_stale_socket_is_told_from_a_daemon_and_taken_over() {
    let scene = Scene::with(&["faults"]).build();
    drop(UnixListener::bind(scene.socket()).unwrap());
    assert!(scene.socket().exists());
    scene.ctl(["status"]).expect_code(4).expect_stderr(&[scene.socket().to_str().unwrap()]);
    let mut daemon = scene.start();
    daemon.expect_healthy();
}

#[test]
fn a_second_daemon_leaves_the_first_alone() {
    let scene = Scene::with(&["faults"]).build();
    let mut daemon = scene.start();
    let mut command = scene.program("dagd");
    command.arg("serve").arg("--socket").arg(scene.socket()).arg("--config").arg(scene.path("dagd.toml"));
    let second = command::run(&mut command);
    assert_ne!(second.code, 0, "{second}");
    second.expect_stderr(&[scene.socket().to_str().unwrap()]);
    daemon.expect_healthy();
}

#[test]
fn a_file_in_the_sockets_place_is_not_removed() {
    let scene = Scene::with(&["faults"]).build();
    fs::write(scene.socket(), "somebody's notes").unwrap();
    let mut command = scene.program("dagd");
    command.arg("serve").arg("--socket").arg(scene.socket()).arg("--config").arg(scene.path("dagd.toml"));
    let outcome = command::run(&mut command);
    assert_ne!(outcome.code, 0, "{outcome}");
    outcome.expect_stderr(&[scene.socket().to_str().unwrap()]);
    assert_eq!(fs::read_to_string(scene.socket()).unwrap(), "somebody's notes");
}

#[test]
fn only_the_owner_may_open_the_socket() {
    let scene = Scene::with(&["faults"]).build();
    let daemon = scene.start();
    assert_eq!(fs::metadata(scene.socket()).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(daemon.stop().success());
    assert!(!scene.socket().exists(), "the socket outlives its daemon");
}

#[test]
fn another_user_is_refused() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: acting as another user needs root");
        return;
    }
    let scene = Scene::with(&["faults"]).build();
    let mut daemon = scene.start();
    fs::set_permissions(scene.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let as_nobody = || {
        let mut command = scene.ctl_command(["status"]);
        command.uid(65534).gid(65534).current_dir("/");
        command::run(&mut command)
    };
    // First the kernel turns them away by the socket's mode, then, with the mode opened, the daemon does by their id.
    as_nobody().expect_code(7).expect_stderr(&[scene.socket().to_str().unwrap()]);
    fs::set_permissions(scene.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    as_nobody().expect_code(7).expect_stderr(&["65534"]);
    daemon.expect_healthy();
}

#[test]
fn what_is_no_http_costs_only_its_own_connection() {
    let scene = Scene::with(&["faults"]).build();
    let mut daemon = scene.start();
    let long_line = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(1 << 20));
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(10_000));
    let cases: [&[u8]; 11] = [
        b"",
        b"\0\0\0\0",
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /v1/status HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /v1/runs HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/runs HTTP/1.1\r\nhost: x\r\ncontent-length: 18446744073709551616\r\n\r\n",
        b"POST /v1/runs HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        long_line.as_bytes(),
        many_headers.as_bytes(),
    ];
    // One good connection stays open all the while.
    let mut good = http::connect(&scene.socket()).unwrap();
    for case in cases {
        let shown = String::from_utf8_lossy(&case[..case.len().min(60)]).into_owned();
        let answer = http::exchange(&scene.socket(), case).unwrap_or_default();
        let response = http::parse(&answer);
        assert!(response.as_ref().is_none_or(|response| response.status >= 400), "{shown:?}: {response:?}");
    }
    good.write_all(b"GET /v1/status HTTP/1.1\r\nhost: dagd\r\nconnection: close\r\n\r\n").unwrap();
    assert_eq!(http::parse(&http::read_answer(&mut good)).unwrap().status, 200);
    daemon.expect_healthy();
}

#[test]
fn a_request_that_makes_no_sense_is_answered_with_what_is_wrong() {
    let scene = Scene::with(&["faults"]).build();
    let mut daemon = scene.start();
    let error = |response: http::Response| response.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(error(daemon.get("/v1/nothing").expect(404)).contains("/v1/nothing"));
    assert!(error(daemon.post("/v1/status", &json!({})).expect(405)).contains("POST"));
    assert!(error(daemon.post("/v1/runs", &json!({ "pipelines": 1 })).expect(400)).contains("pipelines"));
    let raw = b"POST /v1/runs HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 5\r\n\r\n{\"a\":";
    let broken = http::parse(&http::exchange(&scene.socket(), raw).unwrap()).unwrap();
    assert!((400..500).contains(&broken.status), "{broken:?}");
    assert!(broken.json()["error"]["message"].is_string());
    assert!(error(daemon.get("/v1/runs?limit=many").expect(400)).contains("limit"));
    daemon.expect_healthy();
}

#[test]
fn a_body_of_a_gigabyte_is_refused_without_being_kept() {
    let scene = Scene::with(&["faults"]).build();
    let mut daemon = scene.start();
    let before = processes::resident_kib(daemon.pid());
    for head in ["content-length: 1073741824", "transfer-encoding: chunked"] {
        let chunked = head.starts_with("transfer");
        let mut stream = http::connect(&scene.socket()).unwrap();
        let head = format!(
            "POST /v1/runs HTTP/1.1\r\nhost: dagd\r\nconnection: close\r\ncontent-type: application/json\r\n{head}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let piece = vec![b' '; 1 << 20];
        for _ in 0..1024 {
            let sent = if chunked {
                stream
                    .write_all(b"100000\r\n")
                    .and_then(|()| stream.write_all(&piece))
                    .and_then(|()| stream.write_all(b"\r\n"))
            } else {
                stream.write_all(&piece)
            };
            if sent.is_err() {
                break; // The server has heard enough.
            }
        }
        let answer = http::parse(&http::read_answer(&mut stream));
        assert_eq!(answer.as_ref().map(|answer| answer.status), Some(413), "{answer:?}");
        let message = answer.unwrap().json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("64 MiB"), "{message}");
    }
    let grown_mib = processes::resident_kib(daemon.pid()).saturating_sub(before) >> 10;
    assert!(grown_mib < 256, "the server grew by {grown_mib} MiB");
    daemon.expect_healthy();
}
