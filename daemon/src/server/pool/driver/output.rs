//! What a process prints: its standard output and error, cut into lines.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// How many of the last lines are kept to be told when the process dies.
const TAIL_LINES_MAX: usize = 12;
/// A longer line is taken as several.
const LINE_BYTES_MAX: usize = 8 * 1024;
/// No more than this is read at a time, so that a process that prints without end cannot keep its reader.
const READ_BYTES_MAX: usize = 64 * 1024;

/// The read end of a process's output pipe.
#[derive(Debug)]
pub struct OutputLines {
    pipe: OwnedFd,
    is_open: bool,
    partial: Vec<u8>,
    tail: VecDeque<String>,
}

impl OutputLines {
    /// Takes the read end.
    pub fn new(pipe: OwnedFd) -> io::Result<OutputLines> {
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(OutputLines { pipe, is_open: true, partial: Vec::new(), tail: VecDeque::new() })
    }

    /// What to poll: nothing once every writer has closed its end, or the poll would never sleep again.
    pub fn watched(&self) -> Option<BorrowedFd<'_>> {
        self.is_open.then(|| self.pipe.as_fd())
    }

    /// The lines that are there now; never waits.
    pub fn read(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut buffer = [0; 4096];
        let mut total = 0;
        while self.is_open && total < READ_BYTES_MAX {
            match nix::unistd::read(&self.pipe, &mut buffer) {
                Ok(0) => self.is_open = false,
                Ok(length) => {
                    total += length;
                    self.split(&buffer[..length], &mut lines);
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                Err(_) => self.is_open = false,
            }
        }
        if !self.is_open && !self.partial.is_empty() {
            self.end_line(&mut lines);
        }
        lines
    }

    /// The line that was begun and has no end yet, as if it had one.
    pub fn end_partial_line(&mut self) -> Option<String> {
        let mut lines = Vec::new();
        if !self.partial.is_empty() {
            self.end_line(&mut lines);
        }
        lines.pop()
    }

    /// The last lines there were.
    pub fn tail(&self) -> Vec<String> {
        self.tail.iter().cloned().collect()
    }

    /// Forgets the last lines: what comes now belongs to another task.
    pub fn forget_tail(&mut self) {
        self.tail.clear();
    }

    fn split(&mut self, bytes: &[u8], lines: &mut Vec<String>) {
        for &byte in bytes {
            if byte == b'\n' {
                self.end_line(lines);
            } else {
                self.partial.push(byte);
                if self.partial.len() >= LINE_BYTES_MAX {
                    self.end_line(lines);
                }
            }
        }
    }

    fn end_line(&mut self, lines: &mut Vec<String>) {
        let line = String::from_utf8_lossy(&self.partial).trim_end_matches('\r').to_owned();
        self.partial.clear();
        if self.tail.len() == TAIL_LINES_MAX {
            self.tail.pop_front();
        }
        self.tail.push_back(line.clone());
        lines.push(line);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use std::io::Write as _;

    #[test]
    fn lines_come_whole_and_the_last_one_without_its_end() {
        let (read, mut write) = io::pipe().unwrap();
        let mut output = OutputLines::new(read.into()).unwrap();
        assert!(output.read().is_empty());
        write.write_all(b"one\r\ntw").unwrap();
        assert_eq!(output.read(), ["one"]);
        assert_eq!(output.end_partial_line().as_deref(), Some("tw"));
        assert_eq!(output.end_partial_line(), None);
        write.write_all(b"o\n\xff").unwrap();
        assert_eq!(output.read(), ["o"]);
        drop(write);
        assert_eq!(output.read(), ["\u{fffd}"]);
        assert!(output.watched().is_none() && output.read().is_empty());
        assert_eq!(output.tail().len(), 4);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let (read, mut write) = io::pipe().unwrap();
        let mut output = OutputLines::new(read.into()).unwrap();
        write.write_all(&vec![b'x'; LINE_BYTES_MAX + 5]).unwrap();
        assert_eq!(output.read().len(), 1);
    }
}
