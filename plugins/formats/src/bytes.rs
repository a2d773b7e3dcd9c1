//! Files as bytes.

use plugin_api::dataset::{ChunkSession, Dataset, DatasetRequest, LoadRequest, SaveRequest};
use plugin_api::{Bytes, Result};

use crate::beside;
use crate::options::NoOptions;
use crate::problem::Problem;
use crate::session::ByteSession;
use crate::source;

/// Any bytes in a file; packed if the path ends in .gz or .zst.
#[derive(Default)]
pub struct BytesFile;

impl Dataset for BytesFile {
    const NAME: &'static str = "bytes";
    const DOC: &'static str = "Any bytes in a file; packed if the path ends in .gz or .zst.";
    const LOADS: &'static [&'static str] = &["bytes"];
    const SAVES: &'static [&'static str] = &["bytes", "text"];
    const APPENDS: bool = true;

    fn load(&self, request: &LoadRequest) -> Result<()> {
        let NoOptions {} = request.options()?;
        request.give(Bytes::from(source::read(request.path()?).map_err(Problem::into_error)?))
    }

    fn save(&self, request: &SaveRequest) -> Result<()> {
        let NoOptions {} = request.options()?;
        let block = request.block()?;
        beside::replace(request.path()?, |out| Ok(out.write_all(&block.bytes)?)).map_err(Problem::into_error)
    }

    fn begin(&self, request: &DatasetRequest) -> Result<Box<dyn ChunkSession>> {
        let NoOptions {} = request.options()?;
        ByteSession::begin(request)
    }
}
