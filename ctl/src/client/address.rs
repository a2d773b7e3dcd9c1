//! Where the daemon is, and what it means when nobody answers there.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::address::{Environment, VARIABLE};
use protocol::exit;
use tokio::net::UnixStream;
use tokio::time::Instant;

use crate::error::Error;

/// The places to look at, in order; never empty.
#[derive(Debug, Clone)]
pub struct Addresses {
    paths: Vec<PathBuf>,
}

impl Addresses {
    /// The one the user names, else those of the environment.
    pub fn find(named: Option<&Path>) -> Addresses {
        match named {
            Some(path) => Addresses::one(path.to_owned()),
            None => Addresses { paths: Environment::of_process().connect_paths() },
        }
    }

    /// A single one: a path, or `@name` for the abstract namespace.
    pub fn one(path: PathBuf) -> Addresses {
        Addresses { paths: vec![path] }
    }

    /// Connects to the first that answers, and says which it was.
    pub async fn connect(&self) -> Result<(UnixStream, String), Error> {
        let mut tried = Vec::new();
        for path in &self.paths {
            match connect(path).await {
                Ok(stream) => return Ok((stream, path.display().to_string())),
                Err(problem) if may_be_elsewhere(&problem) => tried.push((path, problem)),
                Err(problem) => return Err(cannot_connect(path, &problem)),
            }
        }
        Err(nobody_there(&tried))
    }
}

/// How long a daemon may leave its queue of new connections full.
const QUEUE_PATIENCE: Duration = Duration::from_secs(10);

async fn connect(path: &Path) -> io::Result<UnixStream> {
    // tokio takes a leading zero byte for the abstract namespace.
    let place = match path.to_str().and_then(|text| text.strip_prefix('@')) {
        Some(name) => PathBuf::from(format!("\0{name}")),
        None => path.to_owned(),
    };
    let deadline = Instant::now() + QUEUE_PATIENCE;
    loop {
        match UnixStream::connect(&place).await {
            // The kernel does not queue a non-blocking connect; it says that the queue is full.
            Err(problem) if problem.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            outcome => return outcome,
        }
    }
}

fn may_be_elsewhere(problem: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, NotADirectory, NotFound};
    matches!(problem.kind(), NotFound | ConnectionRefused | NotADirectory)
}

fn nobody_there(tried: &[(&PathBuf, io::Error)]) -> Error {
    let places: Vec<String> =
        tried.iter().map(|(path, problem)| format!("{} ({})", path.display(), why_nobody(path, problem))).collect();
    Error::new(exit::UNREACHABLE, "no-daemon", format!("no daemon answers at {}", places.join(" nor at ")))
        .hint("start one with `dagd serve`, or use `ctl run`, which needs none")
        .hint(format!("a daemon elsewhere is named with --socket PATH or ${VARIABLE}"))
}

fn why_nobody(path: &Path, problem: &io::Error) -> String {
    match problem.kind() {
        io::ErrorKind::NotFound if path.to_str().is_some_and(|text| text.starts_with('@')) => {
            "nobody listens".to_owned()
        }
        io::ErrorKind::NotFound => match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() && !folder.exists() => {
                format!("there is no folder {}", folder.display())
            }
            _ => "there is no such socket".to_owned(),
        },
        io::ErrorKind::ConnectionRefused => match std::fs::metadata(path) {
            Ok(metadata) if !metadata.file_type().is_socket() => "that is no socket".to_owned(),
            Ok(_) => "stale socket: the file is there, but the daemon that made it is gone".to_owned(),
            Err(_) => "nobody listens".to_owned(),
        },
        _ => problem.to_string(),
    }
}

fn cannot_connect(path: &Path, problem: &io::Error) -> Error {
    let place = path.display();
    match problem.kind() {
        io::ErrorKind::PermissionDenied => {
            Error::new(exit::REFUSED, "permission", format!("the daemon's socket {place} may not be used by this user"))
                .cause(problem)
                .hint("run as the user that started the daemon, or join the group set as `group` in its configuration")
        }
        io::ErrorKind::WouldBlock => Error::new(
            exit::UNREACHABLE,
            "busy",
            format!("the daemon at {place} does not accept connections: its queue is full"),
        )
        .hint("it may be stuck or stopped: look at its process and its log"),
        io::ErrorKind::InvalidInput => Error::usage(format!("{place:?} cannot be the address of a socket"))
            .cause(problem)
            .hint("a socket's path has at most 107 bytes; `@name` means Linux's abstract namespace"),
        _ => Error::new(exit::UNREACHABLE, "no-daemon", format!("cannot connect to the daemon at {place}"))
            .cause(problem),
    }
}
