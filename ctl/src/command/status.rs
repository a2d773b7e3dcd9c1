//! `ctl status`: how the daemon is.

use std::path::Path;

use protocol::{Status, path};

use super::show;
use crate::error::Error;
use crate::render::listing;
use crate::screen::Screen;
use crate::session::Session;

pub(super) async fn perform(socket: Option<&Path>, screen: &mut Screen) -> Result<u8, Error> {
    let status: Status = Session::of_service(socket).client.get(path::STATUS).await?;
    show(screen, &status, listing::status)
}
