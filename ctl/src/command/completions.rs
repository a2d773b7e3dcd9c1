//! `ctl completions`: a script that teaches a shell our arguments.

use clap::CommandFactory;
use protocol::exit;

use crate::args::Args;
use crate::error::Error;
use crate::screen::Screen;

pub(super) fn perform(shell: clap_complete::Shell, screen: &mut Screen) -> Result<u8, Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "ctl", &mut script);
    screen.print(&String::from_utf8_lossy(&script))?;
    Ok(exit::OK)
}
