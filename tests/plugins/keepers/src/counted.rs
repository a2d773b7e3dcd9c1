//! A dataset type that writes down what it is asked, and in which process.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use plugin_api::dataset::{Dataset, DatasetRequest, LoadRequest, SaveRequest};
use plugin_api::prelude::*;

#[derive(Deserialize)]
#[serde(crate = "plugin_api::serde", deny_unknown_fields)]
struct Options {
    journal: PathBuf,
    /// Fails to let go.
    #[serde(default)]
    clings: bool,
}

/// Gives the word "counted"; keeps nothing.
#[derive(Default)]
pub struct Counted;

impl Counted {
    fn note(request: &DatasetRequest, what: &str) -> Result<Options> {
        let options: Options = request.options()?;
        let mut file = File::options().append(true).create(true).open(&options.journal)?;
        // One write, so that lines of two processes never mix.
        file.write_all(format!("{what} {} {}\n", request.name(), std::process::id()).as_bytes())?;
        Ok(options)
    }
}

impl Dataset for Counted {
    const NAME: &'static str = "journalled";
    const LOADS: &'static [&'static str] = &["text"];
    const SAVES: &'static [&'static str] = &["text"];
    const RELEASES: bool = true;

    fn load(&self, request: &LoadRequest) -> Result<()> {
        Counted::note(request, "load")?;
        request.give(Text::from("counted"))
    }

    fn save(&self, request: &SaveRequest) -> Result<()> {
        Counted::note(request, "save").map(drop)
    }

    fn exists(&self, request: &DatasetRequest) -> Result<bool> {
        Counted::note(request, "exists").map(|_| true)
    }

    fn release(&self, request: &DatasetRequest) -> Result<()> {
        let options = Counted::note(request, "release")?;
        if options.clings { Err(Error::new("it clings")) } else { Ok(()) }
    }
}
