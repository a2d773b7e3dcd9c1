//! `ctl output`: what a run has made, listed or fetched.

use std::path::Path;

use protocol::{OutputList, exit, path};

use super::show;
use crate::args::{OutputCommand, Wanted};
use crate::error::Error;
use crate::outputs;
use crate::render::blocks;
use crate::screen::Screen;
use crate::session::Session;

pub(super) async fn perform(command: &OutputCommand, socket: Option<&Path>, screen: &mut Screen) -> Result<u8, Error> {
    let client = Session::of_service(socket).client;
    match &command.name {
        None => {
            let list: OutputList = client.get(&path::run_outputs(&command.id)).await?;
            show(screen, &list, blocks::outputs)
        }
        Some(name) => {
            let wanted = Wanted { name: name.clone(), file: command.to.clone() };
            outputs::check(std::slice::from_ref(&wanted), screen.json)?;
            outputs::fetch(&client, &command.id, &[wanted], screen).await?;
            Ok(exit::OK)
        }
    }
}
