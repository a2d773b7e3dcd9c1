//! `manual DIRECTORY`: writes `dagd.8`, `ctl.1`, `dagd.toml.5` and shell completions there.
//!
//! A program of its own rather than a build script: building the daemon needs none of it, `make install` does. Everything in the
//! pages that the code knows comes from the code; only the words between are here.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: manual DIRECTORY");
        return ExitCode::from(protocol::exit::USAGE);
    };
    match write(&directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: cannot write the manual to {}: {error}", directory.display());
            ExitCode::FAILURE
        }
    }
}

fn write(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    for (name, text) in manual::pages()?.into_iter().chain(manual::completions()) {
        std::fs::write(directory.join(name), text)?;
    }
    Ok(())
}
