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
/// `GET`: what it has made for others.
pub const RUN_OUTPUTS: &str = "/v1/runs/{id}/outputs";
/// `GET`: the bytes of one of them.
pub const RUN_OUTPUT: &str = "/v1/runs/{id}/outputs/{name}";
/// `GET`: the pipelines that have run.
pub const PIPELINES: &str = "/v1/pipelines";
/// `POST`: cancel it.
pub const RUN_CANCEL: &str = "/v1/runs/{id}/cancel";
/// `POST`: run what of it did not finish, as a new run.
pub const RUN_RESUME: &str = "/v1/runs/{id}/resume";
/// `POST`: check a pipeline.
pub const VALIDATE: &str = "/v1/validate";
/// `POST`: draw a pipeline.
pub const GRAPH: &str = "/v1/graph";
/// `POST`: what is in a pipeline: nodes, datasets, types, parameters. The same answer as [`GRAPH`].
pub const SNAPSHOT: &str = "/v1/snapshot";
/// `POST`: what a pipeline's catalog makes of names.
pub const CATALOG: &str = "/v1/catalog";
/// `POST`: whether the data of its datasets is there.
pub const CATALOG_EXISTS: &str = "/v1/catalog/exists";
/// `POST`: the versions of its datasets.
pub const CATALOG_VERSIONS: &str = "/v1/catalog/versions";
/// `GET`: the plugins.
pub const PLUGINS: &str = "/v1/plugins";
/// `POST`: load the plugins anew.
pub const RELOAD: &str = "/v1/reload";
/// `GET`: the nodes they offer.
pub const NODES: &str = "/v1/nodes";
/// `GET`: the hooks they offer.
pub const HOOKS: &str = "/v1/hooks";
/// `POST`: send bytes that a run is to read.
pub const BLOCKS: &str = "/v1/blocks";
/// `GET`: the blocks in memory.
pub const DATASETS: &str = "/v1/datasets";
/// `POST`: drop resident datasets.
pub const DATASETS_EVICT: &str = "/v1/datasets/evict";
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

/// Path of a run's outputs.
pub fn run_outputs(id: &str) -> String {
    fill(RUN_OUTPUTS, id)
}

/// Path of one output; with `file_name`, in the format that its ending tells.
pub fn run_output(id: &str, name: &str, file_name: Option<&str>) -> String {
    let path = fill(RUN_OUTPUT, id).replace("{name}", &encode(name));
    file_name.map_or_else(|| path.clone(), |file_name| format!("{path}?as={}", encode(file_name)))
}

/// Path that cancels a run.
pub fn run_cancel(id: &str) -> String {
    fill(RUN_CANCEL, id)
}

/// Path that resumes a run.
pub fn run_resume(id: &str) -> String {
    fill(RUN_RESUME, id)
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
