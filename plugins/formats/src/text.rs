//! Text files as text.

use plugin_api::dataset::{ChunkSession, Dataset, DatasetRequest, LoadRequest, SaveRequest};
use plugin_api::{Result, Text};

use crate::beside;
use crate::options::NoOptions;
use crate::problem::Problem;
use crate::session::ByteSession;
use crate::source;

/// UTF-8 text in a file; packed if the path ends in .gz or .zst.
#[derive(Default)]
pub struct TextFile;

impl Dataset for TextFile {
    const NAME: &'static str = "text";
    const DOC: &'static str = "UTF-8 text in a file; packed if the path ends in .gz or .zst.";
    const LOADS: &'static [&'static str] = &["text"];
    const SAVES: &'static [&'static str] = &["text"];
    const APPENDS: bool = true;

    fn load(&self, request: &LoadRequest) -> Result<()> {
        let NoOptions {} = request.options()?;
        let path = request.path()?;
        let content = source::read(path).map_err(Problem::into_error)?;
        let text = String::from_utf8(content).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = valid.iter().filter(|&&byte| byte == b'\n').count() + 1;
            Problem::new(format!("line {line} is not UTF-8"))
                .hint("convert the file to UTF-8, or load it as `bytes`")
                .while_reading(path)
                .into_error()
        })?;
        request.give(Text::from(text))
    }

    fn save(&self, request: &SaveRequest) -> Result<()> {
        let NoOptions {} = request.options()?;
        let text: Text = request.take()?;
        beside::replace(request.path()?, |out| Ok(out.write_all(text.as_bytes())?)).map_err(Problem::into_error)
    }

    fn begin(&self, request: &DatasetRequest) -> Result<Box<dyn ChunkSession>> {
        let NoOptions {} = request.options()?;
        ByteSession::begin(request)
    }
}
