//! Bytes go in and come out in pieces, bounded, and what went wrong is told in the usual shape.

use super::serve;

#[test]
fn an_output_is_streamed_whole_and_counts_as_fetched_then() {
    let served = serve();
    let answer = served.get("/v1/runs/r1/outputs/model");
    assert_eq!((answer.status, answer.body.len()), (200, 1_000_000));
    assert!(answer.body.bytes().all(|byte| byte == b'x'));
    for header in ["content-type: text/plain", "content-length: 1000000", "x-dagd-metadata: {\"a\":1}"] {
        assert!(answer.head.contains(header), "{}", answer.head);
    }
    assert_eq!(*served.pretend.fetched.lock().unwrap(), ["model"]);
}

#[test]
fn an_output_that_is_not_there_says_why() {
    let served = serve();
    let missing = served.get("/v1/runs/r1/outputs/modle");
    assert_eq!((missing.status, missing.code().as_str()), (404, "no-such-output"));
    assert!(missing.body.contains("did you mean"), "{}", missing.body);
    let gone = served.get("/v1/runs/r1/outputs/gone");
    assert_eq!((gone.status, gone.code().as_str()), (410, "output-gone"));
    assert_eq!(served.get("/v1/runs/r2/outputs/model").code(), "no-such-run");
    assert_eq!(served.get("/v1/runs/r1/outputs/model?sa=csv").code(), "bad-query");
    assert!(served.pretend.fetched.lock().unwrap().is_empty());
}

#[test]
fn an_upload_is_bounded_by_the_budget_and_in_number() {
    let served = serve();
    let first = served.ask("POST", "/v1/blocks", &"x".repeat(600_000));
    assert_eq!((first.status, &first.json()["bytes"]), (201, &600_000.into()));
    // Beside the first one it does not fit; announced or not.
    let second = "x".repeat(600_000);
    assert_eq!(served.ask("POST", "/v1/blocks", &second).code(), "upload-too-large");
    let chunked = format!(
        "POST /v1/blocks HTTP/1.1\r\nHost: d\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        second.len()
    );
    assert_eq!(served.send(&chunked).code(), "upload-too-large");
    assert_eq!(served.ask("POST", "/v1/blocks", "y").status, 201);
    let third = served.ask("POST", "/v1/blocks", "z");
    assert_eq!((third.status, third.code().as_str()), (429, "too-many-uploads"));
}
