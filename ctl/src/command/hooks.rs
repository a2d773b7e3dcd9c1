//! `ctl hooks`: which hooks are called, in which order, and why the others are off.

use std::path::Path;

use protocol::{HookList, path};

use super::show;
use crate::args::DaemonArgs;
use crate::error::Error;
use crate::render::listing;
use crate::screen::Screen;
use crate::session::Session;

pub(super) async fn perform(daemon: &DaemonArgs, socket: Option<&Path>, screen: &mut Screen) -> Result<u8, Error> {
    let session = Session::open(socket, daemon)?;
    let answer = session.client.get::<HookList>(path::HOOKS).await;
    let list = session.close(answer).await?;
    if list.hooks.is_empty() && !screen.json {
        screen.note("no plugin offers hooks");
    }
    show(screen, &list, listing::hooks)
}
