//! The `ctl` command: everything is in the library, where tests reach it.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    ctl::main(std::env::args_os())
}
