//! Reading files: whole, or piece by piece while a second thread unpacks.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};

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
pub struct Pieces(Source);

enum Source {
    /// Read as they are asked for.
    Here(Reading),
    /// Unpacked by a thread that runs ahead; what memory is done with goes back to it.
    Ahead { pieces: Receiver<Option<Result<Vec<u8>>>>, used: Sender<Vec<u8>> },
}

/// A file being read.
struct Reading {
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
        let mut reading = Reading { reader, path: path.to_owned(), rest: Vec::new() };
        if compression == Compression::Plain {
            return Ok(Self(Source::Here(reading)));
        }
        let (sender, pieces) = sync_channel(PIECES_AHEAD);
        let (used, free) = channel::<Vec<u8>>();
        let unpack = move || {
            loop {
                let piece = reading.piece(free.try_recv().unwrap_or_default()).transpose();
                let goes_on = matches!(piece, Some(Ok(_)));
                // The end is sent too: a channel that merely closes must not pass for the end of the file. The receiver is
                // gone when parsing has failed.
                if sender.send(piece).is_err() || !goes_on {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("unpack".to_owned()).spawn(unpack).map_err(|error| {
            Problem::new(format!("cannot read `{}`: there is no thread to unpack it", path.display())).cause(error)
        })?;
        Ok(Self(Source::Ahead { pieces, used }))
    }

    /// Adds the next piece to what is in `text` from `start` on; false if there is none. Either way `text` begins there afterwards.
    pub fn extend(&mut self, text: &mut Vec<u8>, start: usize) -> Result<bool> {
        let is_used = start == text.len();
        let used = if is_used { std::mem::take(text) } else { Vec::new() };
        let piece = match &mut self.0 {
            Source::Here(reading) => reading.piece(used)?,
            Source::Ahead { pieces, used: free } => {
                if is_used {
                    // Nobody there: it has sent all it had.
                    let _ = free.send(used);
                }
                let gone = || Some(Err(Problem::new("the thread that unpacks the file ended before the file did")));
                pieces.recv().unwrap_or_else(|_| gone()).transpose()?
            }
        };
        let has_piece = piece.is_some();
        let piece = piece.unwrap_or_default();
        if is_used {
            *text = piece;
        } else {
            text.drain(..start);
            text.extend_from_slice(&piece);
        }
        Ok(has_piece)
    }
}

impl Reading {
    /// The next piece, in memory that was used for another one.
    fn piece(&mut self, used: Vec<u8>) -> Result<Option<Vec<u8>>> {
        self.read(used).map_err(|error| Problem::reading(&self.path, error))
    }

    fn read(&mut self, mut piece: Vec<u8>) -> io::Result<Option<Vec<u8>>> {
        let mut length = self.rest.len();
        // Memory that has been used is not cleared again.
        piece.resize(length + PIECE_BYTES, 0);
        piece[..length].copy_from_slice(&self.rest);
        self.rest.clear();
        let is_last = loop {
            match self.reader.read(&mut piece[length..]) {
                Ok(0) => break length < piece.len(),
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        piece.truncate(length);
        // Behind the last line there may be one without an end.
        if !is_last && let Some(end) = memchr::memrchr(b'\n', &piece) {
            self.rest.extend_from_slice(&piece[end + 1..]);
            piece.truncate(end + 1);
        }
        Ok((!piece.is_empty()).then_some(piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(content: &[u8]) -> Vec<Vec<u8>> {
        let reader = Box::new(io::Cursor::new(content.to_vec()));
        let mut reading = Reading { reader, path: PathBuf::from("file"), rest: Vec::new() };
        // Each in memory that is full of something else.
        std::iter::from_fn(|| reading.piece(vec![b'?'; 3 * PIECE_BYTES]).expect("a piece")).collect()
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
    fn what_is_used_is_gone_at_the_end_too() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("file");
        std::fs::write(&path, b"used\nleft").expect("file");
        for used in [0, 5, 9] {
            let (mut pieces, mut text) = (Pieces::open(&path).expect("pieces"), Vec::new());
            assert!(pieces.extend(&mut text, 0).expect("the piece"));
            assert!(!pieces.extend(&mut text, used).expect("the end"));
            assert_eq!(text, &b"used\nleft"[used..]);
        }
    }

    #[test]
    fn packed_content_of_any_size_comes_whole() {
        let directory = tempfile::tempdir().expect("directory");
        for name in ["file.gz", "file.zst", "file"] {
            let path = directory.path().join(name);
            for size in [PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES, 5 * PIECE_BYTES + 7] {
                let content: Vec<u8> =
                    (0..size).map(|at| (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()[6]).collect();
                let mut packer = Compression::of(&path).writer(Vec::new()).expect("packer");
                std::io::Write::write_all(&mut packer, &content).expect("packed");
                std::fs::write(&path, packer.finish().expect("packed")).expect("file");
                let (mut pieces, mut text, mut read) = (Pieces::open(&path).expect("pieces"), Vec::new(), Vec::new());
                while pieces.extend(&mut text, 0).expect("a piece") {
                    read.append(&mut text);
                }
                assert!(read == content, "{name}, {size} bytes");
            }
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
