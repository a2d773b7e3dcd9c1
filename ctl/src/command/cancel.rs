//! `ctl cancel`: asks runs to stop.

use std::path::Path;

use protocol::{RunSummary, exit, path};
use serde_json::json;

use crate::error::Error;
use crate::render::paint::harmless;
use crate::screen::Screen;
use crate::session::Session;

/// Asks for each, even if one is unknown; the first that could not be cancelled decides the exit code.
pub(super) async fn perform(ids: &[String], socket: Option<&Path>, screen: &mut Screen) -> Result<u8, Error> {
    let session = Session::of_service(socket);
    let mut code = exit::OK;
    let mut answers: Vec<RunSummary> = Vec::new();
    for id in ids {
        match session.client.post::<RunSummary>(&path::run_cancel(id), &json!({})).await {
            Ok(run) => {
                if !screen.json {
                    screen.print(&told(&run))?;
                }
                answers.push(run);
            }
            Err(Error::Failed(complaint)) if ids.len() > 1 && complaint.exit != exit::UNREACHABLE => {
                screen.complain(&complaint);
                if code == exit::OK {
                    code = complaint.exit;
                }
            }
            Err(error) => return Err(error),
        }
    }
    if screen.json {
        match &answers[..] {
            [one] if ids.len() == 1 => screen.print_json(one)?,
            all => screen.print_json(&json!({ "runs": all }))?,
        }
    }
    Ok(code)
}

fn told(run: &RunSummary) -> String {
    let id = harmless(&run.id);
    if run.state.is_final() {
        format!(
            "run {id} is over: it {}",
            match run.state {
                protocol::RunState::Cancelled => "was cancelled",
                protocol::RunState::Interrupted => "was interrupted",
                other => other.as_str(),
            }
        )
    } else {
        format!("run {id} is being cancelled")
    }
}
