//! `ctl resume`: runs what of a run did not finish, and watches it like a submitted one.

use std::path::Path;

use protocol::{ResumeRequest, RunSummary, path};

use super::submit;
use crate::args::ResumeCommand;
use crate::error::Error;
use crate::follow::Interrupts;
use crate::screen::Screen;
use crate::session::Session;
use crate::source;

pub(super) async fn perform(command: &ResumeCommand, socket: Option<&Path>, screen: &mut Screen) -> Result<u8, Error> {
    let request = ResumeRequest { credentials: source::credentials(&command.credentials)? };
    let session = Session::of_service(socket);
    let mut interrupts = Interrupts::take()?;
    let summary: RunSummary = session.client.post(&path::run_resume(&command.run.id), &request).await?;
    submit::watch(&session, &summary, (command.detach, command.quiet), &[], &mut interrupts, screen).await
}
