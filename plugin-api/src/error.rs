//! The error of an author's code: a message, where it arose, why, and what to do.

use std::{fmt, io, panic::Location};

use crate::abi::{Failure, failure_kind};

/// What nodes, hooks and dataset types answer with.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error, with its chain of causes, the place in the source where it arose, and advice.
///
/// Every `std::error::Error` becomes one by `?`; the place is then that of the `?`.
///
/// ```
/// use plugin_api::prelude::*;
///
/// fn rows(text: &str) -> Result<u64> {
///     let rows: u64 = text.parse().context("reading the row count").hint("write digits only")?;
///     ensure!(rows > 0, "there are no rows");
///     Ok(rows)
/// }
/// let error = rows("many").unwrap_err();
/// assert_eq!(error.to_string(), "reading the row count");
/// assert_eq!(error.causes(), ["invalid digit found in string"]);
/// assert_eq!(error.hint(), Some("write digits only"));
/// ```
pub struct Error {
    // Boxed: an error is rare and large, a `Result` is common and should be small.
    inner: Box<Inner>,
}

struct Inner {
    kind: String,
    message: String,
    causes: Vec<String>,
    hint: String,
    place: String,
}

impl Error {
    /// An error with this message; its place is the caller's. See also [`bail!`](crate::bail).
    #[track_caller]
    pub fn new(message: impl fmt::Display) -> Self {
        Error::of_kind(failure_kind::ERROR, message).at(place(Location::caller()))
    }

    /// An error of this crate's own making, which has no place in the author's source.
    pub(crate) fn of_kind(kind: &str, message: impl fmt::Display) -> Self {
        Error {
            inner: Box::new(Inner {
                kind: kind.to_owned(),
                message: message.to_string(),
                causes: Vec::new(),
                hint: String::new(),
                place: String::new(),
            }),
        }
    }

    /// Something that was wrong with an input.
    pub(crate) fn input(message: impl fmt::Display) -> Self {
        Error::of_kind(failure_kind::INPUT, message)
    }

    /// Something that was wrong with an output.
    pub(crate) fn output(message: impl fmt::Display) -> Self {
        Error::of_kind(failure_kind::OUTPUT, message)
    }

    fn at(mut self, place: String) -> Self {
        self.inner.place = place;
        self
    }

    /// The same error as the reason of a larger one: what was being tried.
    #[must_use]
    pub fn context(mut self, message: impl fmt::Display) -> Self {
        let message = std::mem::replace(&mut self.inner.message, message.to_string());
        self.inner.causes.insert(0, message);
        self
    }

    /// The same error with a further, innermost cause.
    #[must_use]
    pub(crate) fn because(mut self, cause: impl fmt::Display) -> Self {
        self.inner.causes.push(cause.to_string());
        self
    }

    /// The same error with advice: what a person can do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl fmt::Display) -> Self {
        self.inner.hint = hint.to_string();
        self
    }

    /// Why, each the reason of the one before.
    pub fn causes(&self) -> &[String] {
        &self.inner.causes
    }

    /// The advice, if there is some.
    pub fn hint(&self) -> Option<&str> {
        Some(self.inner.hint.as_str()).filter(|hint| !hint.is_empty())
    }

    /// Where the error arose (`src/train.rs:12:5`), if known.
    pub fn place(&self) -> Option<&str> {
        Some(self.inner.place.as_str()).filter(|place| !place.is_empty())
    }

    /// `error`, `input`, `output` or `panic`.
    pub fn kind(&self) -> &str {
        &self.inner.kind
    }
}

impl<E: std::error::Error + 'static> From<E> for Error {
    #[track_caller]
    fn from(error: E) -> Self {
        if let Some(failure) = failure_in(&error) {
            return Error::from_failure(failure);
        }
        let mut made = Error::new(&error);
        let mut source = error.source();
        while let Some(cause) = source {
            made = made.because(cause);
            source = cause.source();
        }
        made
    }
}

/// The host's failure that an error is, or that an `io::Error` of an output's writer carries.
fn failure_in<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Failure> {
    error.downcast_ref::<Failure>().or_else(|| error.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref::<Failure>())
}

impl Error {
    fn from_failure(failure: &Failure) -> Self {
        Error {
            inner: Box::new(Inner {
                kind: failure.kind.to_string(),
                message: failure.message.to_string(),
                causes: failure.causes.iter().map(ToString::to_string).collect(),
                hint: failure.hint.to_string(),
                place: failure.place.to_string(),
            }),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let Inner { kind, message, causes, hint, place } = *error.inner;
        Failure {
            kind: kind.into(),
            message: message.into(),
            place: place.into(),
            causes: causes.into_iter().map(Into::into).collect(),
            hint: hint.into(),
        }
    }
}

impl fmt::Display for Error {
    /// The message; with `{:#}` the causes too.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.inner.message)?;
        if formatter.alternate() {
            for cause in &self.inner.causes {
                write!(formatter, ": {cause}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    /// Everything, on several lines: what a test shows when it unwraps.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.inner.message)?;
        for cause in &self.inner.causes {
            write!(formatter, "\n  because: {cause}")?;
        }
        if let Some(place) = self.place() {
            write!(formatter, "\n  at: {place}")?;
        }
        if let Some(hint) = self.hint() {
            write!(formatter, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

/// `.context(…)` and `.hint(…)` on results and options; the prelude brings it in.
///
/// ```
/// use plugin_api::prelude::*;
/// let missing: Result<u8> = None.context("no origin was given");
/// assert_eq!(missing.unwrap_err().to_string(), "no origin was given");
/// ```
pub trait ResultExt<T>: Sized {
    /// Says what was being tried; the error becomes its cause.
    #[track_caller]
    fn context(self, message: impl fmt::Display) -> Result<T>;

    /// The same, with the message made only when it is needed.
    #[track_caller]
    fn with_context<M: fmt::Display>(self, message: impl FnOnce() -> M) -> Result<T>;

    /// Adds advice: what a person can do.
    #[track_caller]
    fn hint(self, hint: impl fmt::Display) -> Result<T>;
}

impl<T, E: IntoError> ResultExt<T> for std::result::Result<T, E> {
    #[track_caller]
    fn context(self, message: impl fmt::Display) -> Result<T> {
        match self {
            Ok(value) => Ok(value),
            Err(error) => Err(error.into_error().context(message)),
        }
    }

    #[track_caller]
    fn with_context<M: fmt::Display>(self, message: impl FnOnce() -> M) -> Result<T> {
        match self {
            Ok(value) => Ok(value),
            Err(error) => Err(error.into_error().context(message())),
        }
    }

    #[track_caller]
    fn hint(self, hint: impl fmt::Display) -> Result<T> {
        match self {
            Ok(value) => Ok(value),
            Err(error) => Err(error.into_error().with_hint(hint)),
        }
    }
}

impl<T> ResultExt<T> for Option<T> {
    #[track_caller]
    fn context(self, message: impl fmt::Display) -> Result<T> {
        match self {
            Some(value) => Ok(value),
            None => Err(Error::new(message)),
        }
    }

    #[track_caller]
    fn with_context<M: fmt::Display>(self, message: impl FnOnce() -> M) -> Result<T> {
        match self {
            Some(value) => Ok(value),
            None => Err(Error::new(message())),
        }
    }

    #[track_caller]
    fn hint(self, hint: impl fmt::Display) -> Result<T> {
        match self {
            Some(value) => Ok(value),
            None => Err(Error::new("a value is missing").with_hint(hint)),
        }
    }
}

/// Both foreign errors and [`Error`] itself. (`Into<Error>` would lose the place: `Into::into` does not track its caller.)
#[doc(hidden)]
pub trait IntoError {
    #[track_caller]
    fn into_error(self) -> Error;
}

impl<E: std::error::Error + 'static> IntoError for E {
    #[track_caller]
    fn into_error(self) -> Error {
        Error::from(self)
    }
}

impl IntoError for Error {
    fn into_error(self) -> Error {
        self
    }
}

/// Returns from the function with an error made from a format string; its place is here.
///
/// ```
/// use plugin_api::prelude::*;
/// fn check(rows: usize) -> Result<()> {
///     if rows == 0 {
///         bail!("expected rows, found {rows}");
///     }
///     Ok(())
/// }
/// assert!(check(0).is_err());
/// ```
#[macro_export]
macro_rules! bail {
    ($($message:tt)+) => {
        return ::core::result::Result::Err(::core::convert::From::from($crate::Error::new(::std::format!($($message)+))))
    };
}

/// Returns from the function with an error unless the condition holds.
///
/// ```
/// use plugin_api::prelude::*;
/// fn check(share: f64) -> Result<()> {
///     ensure!((0.0..=1.0).contains(&share), "a share lies between 0 and 1, this is {share}");
///     Ok(())
/// }
/// assert!(check(2.0).is_err());
/// ```
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            $crate::bail!($($message)+);
        }
    };
}

fn place(location: &Location<'_>) -> String {
    format!("{}:{}:{}", location.file(), location.line(), location.column())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn parse(text: &str) -> Result<u8> {
        let number: u8 = text.parse()?;
        Ok(number)
    }

    #[test]
    fn the_place_is_that_of_the_question_mark() {
        let error = parse("x").unwrap_err();
        assert!(error.place().unwrap().contains("src/error.rs:"), "{error:?}");
        let explained = "x".parse::<u8>().context("trying").unwrap_err();
        assert!(explained.place().unwrap().contains("src/error.rs:"), "{explained:?}");
    }

    #[test]
    fn a_failure_of_the_host_keeps_its_kind_and_hint() {
        let failure = Failure::new(failure_kind::OUTPUT, "no room").with_hint("make room");
        let error = Error::from(failure.clone()).context("writing `model`");
        assert_eq!((error.kind(), error.hint()), ("output", Some("make room")));
        let back = Failure::from(error);
        assert_eq!(back.causes.iter().map(|cause| cause.as_str()).collect::<Vec<_>>(), ["no room"]);
    }

    #[test]
    fn a_failure_inside_an_io_error_is_found() {
        let failure = Failure::new(failure_kind::OUTPUT, "no room").with_hint("make room");
        let error = Error::from(io::Error::other(failure));
        assert_eq!((error.to_string().as_str(), error.kind(), error.hint()), ("no room", "output", Some("make room")));
    }

    #[test]
    fn contexts_stack_up() {
        let error = parse("x").context("inner").context("outer").unwrap_err();
        assert_eq!(format!("{error:#}"), "outer: inner: invalid digit found in string");
        let text = format!("{error:?}");
        assert!(text.starts_with("outer\n  because: inner\n"), "{text}");
    }
}
