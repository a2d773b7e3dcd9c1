//! Compression by the path's suffix: `.gz`, `.zst`, or none.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt as _;
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

    /// Tells it from the path's suffix or, where the path is no name but a descriptor, from the first bytes.
    pub fn of_file(path: &Path, file: &File) -> Self {
        if !path.starts_with("/proc/self/fd") {
            return Self::of(path);
        }
        let mut start = [0; 4];
        match file.read_at(&mut start, 0) {
            Ok(2..) if start.starts_with(&[0x1f, 0x8b]) => Self::Gzip,
            Ok(4) if start == [0x28, 0xb5, 0x2f, 0xfd] => Self::Zstandard,
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

    /// Packs what is written into `file`.
    pub fn writer<W: Write>(self, file: W) -> io::Result<Packer<W>> {
        Ok(match self {
            Self::Plain => Packer::Plain(file),
            Self::Gzip => Packer::Gzip(flate2::write::GzEncoder::new(file, flate2::Compression::default())),
            Self::Zstandard => Packer::Zstandard(zstd::Encoder::new(file, zstd::DEFAULT_COMPRESSION_LEVEL)?),
        })
    }
}

/// Packs what is written to it.
pub enum Packer<W: Write> {
    /// As it is.
    Plain(W),
    /// gzip.
    Gzip(flate2::write::GzEncoder<W>),
    /// Zstandard.
    Zstandard(zstd::Encoder<'static, W>),
}

impl<W: Write> Packer<W> {
    /// Writes what is still held back and gives the file.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(file) => Ok(file),
            Self::Gzip(packed) => packed.finish(),
            Self::Zstandard(packed) => packed.finish(),
        }
    }

    fn inner(&mut self) -> &mut dyn Write {
        match self {
            Self::Plain(file) => file,
            Self::Gzip(packed) => packed,
            Self::Zstandard(packed) => packed,
        }
    }
}

impl<W: Write> Write for Packer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner().flush()
    }
}
