//! Reading files: whole, or piece by piece while a second thread unpacks.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};

use crate::compression::Compression;
use crate::problem::{Problem, Result};

/// Enough that handing a piece over costs nothing beside unpacking it, little enough to stay in the cache.
const PIECE_BYTES: usize = 256 << 10;
/// How far unpacking may run ahead.
const PIECES_AHEAD: usize = 8;

/// Opens a file for reading.
pub fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| Problem::reading(path, error))
}

/// Reads a whole file, unpacked.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let file = open(path)?;
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let mut content = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    let reading = |error| Problem::reading(path, error);
    Compression::of_file(path, &file).reader(file).map_err(reading)?.read_to_end(&mut content).map_err(reading)?;
    Ok(content)
}

/// The content of a file, piece by piece.
pub enum Pieces {
    /// Read as they are asked for.
    Here(Box<dyn Read + Send>, PathBuf),
    /// Unpacked by a thread that runs ahead.
    Ahead(Receiver<Option<Result<Vec<u8>>>>),
}

impl Pieces {
    /// Opens a file. Unpacking and parsing take about as long as each other, so a packed file gets a thread, which
    /// halves the time; reading a plain file is too quick to be worth one.
    pub fn open(path: &Path) -> Result<Self> {
        let file = open(path)?;
        let compression = Compression::of_file(path, &file);
        let reader = compression.reader(file).map_err(|error| Problem::reading(path, error))?;
        let here = Self::Here(reader, path.to_owned());
        if compression == Compression::Plain {
            return Ok(here);
        }
        let (sender, receiver) = sync_channel(PIECES_AHEAD);
        let unpack = move || {
            let pieces = here.map(Some);
            // The end is sent too: a channel that merely closes must not pass for the end of the file.
            for piece in pieces.chain(std::iter::once(None)) {
                let is_failed = matches!(piece, Some(Err(_)));
                // The receiver is gone when parsing has failed.
                if sender.send(piece).is_err() || is_failed {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("unpack".to_owned()).spawn(unpack).map_err(|error| {
            Problem::new(format!("cannot read `{}`: there is no thread to unpack it", path.display())).cause(error)
        })?;
        Ok(Self::Ahead(receiver))
    }
}

impl Iterator for Pieces {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Here(reader, path) => piece(reader).map_err(|error| Problem::reading(path, error)).transpose(),
            Self::Ahead(receiver) => receiver.recv().unwrap_or_else(|_| {
                Some(Err(Problem::new("the thread that unpacks the file ended before the file did")))
            }),
        }
    }
}

fn piece(reader: &mut dyn Read) -> std::io::Result<Option<Vec<u8>>> {
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    reader.take(PIECE_BYTES as u64).read_to_end(&mut piece)?;
    Ok((!piece.is_empty()).then_some(piece))
}
