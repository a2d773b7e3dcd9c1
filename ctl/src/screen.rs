//! Standard output and standard error: what goes where, and in which dress.
//!
//! Results go to standard output, everything said on the way (progress, notes, warnings, errors) to standard error. With
//! `--json` standard output carries JSON and nothing else, errors included.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use serde_json::json;

use crate::error::{Complaint, Error};
use crate::render::paint::Paint;
use crate::render::problem;

/// Where a command shows what it has to show.
pub struct Screen {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    /// Whether the user asked for JSON.
    pub json: bool,
    /// Colours for standard output.
    pub out_paint: Paint,
    /// Colours for standard error.
    pub err_paint: Paint,
    /// Whether standard error is a terminal, so that bars can move there.
    pub err_is_terminal: bool,
}

impl Screen {
    /// The process's own screen.
    pub fn of_process(json: bool) -> Screen {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let wanted = !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Screen {
            out: Box::new(io::BufWriter::new(io::stdout())),
            err: Box::new(io::stderr()),
            json,
            out_paint: Paint::new(wanted && io::stdout().is_terminal()),
            err_paint: Paint::new(wanted && io::stderr().is_terminal()),
            err_is_terminal: io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
        }
    }

    /// A screen for tests that shows nothing in colour.
    pub fn of_writers(out: Box<dyn Write>, err: Box<dyn Write>, json: bool) -> Screen {
        Screen { out, err, json, out_paint: Paint::new(false), err_paint: Paint::new(false), err_is_terminal: false }
    }

    /// Prints a result; adds the line feed if it is missing.
    pub fn print(&mut self, text: &str) -> Result<(), Error> {
        let end = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
        write!(self.out, "{text}{end}").map_err(failed_to_print)
    }

    /// Prints bytes as they are.
    pub fn print_bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.out.write_all(bytes).map_err(failed_to_print)
    }

    /// Prints a result as a JSON document, indented for people who look.
    pub fn print_json(&mut self, value: &impl Serialize) -> Result<(), Error> {
        serde_json::to_writer_pretty(&mut self.out, value).map_err(|problem| failed_to_print(problem.into()))?;
        writeln!(self.out).map_err(failed_to_print)
    }

    /// Prints one JSON line, at once: somebody is following.
    pub fn print_json_line(&mut self, value: &impl Serialize) -> Result<(), Error> {
        serde_json::to_writer(&mut self.out, value).map_err(|problem| failed_to_print(problem.into()))?;
        writeln!(self.out).and_then(|()| self.out.flush()).map_err(failed_to_print)
    }

    /// Passes on what is still held back.
    pub fn finish(&mut self) -> Result<(), Error> {
        self.out.flush().map_err(failed_to_print)
    }

    /// Says something on the way. A terminal that is gone is no reason to stop.
    pub fn note(&mut self, text: &str) {
        let _ = writeln!(self.err, "{text}");
    }

    /// Warns, on standard error.
    pub fn warn(&mut self, text: &str) {
        let word = self.err_paint.warning("warning");
        self.note(&format!("{word}: {text}"));
    }

    /// Shows why the command failed: as JSON on standard output if that was asked for, else on standard error.
    pub fn complain(&mut self, complaint: &Complaint) {
        // What was printed before comes first; that it cannot be printed is no news here.
        let _ = self.out.flush();
        if self.json {
            let _ = self.print_json_line(&json!({ "error": complaint.detail }));
        } else {
            let text = problem::complaint(complaint, self.err_paint);
            let _ = write!(self.err, "{text}");
        }
    }
}

fn failed_to_print(problem: io::Error) -> Error {
    if problem.kind() == io::ErrorKind::BrokenPipe {
        Error::ClosedPipe
    } else {
        Error::internal("cannot write to standard output", problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_told_apart_from_a_full_disk() {
        let mut screen = Screen::of_writers(Box::new(Closed), Box::new(io::sink()), false);
        assert!(matches!(screen.print("x"), Err(Error::ClosedPipe)));
        assert!(matches!(screen.print_json_line(&1), Err(Error::ClosedPipe)));
        let full = failed_to_print(io::ErrorKind::StorageFull.into());
        assert_eq!(full.exit(), protocol::exit::INTERNAL);
    }
}
