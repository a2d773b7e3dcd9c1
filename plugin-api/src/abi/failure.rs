//! How a call that did not succeed says so across the boundary.

use abi_stable::{
    StableAbi,
    std_types::{RString, RVec},
};

/// The kinds of a [`Failure`].
pub mod failure_kind {
    /// The author's code answered with an error.
    pub const ERROR: &str = "error";
    /// The author's code panicked.
    pub const PANIC: &str = "panic";
    /// An input could not be understood.
    pub const INPUT: &str = "input";
    /// An output could not be written or was not given.
    pub const OUTPUT: &str = "output";
}

/// Why a call failed: a message for people, where, why, and what to do.
///
/// ```
/// use plugin_api::abi::{Failure, failure_kind};
/// let failure = Failure::new(failure_kind::OUTPUT, "no room for 5 GiB").with_hint("raise blocks.memory_budget_bytes");
/// assert_eq!(failure.kind, "output");
/// ```
#[repr(C)]
#[derive(StableAbi, Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// One of [`failure_kind`].
    pub kind: RString,
    /// What was tried and what went wrong, in a sentence.
    pub message: RString,
    /// Where in the plugin's source (`src/train.rs:12:5`), or nothing.
    pub place: RString,
    /// Why: each the reason of the one before.
    pub causes: RVec<RString>,
    /// What to do about it, or nothing.
    pub hint: RString,
}

impl Failure {
    /// A failure with kind and message alone.
    pub fn new(kind: &str, message: impl Into<String>) -> Self {
        Failure { kind: kind.into(), message: message.into().into(), ..Failure::default() }
    }

    /// The same with advice.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into().into();
        self
    }

    /// The same with a place in the source.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = place.into().into();
        self
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.message)?;
        for cause in &self.causes {
            write!(formatter, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}
