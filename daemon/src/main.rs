//! The `dagd` binary: picks a role, runs it, and turns the result into an exit code.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    dagd::role::run(std::env::args_os())
}
