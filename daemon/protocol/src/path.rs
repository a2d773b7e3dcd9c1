//! Paths of the API; the constants are axum's patterns, the functions fill them in.

/// `GET`: how the daemon is.
pub const STATUS: &str = "/v1/status";
/// `GET`: whether control and scheduler answer.
pub const HEALTH: &str = "/v1/health";
/// `GET`: list of runs. `POST`: submit one.
pub const RUNS: &str = "/v1/runs";
/// `GET`: one run.
pub const RUN: &str = "/v1/runs/{id}";
/// `GET`: its events, as they happen.
pub const RUN_EVENTS: &str = "/v1/runs/{id}/events";
/// `GET`: its log.
pub const RUN_LOGS: &str = "/v1/runs/{id}/logs";
/// `POST`: cancel it.
pub const RUN_CANCEL: &str = "/v1/runs/{id}/cancel";
/// `POST`: check a pipeline.
pub const VALIDATE: &str = "/v1/validate";
/// `POST`: draw a pipeline.
pub const GRAPH: &str = "/v1/graph";
/// `GET`: the plugins.
pub const PLUGINS: &str = "/v1/plugins";
/// `POST`: load the plugins anew.
pub const RELOAD: &str = "/v1/reload";
/// `GET`: the nodes they offer.
pub const NODES: &str = "/v1/nodes";
/// `GET`: the hooks they offer.
pub const HOOKS: &str = "/v1/hooks";
/// `GET`: the description of all this.
pub const OPENAPI: &str = "/openapi.json";

/// Path of one run.
pub fn run(id: &str) -> String {
    fill(RUN, id)
}

/// Path of a run's events after the first `from`.
pub fn run_events(id: &str, from: u64) -> String {
    format!("{}?from={from}", fill(RUN_EVENTS, id))
}

/// Path of a run's log lines from number `from` on.
pub fn run_logs(id: &str, from: u64) -> String {
    format!("{}?from={from}", fill(RUN_LOGS, id))
}

/// Path that cancels a run.
pub fn run_cancel(id: &str) -> String {
    fill(RUN_CANCEL, id)
}

fn fill(pattern: &str, id: &str) -> String {
    pattern.replace("{id}", &encode(id))
}

/// Writes one path segment or query value so that it stays one: everything but letters, digits and `-_.~` as `%XX`.
pub fn encode(segment: &str) -> String {
    let mut encoded = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_one_segment() {
        assert_eq!(run("a/../b c"), "/v1/runs/a%2F..%2Fb%20c");
        assert_eq!(run_events("r-1", 7), "/v1/runs/r-1/events?from=7");
    }
}
