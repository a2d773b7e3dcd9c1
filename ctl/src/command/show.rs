//! `ctl show`: what became of a run.

use std::path::Path;

use protocol::{RunDetail, path};

use super::show;
use crate::error::Error;
use crate::render::report::{self, Left, Rows};
use crate::screen::Screen;
use crate::session::Session;

pub(super) async fn perform(id: &str, socket: Option<&Path>, screen: &mut Screen) -> Result<u8, Error> {
    let run: RunDetail = Session::of_service(socket).client.get(&path::run(id)).await?;
    show(screen, &run, |run, paint| report::report(run, &Rows::All, paint) + &report::left(run, Left::InService, paint))
}
