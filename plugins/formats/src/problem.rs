//! What goes wrong with a file: what was tried, on which path, why, and what to do about it.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::path::Path;

use plugin_api::abi::{Failure, failure_kind};

/// Says what failed, on what, and what may help.
#[derive(Debug)]
pub struct Problem {
    message: String,
    hint: Option<String>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// Whether the message names the file already.
    names_file: bool,
}

/// The result of everything in this plugin.
pub type Result<T> = std::result::Result<T, Problem>;

impl Problem {
    /// Makes a problem of one sentence.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, cause: None, names_file: false }
    }

    /// Adds what the reader may do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the error behind it.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The hint, if there is one.
    #[cfg(test)]
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The same as plugin-api has it. It goes through a [`Failure`] and not through `?` to keep the hint, and to carry no place
    /// in this plugin's source: what is wrong is in the file, and a line of ours would only distract from it.
    pub fn into_error(self) -> plugin_api::Error {
        let mut failure = Failure::new(failure_kind::ERROR, self.to_string());
        failure.hint = self.hint.as_deref().unwrap_or_default().into();
        let mut cause = self.source();
        while let Some(error) = cause {
            failure.causes.push(error.to_string().into());
            cause = error.source();
        }
        failure.into()
    }

    /// Adds the file that was being read.
    #[must_use]
    pub fn while_reading(self, path: &Path) -> Self {
        self.with_file("cannot read", path, Self::reading)
    }

    /// Adds the file that was being written.
    #[must_use]
    pub fn while_writing(self, path: &Path) -> Self {
        self.with_file("cannot write", path, Self::writing)
    }

    fn with_file(mut self, attempt: &str, path: &Path, explain: fn(&Path, io::Error) -> Self) -> Self {
        if self.names_file {
            return self;
        }
        match self.io_behind() {
            Some(error) => explain(path, error),
            None => {
                self.message = format!("{attempt} `{}`: {}", path.display(), self.message);
                self.names_file = true;
                self
            }
        }
    }

    /// The error of the operating system at the bottom of it, where a library wrapped one.
    fn io_behind(&self) -> Option<io::Error> {
        let mut error = self.source();
        while let Some(current) = error {
            if let Some(found) = current.downcast_ref::<io::Error>()
                && let Some(code) = found.raw_os_error()
            {
                return Some(io::Error::from_raw_os_error(code));
            }
            error = current.source();
        }
        None
    }

    /// Explains why `path` could not be read.
    pub fn reading(path: &Path, error: io::Error) -> Self {
        let shown = path.display();
        let problem = match error.kind() {
            io::ErrorKind::NotFound => {
                Self::new(format!("cannot read `{shown}`: there is no such file")).hint(match path.parent() {
                    Some(parent) if !parent.as_os_str().is_empty() && !parent.exists() => {
                        format!(
                            "its directory `{}` does not exist either; paths are relative to the pipeline file",
                            parent.display()
                        )
                    }
                    _ => "check the dataset's `path`; paths are relative to the pipeline file".to_owned(),
                })
            }
            io::ErrorKind::PermissionDenied => Self::new(format!("cannot read `{shown}`: permission denied"))
                .hint("let the user that runs the daemon read the file and enter its directories"),
            io::ErrorKind::IsADirectory => Self::new(format!("cannot read `{shown}`: it is a directory"))
                .hint("name a file in the dataset's `path`"),
            _ => Self::new(format!("cannot read `{shown}`: {error}")),
        };
        Self { names_file: true, ..problem }
    }

    /// Explains why `path` could not be written; its old content still stands.
    pub fn writing(path: &Path, error: io::Error) -> Self {
        let shown = path.display();
        let problem = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::new(format!("cannot write `{shown}`: the disk is full"))
                    .hint("free some space or save elsewhere; the file's old content, if any, is untouched")
            }
            io::ErrorKind::PermissionDenied => Self::new(format!("cannot write `{shown}`: permission denied"))
                .hint("let the user that runs the daemon write into that directory"),
            io::ErrorKind::ReadOnlyFilesystem => {
                Self::new(format!("cannot write `{shown}`: the file system is read-only"))
                    .hint("save to a directory that can be written")
            }
            io::ErrorKind::IsADirectory => Self::new(format!("cannot write `{shown}`: it is a directory"))
                .hint("name a file in the dataset's `path`"),
            io::ErrorKind::NotADirectory => {
                Self::new(format!("cannot write `{shown}`: a part of its path is a file, not a directory"))
                    .hint("name another directory in the dataset's `path`, or move that file away")
            }
            _ => Self::new(format!("cannot write `{shown}`: {error}")).hint("check the dataset's `path`"),
        };
        Self { names_file: true, ..problem }
    }

    /// Explains why the directory that `path` is to be written into could not be made.
    pub fn making_directory(path: &Path, directory: &Path, error: io::Error) -> Self {
        let (why, hint) = match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => (
                "a part of its path is a file".to_owned(),
                "name another directory in the dataset's `path`, or move that file away",
            ),
            io::ErrorKind::PermissionDenied => (
                "permission denied".to_owned(),
                "make it yourself, or let the user that runs the daemon write into the directory above",
            ),
            io::ErrorKind::ReadOnlyFilesystem => {
                ("the file system is read-only".to_owned(), "save to a directory that can be written")
            }
            _ => (error.to_string(), "check the dataset's `path`; not every place can hold a directory"),
        };
        let (path, directory) = (path.display(), directory.display());
        let problem = Self::new(format!("cannot write `{path}`: its directory `{directory}` cannot be made: {why}"));
        Self { names_file: true, ..problem.hint(hint) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::new(error.to_string()).cause(error)
    }
}
