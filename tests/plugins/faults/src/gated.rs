//! A dataset type that takes its time, fails, or does not know whether it is there.

use std::path::Path;
use std::time::Duration;

use plugin_api::prelude::*;

/// Text in a file; a save waits for the file `gate`.
#[derive(Default)]
pub struct Gated;

#[derive(Deserialize)]
#[serde(crate = "plugin_api::serde", deny_unknown_fields)]
struct Options {
    /// A save waits until this file exists.
    gate: Option<String>,
    /// A save fails in the end.
    #[serde(default)]
    fails: bool,
    /// What comes of asking whether it exists: `fails`, `crashes`, or the truth.
    exists: Option<String>,
}

impl Dataset for Gated {
    const NAME: &'static str = "gated";
    const DOC: &'static str = "Text in a file, saved when a gate opens.";
    const LOADS: &'static [&'static str] = &["text"];
    const SAVES: &'static [&'static str] = &["text"];

    fn load(&self, request: &LoadRequest) -> Result<()> {
        request.give(Text::from(std::fs::read_to_string(request.path()?)?))
    }

    fn save(&self, request: &SaveRequest) -> Result<()> {
        let options: Options = request.options()?;
        let text: Text = request.take()?;
        while options.gate.as_deref().is_some_and(|gate| !Path::new(gate).exists()) {
            request.check_cancelled()?;
            std::thread::sleep(Duration::from_millis(2));
        }
        ensure!(!options.fails, "the disk is on strike");
        Ok(std::fs::write(request.path()?, text.as_bytes())?)
    }

    fn exists(&self, request: &DatasetRequest) -> Result<bool> {
        let options: Options = request.options()?;
        match options.exists.as_deref() {
            Some("fails") => bail!("the server does not say"),
            Some("crashes") => std::process::abort(),
            _ => Ok(request.path()?.exists()),
        }
    }
}
