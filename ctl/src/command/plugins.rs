//! `ctl plugins`: what is loaded, and what was set aside.

use std::path::Path;

use protocol::{PluginList, path};

use super::show;
use crate::args::DaemonArgs;
use crate::error::Error;
use crate::render::listing;
use crate::screen::Screen;
use crate::session::Session;

pub(super) async fn perform(daemon: &DaemonArgs, socket: Option<&Path>, screen: &mut Screen) -> Result<u8, Error> {
    let session = Session::open(socket, daemon)?;
    let answer = session.client.get::<PluginList>(path::PLUGINS).await;
    let list = session.close(answer).await?;
    show(screen, &list, listing::plugins)
}
