//! Exit codes of `ctl` and `dagd`; part of the interface.

/// Everything went well; the run succeeded.
pub const OK: u8 = 0;
/// The run failed.
pub const RUN_FAILED: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// The pipeline, its files, the plugins or the configuration have problems; nothing ran and nothing was changed.
pub const PROBLEMS: u8 = 3;
/// No daemon answers, or none could be started.
pub const UNREACHABLE: u8 = 4;
/// The run was cancelled.
pub const CANCELLED: u8 = 5;
/// There is no such run, node or plugin; or data that was asked for is not there.
pub const NOT_FOUND: u8 = 6;
/// The daemon does not serve this user.
pub const REFUSED: u8 = 7;
/// Something that should not happen; please report it.
pub const INTERNAL: u8 = 70;

/// Every code with its meaning, for help texts and documentation.
pub const TABLE: [(u8, &str); 9] = [
    (OK, "everything went well; the run succeeded"),
    (RUN_FAILED, "the run failed, or was interrupted"),
    (USAGE, "the command line is wrong"),
    (PROBLEMS, "the pipeline, its files, the plugins or the configuration have problems; nothing ran"),
    (UNREACHABLE, "no daemon answers, or none could be started"),
    (CANCELLED, "the run was cancelled"),
    (NOT_FOUND, "there is no such run, node or plugin, or not all of the data asked for"),
    (REFUSED, "the daemon does not serve this user"),
    (INTERNAL, "something that should not happen; please report it"),
];

/// The exit code for a finished run.
pub fn of_state(state: crate::RunState) -> u8 {
    use crate::RunState;
    match state {
        RunState::Queued | RunState::Running | RunState::Succeeded => OK,
        RunState::Failed | RunState::Interrupted => RUN_FAILED,
        RunState::Cancelled => CANCELLED,
    }
}
