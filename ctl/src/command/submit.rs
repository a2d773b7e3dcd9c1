//! `ctl submit`: hands a pipeline to the daemon and, unless told otherwise, watches the run.

use std::path::Path;

use protocol::{LogList, LogSource, RunDetail, RunSummary, exit, path};
use serde_json::json;

use crate::args::{SubmitCommand, Wanted};
use crate::client::Client;
use crate::error::Error;
use crate::follow::{Ended, Interrupts, OnInterrupt, Watcher, follow};
use crate::handed_in;
use crate::outputs;
use crate::render::paint::harmless;
use crate::render::report::{self, Left, Rows};
use crate::screen::Screen;
use crate::session::Session;
use crate::source;

pub(super) async fn perform(command: &SubmitCommand, socket: Option<&Path>, screen: &mut Screen) -> Result<u8, Error> {
    let mut submission = source::submission(&command.pipeline, &command.run)?;
    let wanted = &command.outputs.output;
    submission.outputs = wanted.iter().map(|output| output.name.clone()).collect();
    if let (true, Some(file)) = (command.detach, wanted.iter().find_map(|output| output.file.as_ref())) {
        return Err(Error::usage(format!(
            "--detach does not wait for the run, so nothing is written to {}",
            file.display()
        ))
        .hint("with --output NAME alone the output is kept for `ctl output RUN NAME`"));
    }
    if !command.detach {
        outputs::check(wanted, screen.json)?;
    }
    let files = handed_in::open(&command.pipeline.filing.input)?;
    let session = Session::of_service(socket);
    // A Ctrl-C while the daemon plans must not leave a run that nobody was told of.
    let mut interrupts = Interrupts::take()?;
    handed_in::send(&session.client, files, &mut submission).await?;
    let summary: RunSummary =
        session.client.post_over_restart(path::RUNS, &submission).await.map_err(|error| error.about(&submission))?;
    if command.detach && !(submission.overrides.is_empty() && submission.load_versions.is_empty()) {
        warn(&session.client, &summary.id, screen).await;
    }
    watch(&session, &summary, (command.detach, command.quiet), wanted, &mut interrupts, screen).await
}

/// Shows what the daemon has to say of options of a run whose log nobody will follow.
async fn warn(client: &Client, id: &str, screen: &mut Screen) {
    // It was accepted: that its log is not to be had is no reason to keep its id back.
    let Ok(LogList { lines, .. }) = client.get(&path::run_logs(id, 1)).await else { return };
    for line in lines.iter().filter(|line| line.source == LogSource::Daemon && line.level == "warn") {
        screen.warn(&harmless(&line.message));
    }
}

/// Watches a run that was accepted, unless the caller leaves it (`detach`), and fetches the outputs that were asked for.
pub(super) async fn watch(
    session: &Session,
    summary: &RunSummary,
    (detach, quiet): (bool, bool),
    wanted: &[Wanted],
    interrupts: &mut Interrupts,
    screen: &mut Screen,
) -> Result<u8, Error> {
    if detach {
        if screen.json {
            screen.print_json(summary)?;
        } else {
            screen.print(&harmless(&summary.id))?;
        }
        return Ok(exit::OK);
    }
    if screen.json {
        screen.print_json_line(&json!({ "kind": "submitted", "run": summary }))?;
    }
    let mut watcher = Watcher::suited(screen, summary, quiet);
    let leave = OnInterrupt::Leave;
    match follow(&session.client, &summary.id, &mut watcher, interrupts, leave, true, screen).await? {
        Ended::Finished(detail) => {
            let others = format!("ctl show {}", harmless(&summary.id));
            finish(&session.client, &detail, &Rows::at_the_end(others), Left::InService, wanted, screen).await
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

/// Shows the report of a run that is over, and fetches what was asked for. Where an output goes to standard output, the report goes
/// to standard error.
pub(super) async fn finish(
    client: &Client,
    detail: &RunDetail,
    rows: &Rows,
    left: Left,
    wanted: &[Wanted],
    screen: &mut Screen,
) -> Result<u8, Error> {
    let code = if wanted.iter().any(|output| output.file.is_none()) {
        screen.note(report::report(detail, rows, screen.err_paint).trim_end());
        exit::of_state(detail.summary.state)
    } else {
        report(detail, rows, left, screen)?
    };
    match outputs::fetch(client, &detail.summary.id, wanted, screen).await {
        Ok(()) => Ok(code),
        // The run's own failure says more than that its outputs are missing.
        Err(Error::Failed(complaint)) if code != exit::OK => {
            screen.complain(&complaint);
            Ok(code)
        }
        Err(error) => Err(error),
    }
}

/// Shows the report of a run that is over; its state is the exit code, even if nobody reads the report.
pub(super) fn report(detail: &RunDetail, rows: &Rows, left: Left, screen: &mut Screen) -> Result<u8, Error> {
    let shown = if screen.json {
        screen.print_json_line(&json!({ "kind": "report", "run": detail }))
    } else {
        let text = report::report(detail, rows, screen.out_paint) + &report::left(detail, left, screen.out_paint);
        screen.print(&text)
    };
    match shown.and_then(|()| screen.finish()) {
        Ok(()) | Err(Error::ClosedPipe) => Ok(exit::of_state(detail.summary.state)),
        Err(error) => Err(error),
    }
}
