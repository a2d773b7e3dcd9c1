//! Fetches what a run has made: into files, or to standard output.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use protocol::{OutputInfo, OutputList, OutputState, exit, path};

use crate::args::Wanted;
use crate::client::Client;
use crate::error::{Error, closest};
use crate::render::paint::harmless;
use crate::render::units;
use crate::screen::Screen;

/// Refuses what cannot be meant, before anything runs.
pub fn check(wanted: &[Wanted], json: bool) -> Result<(), Error> {
    let to_screen: Vec<&str> = wanted.iter().filter(|one| one.file.is_none()).map(|one| one.name.as_str()).collect();
    if to_screen.len() > 1 {
        return Err(Error::usage(format!("{} would run into each other on standard output", to_screen.join(" and ")))
            .hint("give them files, as in --output metrics=metrics.json"));
    }
    if let (Some(name), true) = (to_screen.first(), json) {
        return Err(Error::usage(format!("--json and the output {name} both want standard output"))
            .hint(format!("give it a file: --output {name}=FILE")));
    }
    Ok(())
}

/// Fetches them one after the other; what is not there is told when the others are.
pub async fn fetch(client: &Client, run: &str, wanted: &[Wanted], screen: &mut Screen) -> Result<(), Error> {
    if wanted.is_empty() {
        return Ok(());
    }
    let list: OutputList = client.get(&path::run_outputs(run)).await?;
    let mut first_failure = None;
    for one in wanted {
        let fetched = match list.outputs.iter().find(|output| output.name == one.name) {
            Some(output) => fetch_one(client, run, one, output, screen).await,
            None => Err(no_such_output(run, one, &list)),
        };
        match (fetched, &first_failure) {
            (Err(Error::ClosedPipe), _) => return Err(Error::ClosedPipe),
            (Err(error), None) => first_failure = Some(error),
            (Err(Error::Failed(complaint)), Some(_)) => screen.complain(&complaint),
            (Ok(()), _) => {}
        }
    }
    first_failure.map_or(Ok(()), Err)
}

async fn fetch_one(
    client: &Client,
    run: &str,
    wanted: &Wanted,
    output: &OutputInfo,
    screen: &mut Screen,
) -> Result<(), Error> {
    match output.state {
        OutputState::Ready => {}
        OutputState::Pending => {
            return Err(Error::new(exit::NOT_FOUND, "not-made", format!("the output {} was not made", wanted.name))
                .hint(format!("`ctl show {}` tells what became of the node that makes it", harmless(run))));
        }
        OutputState::Gone => {
            let reason = output.reason.as_deref().unwrap_or("it was dropped");
            return Err(Error::new(
                exit::NOT_FOUND,
                "output-gone",
                format!("the output {} is gone: {reason}", wanted.name),
            ));
        }
    }
    let Some(file) = &wanted.file else {
        let target = path::run_output(run, &wanted.name, None);
        client.download(&target, |piece| screen.print_bytes(piece)).await?;
        return screen.finish();
    };
    // Where the kind is not known before it is read back, the type that saved it says enough.
    let is_table =
        output.kind.as_deref().map_or(output.storage != "json" && output.storage != "text", |kind| kind == "table");
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_stream = !name.contains('.') || name.ends_with(".arrows");
    let target = path::run_output(run, &wanted.name, (is_table && !is_stream).then_some(name));
    let mut part = Part::create(file)?;
    let length = client.download(&target, |piece| part.write(piece)).await?;
    part.finish()?;
    screen.note(&format!("{} is in {} ({})", harmless(&wanted.name), file.display(), units::size(length)));
    Ok(())
}

fn no_such_output(run: &str, wanted: &Wanted, list: &OutputList) -> Error {
    let names = || list.outputs.iter().map(|output| output.name.as_str());
    let error =
        Error::new(exit::NOT_FOUND, "no-such-output", format!("run {} has no output {:?}", harmless(run), wanted.name));
    match closest(&wanted.name, names()) {
        Some(near) => error.hint(format!("did you mean {near}?")),
        None => error.hint(format!("its outputs are: {}", names().collect::<Vec<_>>().join(", "))),
    }
}

/// A file that takes its name when it is whole.
struct Part {
    file: File,
    part: PathBuf,
    target: PathBuf,
    is_done: bool,
}

impl Part {
    fn create(target: &Path) -> Result<Part, Error> {
        let mut part = target.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = File::create(&part).map_err(|problem| {
            Error::new(exit::USAGE, "unwritable-file", format!("cannot write {}", target.display())).cause(problem)
        })?;
        Ok(Part { file, part, target: target.to_owned(), is_done: false })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(|problem| self.failed(&problem))
    }

    fn finish(mut self) -> Result<(), Error> {
        self.file.sync_all().map_err(|problem| self.failed(&problem))?;
        std::fs::rename(&self.part, &self.target).map_err(|problem| self.failed(&problem))?;
        self.is_done = true;
        Ok(())
    }

    fn failed(&self, problem: &std::io::Error) -> Error {
        Error::new(exit::INTERNAL, "unwritable-file", format!("cannot write {}", self.target.display())).cause(problem)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_done {
            // Half an output is none; that it cannot be removed adds nothing to what is told already.
            let _ = std::fs::remove_file(&self.part);
        }
    }
}
