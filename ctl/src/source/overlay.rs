//! Environments: the files in `env/NAME/` beside a pipeline, which overlay those beside it.

use std::path::{Path, PathBuf};

use protocol::exit;

use super::names_in;
use crate::error::{Error, closest};

/// The environment that holds when nobody names one, where it is there: for what is this machine's alone.
const USUAL: &str = "local";

/// The folder of one environment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Overlay {
    pub(super) folder: PathBuf,
    /// Whether somebody named it. If not, files named on the command line go before it.
    pub(super) is_asked_for: bool,
}

impl Overlay {
    /// Finds the environment: the one named on the command line, else that of `$DAGD_ENV`, else `env/local` if it is there.
    pub(super) fn find(
        argument: Option<&str>,
        variable: Option<&str>,
        beside: Option<&Path>,
    ) -> Result<Option<Overlay>, Error> {
        let Some(beside) = beside else {
            return match argument {
                Some(name) => {
                    Err(Error::usage(format!("--env {name} needs a pipeline in a file: standard input has no folder")))
                }
                None => Ok(None),
            };
        };
        let all = if beside == Path::new(".") { PathBuf::from("env") } else { beside.join("env") };
        let (name, asked_by) = match (argument, variable.filter(|name| !name.is_empty())) {
            (Some(name), _) => (name, "--env"),
            (None, Some(name)) => (name, "$DAGD_ENV"),
            (None, None) => {
                let folder = all.join(USUAL);
                return Ok(folder.is_dir().then_some(Overlay { folder, is_asked_for: false }));
            }
        };
        if name.is_empty() || name.contains(['/', '\0']) || name.starts_with('.') {
            return Err(Error::usage(format!("{asked_by}: {name:?} cannot be the name of an environment"))
                .hint("it is a folder in env/ beside the pipeline, as in --env prod for env/prod"));
        }
        let folder = all.join(name);
        if folder.is_dir() {
            return Ok(Some(Overlay { folder, is_asked_for: true }));
        }
        let mut known: Vec<String> = names_in(&all).into_iter().filter(|name| all.join(name).is_dir()).collect();
        known.sort();
        let hint = match closest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean {near}?"),
            None if known.is_empty() => format!("make the folder {} for the files that differ there", folder.display()),
            None => format!("there are {}", known.join(", ")),
        };
        let message = format!("{asked_by}: there is no environment {name}: {} is no folder", folder.display());
        Err(Error::new(exit::PROBLEMS, "unknown-environment", message).hint(hint))
    }
}
