//! What goes wrong, in the one shape that is shown: code, message, causes, hints, and the exit code it means.

use std::fmt::Display;

use protocol::{ErrorDetail, SourceText, Submission, exit};

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub enum Error {
    /// Whoever reads our output closed it; a quiet end.
    ClosedPipe,
    /// Something to tell the user.
    Failed(Box<Complaint>),
}

/// Something to tell the user, and the exit code that goes with it.
#[derive(Debug)]
pub struct Complaint {
    /// How the process will exit.
    pub exit: u8,
    /// What went wrong, in the same shape as the daemon's own errors.
    pub detail: ErrorDetail,
    /// The texts that places in `detail` point into.
    pub sources: Vec<SourceText>,
}

impl Error {
    /// Makes an error from its exit code, its word for programs and its sentence.
    pub fn new(exit: u8, code: &str, message: impl Into<String>) -> Error {
        Error::of_detail(exit, ErrorDetail { code: code.to_owned(), message: message.into(), ..ErrorDetail::default() })
    }

    /// Makes an error of what the daemon answered.
    pub fn of_detail(exit: u8, detail: ErrorDetail) -> Error {
        Error::Failed(Box::new(Complaint { exit, detail, sources: Vec::new() }))
    }

    /// Makes an error for a command line that cannot be meant.
    pub fn usage(message: impl Into<String>) -> Error {
        Error::new(exit::USAGE, "usage", message)
    }

    /// Makes an error for something that should not happen.
    pub fn internal(attempt: &str, problem: impl Display) -> Error {
        Error::new(exit::INTERNAL, "internal", format!("{attempt}: {problem}"))
    }

    /// Adds what led to it.
    pub fn cause(mut self, cause: impl Display) -> Error {
        if let Error::Failed(complaint) = &mut self {
            complaint.detail.causes.push(cause.to_string());
        }
        self
    }

    /// Adds what to do about it.
    pub fn hint(mut self, hint: impl Display) -> Error {
        if let Error::Failed(complaint) = &mut self {
            complaint.detail.hints.push(hint.to_string());
        }
        self
    }

    /// Adds a hint if there is one.
    pub fn hint_if(self, hint: Option<impl Display>) -> Error {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// Keeps the texts that were sent, so that problems can be shown with the line they are in.
    pub fn about(mut self, submission: &Submission) -> Error {
        if let Error::Failed(complaint) = &mut self {
            complaint.sources = submission.texts().cloned().collect();
        }
        self
    }

    /// The exit code it means.
    pub fn exit(&self) -> u8 {
        match self {
            Error::ClosedPipe => exit::OK,
            Error::Failed(complaint) => complaint.exit,
        }
    }

    /// The word for programs; empty for a closed pipe.
    pub fn code(&self) -> &str {
        match self {
            Error::ClosedPipe => "",
            Error::Failed(complaint) => &complaint.detail.code,
        }
    }
}

/// Finds the name that was probably meant, if one is close enough.
pub fn closest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(wrong, name), name))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_is_found_and_a_far_one_is_not() {
        let names = ["flights::train", "flights::clean", "formats::copy"];
        assert_eq!(closest("flights::trian", names), Some("flights::train"));
        assert_eq!(closest("pandas", names), None);
        assert_eq!(closest("", []), None);
    }

    #[test]
    fn causes_and_hints_are_kept_in_order() {
        let error = Error::usage("no").cause("a").cause("b").hint("c").hint_if(None::<&str>);
        let Error::Failed(complaint) = error else {
            panic!("not closed");
        };
        assert_eq!(complaint.detail.causes, ["a", "b"]);
        assert_eq!(complaint.detail.hints, ["c"]);
        assert_eq!(complaint.exit, exit::USAGE);
    }
}
