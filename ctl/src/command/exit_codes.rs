//! `ctl exit-codes`: what they mean.

use protocol::exit;
use serde_json::json;

use crate::args;
use crate::error::Error;
use crate::screen::Screen;

pub(super) fn perform(screen: &mut Screen) -> Result<u8, Error> {
    if screen.json {
        let codes = exit::TABLE.map(|(code, meaning)| json!({ "code": code, "meaning": meaning }));
        screen.print_json(&codes)?;
    } else {
        screen.print(&args::exit_codes_text())?;
    }
    Ok(exit::OK)
}
