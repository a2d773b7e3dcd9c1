//! `ctl run`: runs a pipeline with a daemon that ends with it.

use protocol::{RunSummary, exit, path};
use serde_json::json;

use super::submit;
use crate::args::RunCommand;
use crate::error::Error;
use crate::follow::{Ended, Interrupts, OnInterrupt, Watcher, follow};
use crate::handed_in;
use crate::outputs;
use crate::render::report::{Left, Rows};
use crate::screen::Screen;
use crate::session::Session;
use crate::source;

pub(super) async fn perform(command: &RunCommand, screen: &mut Screen) -> Result<u8, Error> {
    let mut submission = source::submission(&command.pipeline, &command.run)?;
    submission.outputs = command.outputs.output.iter().map(|output| output.name.clone()).collect();
    outputs::check(&command.outputs.output, screen.json)?;
    let files = handed_in::open(&command.pipeline.filing.input)?;
    let mut session = Session::of_private(&command.private)?;
    let outcome = match handed_in::send(&session.client, files, &mut submission).await {
        Ok(()) => with_daemon(command, &submission, &mut session, screen).await,
        Err(error) => Err(error),
    };
    session.close(outcome).await.map_err(|error| error.about(&submission))
}

async fn with_daemon(
    command: &RunCommand,
    submission: &protocol::Submission,
    session: &mut Session,
    screen: &mut Screen,
) -> Result<u8, Error> {
    // Before the run is submitted: what is wrong with a plugin explains what is wrong with the pipeline.
    session.warn_of_refused_plugins(screen).await?;
    let mut interrupts = Interrupts::take()?;
    let summary: RunSummary = session.client.post(path::RUNS, submission).await?;
    if screen.json {
        screen.print_json_line(&json!({ "kind": "submitted", "run": summary }))?;
    }
    let mut watcher = Watcher::suited(screen, &summary, command.quiet);
    let cancel = OnInterrupt::Cancel;
    let ended = follow(&session.client, &summary.id, &mut watcher, &mut interrupts, cancel, false, screen).await?;
    match ended {
        // The private daemon forgets the run with its end: nothing can be looked up later.
        Ended::Finished(detail) => {
            let rows = Rows::at_the_end("--json tells all");
            let wanted = &command.outputs.output;
            submit::finish(&session.client, &detail, &rows, Left::Forgotten, wanted, screen).await
        }
        Ended::Left | Ended::Abandoned => {
            session.abandon().await;
            Err(Error::new(exit::CANCELLED, "cancelled", "the run was cancelled and not waited for"))
        }
    }
}
