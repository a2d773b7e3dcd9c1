//! Compression by the path's suffix: `.gz`, `.zst`, or none.

use std::io::{self, Read, Write};
use std::path::Path;

/// How a file's bytes are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As they are.
    Plain,
    /// gzip (`.gz`).
    Gzip,
    /// Zstandard (`.zst`).
    Zstandard,
}

impl Compression {
    /// Tells it from the path's suffix.
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Self::Gzip,
            Some("zst") => Self::Zstandard,
            _ => Self::Plain,
        }
    }

    /// Unpacks what `file` gives.
    pub fn reader(self, file: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::Plain => Box::new(file),
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(file)),
            Self::Zstandard => Box::new(zstd::Decoder::new(file)?),
        })
    }

    /// Lets `write` produce the content and packs it into `file`.
    pub fn write<E: From<io::Error>>(
        self,
        file: &mut (dyn Write + Send),
        write: impl FnOnce(&mut (dyn Write + Send)) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Self::Plain => write(file),
            Self::Gzip => {
                let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::default());
                write(&mut packed)?;
                packed.finish()?;
                Ok(())
            }
            Self::Zstandard => {
                let mut packed = zstd::Encoder::new(file, zstd::DEFAULT_COMPRESSION_LEVEL)?;
                write(&mut packed)?;
                packed.finish()?;
                Ok(())
            }
        }
    }
}
