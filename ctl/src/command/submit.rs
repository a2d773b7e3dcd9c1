//! `ctl submit`: hands a pipeline to the daemon and, unless told otherwise, watches the run.

use std::path::Path;

use protocol::{RunDetail, RunSummary, exit, path};
use serde_json::json;

use crate::args::SubmitCommand;
use crate::error::Error;
use crate::follow::{Ended, Interrupts, OnInterrupt, Watcher, follow};
use crate::render::paint::harmless;
use crate::render::report::{self, Rows};
use crate::screen::Screen;
use crate::session::Session;
use crate::source;

pub(super) async fn perform(command: &SubmitCommand, socket: Option<&Path>, screen: &mut Screen) -> Result<u8, Error> {
    let submission = source::submission(&command.pipeline, &command.run)?;
    let session = Session::of_service(socket);
    // A Ctrl-C while the daemon plans must not leave a run that nobody was told of.
    let mut interrupts = Interrupts::take()?;
    let summary: RunSummary =
        session.client.post_over_restart(path::RUNS, &submission).await.map_err(|error| error.about(&submission))?;
    if command.detach {
        if screen.json {
            screen.print_json(&summary)?;
        } else {
            screen.print(&harmless(&summary.id))?;
        }
        return Ok(exit::OK);
    }
    if screen.json {
        screen.print_json_line(&json!({ "kind": "submitted", "run": summary }))?;
    }
    let mut watcher = Watcher::suited(screen, &summary, command.quiet);
    let leave = OnInterrupt::Leave;
    match follow(&session.client, &summary.id, &mut watcher, &mut interrupts, leave, true, screen).await? {
        Ended::Finished(detail) => {
            let others = format!("ctl show {}", harmless(&summary.id));
            report(&detail, &Rows::at_the_end(others), screen)
        }
        Ended::Left | Ended::Abandoned => {
            let id = harmless(&summary.id);
            screen.note(&format!(
                "run {id} goes on\n  ctl logs --follow {id}   watches it\n  ctl show {id}            tells how it went\n  ctl cancel {id}          ends it"
            ));
            Ok(exit::OK)
        }
    }
}

/// Shows the report of a run that is over; its state is the exit code, even if nobody reads the report.
pub(super) fn report(detail: &RunDetail, rows: &Rows, screen: &mut Screen) -> Result<u8, Error> {
    let shown = if screen.json {
        screen.print_json_line(&json!({ "kind": "report", "run": detail }))
    } else {
        let text = report::report(detail, rows, screen.out_paint);
        screen.print(&text)
    };
    match shown.and_then(|()| screen.finish()) {
        Ok(()) | Err(Error::ClosedPipe) => Ok(exit::of_state(detail.summary.state)),
        Err(error) => Err(error),
    }
}
