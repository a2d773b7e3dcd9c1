//! `ctl datasets`: the blocks in memory; `ctl datasets evict` drops resident ones.

use std::path::Path;

use protocol::{BlockList, EvictRequest, Eviction, path};

use super::show;
use crate::args::{DatasetsAction, DatasetsCommand};
use crate::error::Error;
use crate::render::blocks;
use crate::screen::Screen;
use crate::session::Session;

pub(super) async fn perform(
    command: &DatasetsCommand,
    socket: Option<&Path>,
    screen: &mut Screen,
) -> Result<u8, Error> {
    let client = Session::of_service(socket).client;
    match &command.action {
        None => {
            let list: BlockList = client.get(path::DATASETS).await?;
            show(screen, &list, |list, paint| blocks::list(list, blocks::now_us(), paint))
        }
        Some(DatasetsAction::Evict { names, all }) => {
            let request = EvictRequest { names: names.clone(), all: *all };
            let eviction: Eviction = client.post(path::DATASETS_EVICT, &request).await?;
            show(screen, &eviction, |eviction, _| blocks::eviction(eviction))
        }
    }
}
