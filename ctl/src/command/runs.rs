//! `ctl runs`: the runs there are.

use std::path::Path;

use protocol::{RunList, path};

use super::show;
use crate::args::RunsCommand;
use crate::error::Error;
use crate::render::listing;
use crate::screen::Screen;
use crate::session::Session;

pub(super) async fn perform(command: &RunsCommand, socket: Option<&Path>, screen: &mut Screen) -> Result<u8, Error> {
    let list: RunList = Session::of_service(socket).client.get(&query(command)).await?;
    if list.runs.is_empty() && !screen.json {
        screen.note("no runs");
    }
    show(screen, &list, listing::runs)
}

fn query(command: &RunsCommand) -> String {
    let state = command.state.map(|state| format!("state={state}"));
    let limit = command.limit.map(|limit| format!("limit={limit}"));
    let wanted: Vec<String> = state.into_iter().chain(limit).collect();
    if wanted.is_empty() { path::RUNS.to_owned() } else { format!("{}?{}", path::RUNS, wanted.join("&")) }
}

#[cfg(test)]
mod tests {
    use protocol::RunState;

    use super::*;

    #[test]
    fn a_filter_becomes_a_query() {
        assert_eq!(query(&RunsCommand { state: None, limit: None }), "/v1/runs");
        let both = RunsCommand { state: Some(RunState::Failed), limit: Some(3) };
        assert_eq!(query(&both), "/v1/runs?state=failed&limit=3");
    }
}
