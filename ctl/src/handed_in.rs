//! Data handed in with a run: named in the submission, and its files sent to the daemon before.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use protocol::{InputBlock, InputData, Submission, exit};

use crate::args::{HandedIn, HandedInData};
use crate::client::Client;
use crate::error::Error;

/// What the submission says of the data. Files are not sent yet: that takes a daemon, and a run.
pub fn named(inputs: &[HandedIn]) -> BTreeMap<String, InputData> {
    let mut named = BTreeMap::new();
    for input in inputs {
        let data = match &input.data {
            HandedInData::Value(value) => InputData::Value(value.clone()),
            HandedInData::File { path, dataset_type } => InputData::Block(InputBlock {
                name: path.to_string_lossy().into_owned(),
                dataset_type: dataset_type.clone(),
                ..InputBlock::default()
            }),
        };
        // Of two for one dataset the later counts, as with parameters: a file of options can be overruled.
        named.insert(input.name.clone(), data);
    }
    named
}

/// Opens every file, so that a missing one is told before anything starts.
pub fn open(inputs: &[HandedIn]) -> Result<BTreeMap<String, Source>, Error> {
    let mut files = BTreeMap::new();
    for input in inputs {
        files.remove(&input.name);
        if let HandedInData::File { path, .. } = &input.data {
            files.insert(input.name.clone(), Source::open(&input.name, path)?);
        }
    }
    Ok(files)
}

/// Sends the files, and says in the submission where they are.
pub async fn send(client: &Client, files: BTreeMap<String, Source>, submission: &mut Submission) -> Result<(), Error> {
    for (name, source) in files {
        let block = client.send_file(source.file, source.bytes).await?;
        if let Some(InputData::Block(input)) = submission.inputs.get_mut(&name) {
            input.id = block.id;
        }
    }
    Ok(())
}

/// An open file, and how many bytes it has if that is known.
#[derive(Debug)]
pub struct Source {
    file: File,
    bytes: Option<u64>,
}

impl Source {
    fn open(name: &str, path: &Path) -> Result<Source, Error> {
        let failed = |problem: &io::Error| {
            let shown = path.display();
            let error =
                Error::new(exit::PROBLEMS, "unreadable-file", format!("cannot read {shown}, handed in as {name:?}"));
            match problem.kind() {
                io::ErrorKind::NotFound => error
                    .cause("there is no such file")
                    .hint_if(crate::source::similar_file(path).map(|near| format!("did you mean {near}?"))),
                _ => error.cause(problem),
            }
        };
        if path == Path::new("-") {
            let file = File::open("/dev/stdin").map_err(|problem| failed(&problem))?;
            return Ok(Source { file, bytes: None });
        }
        let file = File::open(path).map_err(|problem| failed(&problem))?;
        let metadata = file.metadata().map_err(|problem| failed(&problem))?;
        if metadata.is_dir() {
            return Err(failed(&io::ErrorKind::IsADirectory.into()).hint("name a file in it"));
        }
        Ok(Source { file, bytes: metadata.is_file().then_some(metadata.len()) })
    }
}
