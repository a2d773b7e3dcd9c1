//! `ctl validate`: finds every problem of a pipeline, runs nothing.

use std::path::Path;

use protocol::{Validation, path};

use super::show;
use crate::args::PipelineCommand;
use crate::error::Error;
use crate::render::listing;
use crate::render::paint::harmless;
use crate::screen::Screen;
use crate::session::Session;
use crate::source;

pub(super) async fn perform(
    command: &PipelineCommand,
    socket: Option<&Path>,
    screen: &mut Screen,
) -> Result<u8, Error> {
    let submission = source::submission(&command.pipeline, &command.run)?;
    let session = Session::open(socket, &command.daemon)?;
    let answer = session.client.post::<Validation>(path::VALIDATE, &submission).await;
    let validation = session.close(answer).await.map_err(|error| error.about(&submission))?;
    if !screen.json {
        for warning in &validation.warnings {
            screen.warn(&harmless(warning));
        }
    }
    show(screen, &validation, listing::validation)
}
