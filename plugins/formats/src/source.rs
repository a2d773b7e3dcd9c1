//! Reading files: whole, or piece by piece while a second thread unpacks.

use std::fs::File;
use std::io::{self, Read};
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

/// The content of a file, piece by piece. A piece ends where a line does, if a line ends in it, so that whoever reads lines seldom has to
/// put one together.
pub enum Pieces {
    /// Read as they are asked for.
    Here(Reading),
    /// Unpacked by a thread that runs ahead.
    Ahead(Receiver<Option<Result<Vec<u8>>>>),
}

/// A file being read.
pub struct Reading {
    reader: Box<dyn Read + Send>,
    path: PathBuf,
    /// What was read behind the end of the last piece.
    rest: Vec<u8>,
}

impl Pieces {
    /// Opens a file. Unpacking and parsing take about as long as each other, so a packed file gets a thread, which
    /// halves the time; reading a plain file is too quick to be worth one.
    pub fn open(path: &Path) -> Result<Self> {
        let file = open(path)?;
        let compression = Compression::of_file(path, &file);
        let reader = compression.reader(file).map_err(|error| Problem::reading(path, error))?;
        let reading = Reading { reader, path: path.to_owned(), rest: Vec::new() };
        if compression == Compression::Plain {
            return Ok(Self::Here(reading));
        }
        let (sender, receiver) = sync_channel(PIECES_AHEAD);
        let unpack = move || {
            let pieces = reading.map(Some);
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
            Self::Here(reading) => reading.next(),
            Self::Ahead(receiver) => receiver.recv().unwrap_or_else(|_| {
                Some(Err(Problem::new("the thread that unpacks the file ended before the file did")))
            }),
        }
    }
}

impl Iterator for Reading {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.piece().map_err(|error| Problem::reading(&self.path, error)).transpose()
    }
}

impl Reading {
    fn piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut piece = Vec::with_capacity(self.rest.len() + PIECE_BYTES);
        piece.append(&mut self.rest);
        let read = self.reader.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece)?;
        // Behind the last line there may be one without an end.
        if read > 0
            && let Some(end) = memchr::memrchr(b'\n', &piece)
        {
            self.rest = piece.split_off(end + 1);
        }
        Ok((!piece.is_empty()).then_some(piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(content: &[u8]) -> Vec<Vec<u8>> {
        let reader = Box::new(io::Cursor::new(content.to_vec()));
        let reading = Reading { reader, path: PathBuf::from("file"), rest: Vec::new() };
        reading.collect::<Result<_>>().expect("pieces")
    }

    #[test]
    fn a_piece_ends_where_a_line_does_and_nothing_is_lost() {
        let lines: String = (0..100_000).map(|line| format!("{line} {}\n", "x".repeat(line % 13))).collect();
        for content in [lines.as_bytes(), &lines.as_bytes()[..lines.len() - 3], b"", b"\n", b"no end"] {
            let pieces = pieces(content);
            assert!(pieces.concat() == content, "{} bytes", content.len());
            assert!(pieces.iter().rev().skip(1).all(|piece| piece.ends_with(b"\n")));
            assert!(pieces.iter().all(|piece| !piece.is_empty()));
        }
    }

    #[test]
    fn a_line_longer_than_a_piece_comes_in_several() {
        let content = [vec![b'x'; 2 * PIECE_BYTES + 7], b"\ny\n".to_vec()].concat();
        let pieces = pieces(&content);
        assert!(pieces.concat() == content);
        assert!(pieces.iter().all(|piece| piece.len() <= PIECE_BYTES));
    }
}
