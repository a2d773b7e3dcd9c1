//! `ctl reload`: has the daemon load its plugins and its configuration anew.

use std::path::Path;

use protocol::{ReloadOptions, ReloadReport, exit, path};

use super::show;
use crate::args::ReloadCommand;
use crate::error::Error;
use crate::render;
use crate::screen::Screen;
use crate::session::Session;

pub(super) async fn perform(command: &ReloadCommand, socket: Option<&Path>, screen: &mut Screen) -> Result<u8, Error> {
    let options = ReloadOptions { dry_run: command.dry_run, rollback: command.rollback, force: command.force };
    let report: ReloadReport = Session::of_service(socket).client.post(path::RELOAD, &options).await?;
    if !screen.json {
        for warning in &report.warnings {
            screen.warn(&render::paint::harmless(warning));
        }
    }
    show(screen, &report, render::reload::report)?;
    // Only a dry run is answered with the reasons against it; otherwise they are the error.
    Ok(if report.problems.is_empty() { exit::OK } else { exit::PROBLEMS })
}
