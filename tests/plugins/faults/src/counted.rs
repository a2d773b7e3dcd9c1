//! A dataset type that leaves a trace of each load: how often something was really read.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use plugin_api::prelude::*;

/// Text in a file; a load adds a line to the file that `trace` names, and waits for the file `gate`, if one is named.
#[derive(Default)]
pub struct Counted;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    trace: String,
    gate: Option<String>,
    /// Makes the text so many times as long.
    #[serde(default = "once")]
    times: usize,
}

fn once() -> usize {
    1
}

impl Dataset for Counted {
    const NAME: &'static str = "counted";
    const DOC: &'static str = "Text in a file, with a trace of each load.";
    const LOADS: &'static [&'static str] = &["text"];
    const SAVES: &'static [&'static str] = &["text"];

    fn load(&self, request: &LoadRequest) -> Result<()> {
        let options: Options = request.options()?;
        let mut trace = File::options().append(true).create(true).open(&options.trace)?;
        writeln!(trace, "{}", request.run())?;
        while options.gate.as_deref().is_some_and(|gate| !Path::new(gate).exists()) {
            request.check_cancelled()?;
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        request.give(Text::from(std::fs::read_to_string(request.path()?)?.repeat(options.times)))
    }

    fn save(&self, request: &SaveRequest) -> Result<()> {
        let text: Text = request.take()?;
        Ok(std::fs::write(request.path()?, text.as_bytes())?)
    }
}
