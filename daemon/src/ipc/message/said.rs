//! What plugins say to people, cut to a size that can be kept, stored and sent on.

use serde::{Deserialize, Serialize};

/// No text is longer than a person will read.
const TEXT_MAX: usize = 64 * 1024;
/// As many causes as a person will look at.
const CAUSES_MAX: usize = 32;

/// One line of a plugin's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    /// 1 error, 2 warn, 3 info, 4 debug, 5 trace.
    pub level: u8,
    /// The module it came from.
    pub target: String,
    /// What it says.
    pub message: String,
    /// The task that ran meanwhile, or 0.
    pub token: u64,
}

/// Why a task failed, as the plugin or the worker tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFailure {
    /// `error`, `panic`, `input`, `output` or `protocol`.
    pub kind: String,
    /// What happened.
    pub message: String,
    /// Where in the source, `src/x.rs:12:5`, or empty.
    pub place: String,
    /// What led to it, outermost first.
    pub causes: Vec<String>,
    /// What to do, or empty.
    pub hint: String,
}

impl LogRecord {
    /// The same in a size that can be kept.
    pub fn cut(self) -> LogRecord {
        let LogRecord { level, target, message, token } = self;
        LogRecord { level, target: cut(target, 1024), message: cut(message, TEXT_MAX), token }
    }
}

impl TaskFailure {
    /// The same in a size that can be kept, stored and sent on, whatever a plugin put into it.
    pub fn cut(self) -> TaskFailure {
        let cut = |text| cut(text, TEXT_MAX);
        let causes_count = self.causes.len();
        let mut causes: Vec<String> = self.causes.into_iter().take(CAUSES_MAX).map(cut).collect();
        if causes_count > causes.len() {
            // In place of the last one, so that a failure that was cut once is not cut again.
            causes.pop();
            causes.push(format!("… and {} causes more", causes_count - causes.len()));
        }
        TaskFailure {
            kind: cut(self.kind),
            message: cut(self.message),
            place: cut(self.place),
            causes,
            hint: cut(self.hint),
        }
    }
}

/// Cuts a text that is longer than `max` bytes, and says so at its end.
fn cut(mut text: String, max: usize) -> String {
    if text.len() > max {
        let mark = format!("… (cut, it has {} bytes)", text.len());
        text.truncate(text.floor_char_boundary(max.saturating_sub(mark.len())));
        text.push_str(&mark);
        text.shrink_to_fit();
    }
    text
}
