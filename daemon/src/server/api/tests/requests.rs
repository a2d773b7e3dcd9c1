//! What each request answers.

use protocol::{BODY_BYTES_MAX, RunDetail, RunSummary, Submission};
use std::io::Write as _;
use std::sync::atomic::Ordering;

use super::{pretend, read_answer, serve};

const SUBMISSION: &str = r#"{"pipeline":{"name":"p.toml","text":""}}"#;

fn with_id(id: &str) -> String {
    let mut submission: Submission = serde_json::from_str(SUBMISSION).unwrap();
    submission.run_id = Some(id.to_owned());
    serde_json::to_string(&submission).unwrap()
}

#[test]
fn every_resource_answers_with_its_type() {
    let served = serve();
    for (path, key) in [
        ("/v1/status", "version"),
        ("/v1/plugins", "generation"),
        ("/v1/nodes", "nodes"),
        ("/v1/hooks", "hooks"),
        ("/v1/runs", "runs"),
        ("/openapi.json", "openapi"),
        ("/v1/runs/r1/logs", "lines"),
    ] {
        let answer = served.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert!(answer.head.contains("content-type: application/json"), "{path}: {answer:?}");
        assert!(!answer.json()[key].is_null(), "{path}: {answer:?}");
    }
    let detail: RunDetail = serde_json::from_str(&served.get("/v1/runs/r1").body).unwrap();
    assert_eq!(detail, pretend::detail());
}

#[test]
fn a_submission_is_answered_with_the_run_and_where_it_is() {
    let served = serve();
    let answer = served.ask("POST", "/v1/runs", SUBMISSION);
    assert_eq!(answer.status, 201);
    assert!(answer.head.contains("location: /v1/runs/r1"), "{answer:?}");
    assert_eq!(serde_json::from_str::<RunSummary>(&answer.body).unwrap(), pretend::summary());
    assert_eq!(served.pretend.submitted.load(Ordering::Relaxed), 1);
    assert_eq!(served.ask("POST", "/v1/validate", SUBMISSION).status, 200);
    assert_eq!(served.ask("POST", "/v1/graph", SUBMISSION).json()["nodes"][0]["name"], "a");
}

#[test]
fn who_waits_for_the_end_is_answered_with_the_report() {
    let served = serve();
    let answer = served.ask("POST", "/v1/runs?wait=true", SUBMISSION);
    assert_eq!(answer.status, 201);
    assert!(answer.head.contains("location: /v1/runs/r1"), "{answer:?}");
    assert_eq!(serde_json::from_str::<RunDetail>(&answer.body).unwrap(), pretend::detail());
    let broken = SUBMISSION.replace("\"text\":\"\"", "\"text\":\"broken\"");
    assert_eq!(served.ask("POST", "/v1/runs?wait=true", &broken).status, 422);
}

#[test]
fn every_problem_of_a_pipeline_is_in_the_answer() {
    let served = serve();
    let broken = SUBMISSION.replace("\"text\":\"\"", "\"text\":\"broken\"");
    for path in ["/v1/runs", "/v1/validate", "/v1/graph"] {
        let answer = served.ask("POST", path, &broken);
        assert_eq!((answer.status, answer.code().as_str()), (422, "problems"), "{path}");
        let problems = &answer.json()["error"]["problems"];
        assert_eq!(*problems, serde_json::to_value([pretend::problem()]).unwrap());
    }
}

#[test]
fn what_is_wrong_with_a_request_has_its_own_answer() {
    let served = serve();
    let post = |body: &str| served.ask("POST", "/v1/runs", body);
    let cases = [
        (post("{"), 400, "bad-submission"),
        (post(""), 400, "bad-submission"),
        (post(r#"{"pipeline":{"name":"p","text":""},"max_worker":1}"#), 400, "bad-submission"),
        (post(&with_id("taken")), 409, "id-taken"),
        (post(&with_id("bad id")), 400, "bad-id"),
        (post(&with_id("later")), 503, "unavailable"),
        (served.get("/v1/runs/r2"), 404, "no-such-run"),
        (served.get("/v1/runs/r2/logs"), 404, "no-such-run"),
        (served.get("/v1/runs/r2/events"), 404, "no-such-run"),
        (served.get("/v1/runs/%FF"), 400, "bad-path"),
        (served.get("/v1/runs?state=done"), 400, "bad-query"),
        (served.get("/v1/runs?limit=-1"), 400, "bad-query"),
        (served.get("/v1/runs?stat=running"), 400, "bad-query"),
        (served.get("/v1/runs/r1/logs?from=x"), 400, "bad-query"),
        (served.get("/v1/runs/r1/events?from=x"), 400, "bad-query"),
        (served.ask("POST", "/v1/runs/r2/cancel", ""), 404, "no-such-run"),
        (served.get("/v2/status"), 404, "no-such-path"),
        (served.get("/"), 404, "no-such-path"),
        (served.ask("DELETE", "/v1/runs/r1", ""), 405, "wrong-method"),
        (served.get("/v1/runs/r1/cancel"), 405, "wrong-method"),
    ];
    for (answer, status, code) in cases {
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{answer:?}");
        assert!(!answer.json()["error"]["message"].as_str().unwrap().is_empty());
    }
    let misspelt = post(r#"{"pipeline":{"name":"p","text":""},"max_worker":1}"#);
    assert!(misspelt.body.contains("max_worker"), "{misspelt:?}");
    assert_eq!(served.pretend.submitted.load(Ordering::Relaxed), 0);
}

#[test]
fn cancelling_twice_is_no_mistake() {
    let served = serve();
    assert_eq!(served.ask("POST", "/v1/runs/r1/cancel", "").json()["state"], "running");
    assert_eq!(served.ask("POST", "/v1/runs/over/cancel", "").json()["state"], "succeeded");
}

#[test]
fn the_list_of_runs_is_filtered() {
    let served = serve();
    let count = |query: &str| served.get(&format!("/v1/runs{query}")).json()["runs"].as_array().unwrap().len();
    assert_eq!(count(""), 1);
    assert_eq!(count("?state=running&limit=5"), 1);
    assert_eq!(count("?state=failed"), 0);
    assert_eq!(count("?limit=0"), 0);
}

#[test]
fn a_panic_behind_a_request_is_an_answer() {
    let served = serve();
    served.pretend.status_panics.store(true, Ordering::Relaxed);
    let answer = served.get("/v1/status");
    assert_eq!((answer.status, answer.code().as_str()), (500, "internal"));
    served.pretend.status_panics.store(false, Ordering::Relaxed);
    assert_eq!(served.get("/v1/status").status, 200);
}

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let served = serve();
    let one = "GET /v1/status HTTP/1.1\r\nHost: d\r\n\r\n";
    let last = "GET /v1/status HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n";
    let answer = served.send(&format!("{one}{one}{last}"));
    assert_eq!(answer.body.matches("HTTP/1.1 200 OK").count(), 2, "two more after the first head: {answer:?}");
}

#[test]
fn a_body_that_nobody_asked_for_costs_no_connection() {
    let served = serve();
    let mut stream = served.connect();
    for path in ["/v1/runs/r1/cancel", "/v1/status", "/v1/nowhere"] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        // Time for an answer that does not wait for the body.
        assert_eq!(served.get("/v1/status").status, 200);
        stream.write_all(b"{}").unwrap();
    }
    stream.write_all(b"GET /v1/status HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n").unwrap();
    let answers = read_answer(&mut stream);
    let heads = format!("{}\r\n{}", answers.head, answers.body);
    assert_eq!(heads.to_lowercase().matches("http/1.1 ").count(), 4, "{heads}");
}

#[test]
fn the_largest_body_is_taken() {
    let served = serve();
    let padding = BODY_BYTES_MAX - SUBMISSION.len();
    let answer = served.ask("POST", "/v1/runs", &format!("{SUBMISSION}{}", " ".repeat(padding)));
    assert_eq!(answer.status, 201, "{answer:?}");
}
