//! The log of one run: what nodes, datasets and hooks logged or printed, bounded.
//!
//! The newest lines are kept; a reader that asks for older ones is told how many are gone. Long lines are cut: what a
//! plugin prints is its own business, but the memory it is kept in is ours.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use protocol::{LogLine, LogList};

/// No line is kept longer than this.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// The lines of one run.
#[derive(Debug)]
pub struct RunLog {
    lines_max: usize,
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<LogLine>,
    last_number: u64,
}

impl RunLog {
    /// Makes an empty log that keeps the newest `lines_max` lines (at least one).
    pub fn new(lines_max: u64) -> RunLog {
        let lines_max = usize::try_from(lines_max).unwrap_or(usize::MAX).max(1);
        RunLog { lines_max, lines: Mutex::default() }
    }

    /// Adds a line; gives it back with its number, cut if it was too long.
    pub fn add(&self, mut line: LogLine) -> LogLine {
        cut(&mut line.message, LINE_BYTES_MAX);
        cut(&mut line.target, 256);
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.last_number += 1;
        line.number = lines.last_number;
        while lines.kept.len() >= self.lines_max {
            lines.kept.pop_front();
        }
        lines.kept.push_back(line.clone());
        line
    }

    /// The lines from line number `from` on (0 and 1 both mean all), and how many of them are gone.
    pub fn read(&self, from: u64) -> LogList {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let first_kept = lines.last_number + 1 - lines.kept.len() as u64;
        let wanted = from.max(1);
        let skip = usize::try_from(wanted.saturating_sub(first_kept)).unwrap_or(usize::MAX);
        LogList {
            lines: lines.kept.iter().skip(skip).cloned().collect(),
            next: lines.last_number + 1,
            missed: first_kept.saturating_sub(wanted),
        }
    }
}

/// Cuts a text to at most `bytes_max` bytes, at a character's border, and says that it did.
fn cut(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        let mut end = bytes_max;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(" […]");
    }
}

/// The word for a level number of the wire: 1 error … 5 trace. Anything else is the most talkative.
pub fn level_word(level: u8) -> &'static str {
    match level {
        0 | 1 => "error",
        2 => "warn",
        3 => "info",
        4 => "debug",
        _ => "trace",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::LogSource;

    fn line(message: &str) -> LogLine {
        LogLine {
            number: 0,
            time_us: 0,
            level: "info".to_owned(),
            source: LogSource::Log,
            node: None,
            plugin: None,
            worker: None,
            target: String::new(),
            message: message.to_owned(),
        }
    }

    #[test]
    fn a_reader_gets_what_is_new_and_is_told_what_is_gone() {
        let log = RunLog::new(3);
        assert_eq!(log.read(0), LogList { lines: Vec::new(), next: 1, missed: 0 });
        for number in 1..=5 {
            assert_eq!(log.add(line("x")).number, number);
        }
        let all = log.read(0);
        assert_eq!((all.lines.len(), all.missed, all.next), (3, 2, 6));
        assert_eq!(all.lines[0].number, 3);
        let rest = log.read(5);
        assert_eq!((rest.lines.len(), rest.missed), (1, 0));
        assert_eq!(log.read(u64::MAX).lines.len(), 0);
    }

    #[test]
    fn long_lines_are_cut_at_a_character() {
        let log = RunLog::new(3);
        let kept = log.add(line(&"ü".repeat(LINE_BYTES_MAX)));
        assert!(kept.message.len() <= LINE_BYTES_MAX + 8 && kept.message.ends_with("[…]"));
    }
}
