//! `ctl graph`: draws a pipeline.

use std::path::Path;

use protocol::{Graph, exit, path};

use crate::args::{GraphCommand, GraphFormat, PipelineCommand};
use crate::error::Error;
use crate::render::graph;
use crate::screen::Screen;
use crate::session::Session;
use crate::source;

pub(super) async fn perform(command: &GraphCommand, socket: Option<&Path>, screen: &mut Screen) -> Result<u8, Error> {
    let PipelineCommand { pipeline, run, daemon } = &command.pipeline;
    let submission = source::submission(pipeline, run)?;
    let session = Session::open(socket, daemon)?;
    let answer = session.client.post::<Graph>(path::GRAPH, &submission).await;
    let drawn = session.close(answer).await.map_err(|error| error.about(&submission))?;
    match command.format {
        _ if screen.json => screen.print_json(&drawn)?,
        GraphFormat::Json => screen.print_json(&drawn)?,
        GraphFormat::Text => screen.print(&graph::text(&drawn, command.layers, screen.out_paint))?,
        GraphFormat::Dot => screen.print(&graph::dot(&drawn, command.layers))?,
        GraphFormat::Mermaid => screen.print(&graph::mermaid(&drawn, command.layers))?,
    }
    Ok(exit::OK)
}
