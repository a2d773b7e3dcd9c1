//! Makes the socket at a path or an abstract address.
//!
//! The mode of a socket's file comes from the socket itself: `fchmod` before `bind` makes the file private to its owner
//! from its first instant, whatever the umask is. (Changing the umask would do as well, but it belongs to all threads;
//! making the file elsewhere and renaming it would leave a wrong name in `ss`.) The group is let in only after the file
//! belongs to it.
//!
//! A file that is there already is asked first: if someone answers, there is a daemon and this one gives up; if nobody
//! does, it was left behind and is removed. The folder is locked meanwhile, so that two daemons that start at the same
//! moment do not remove each other's.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket};
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat};
use nix::unistd::{Gid, chown};

use super::SocketError;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 512;

/// How long to wait for another daemon that is starting in the same folder.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// The socket's file; removed when this is dropped, unless another one has taken its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode));
        if ours {
            // If it cannot be removed, the next daemon finds that nobody answers and removes it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Listens on a name in Linux's abstract namespace: no file, so no mode; the check of peers is all that guards it.
pub(super) fn abstract_address(name: &str) -> Result<UnixListener, SocketError> {
    let shown = format!("@{name}");
    let address = UnixAddr::new_abstract(name.as_bytes()).map_err(|error| cannot("listen on", &shown, error))?;
    let socket = new_socket().map_err(|error| cannot("listen on", &shown, error))?;
    match bind(socket.as_raw_fd(), &address) {
        Ok(()) => (),
        Err(Errno::EADDRINUSE) => return Err(in_use(&shown)),
        Err(error) => return Err(cannot("listen on", &shown, error)),
    }
    start_listening(socket).map_err(|error| cannot("listen on", &shown, error))
}

/// Listens at a path.
pub(super) fn path(path: &Path, group: Option<Gid>) -> Result<(UnixListener, SocketFile), SocketError> {
    let shown = path.display().to_string();
    let address = UnixAddr::new(path).map_err(|error| match error {
        Errno::ENAMETOOLONG => SocketError::new(
            format!(
                "the socket's path {shown} is too long: it has {} bytes, the system takes 107",
                path.as_os_str().len()
            ),
            "choose a shorter one with --socket or [server] socket",
        ),
        error => cannot("listen at", &shown, error),
    })?;
    let folder = folder_of(path, group)?;
    let _locked = lock(folder)?;
    make_room(path, &address)?;

    let socket = new_socket().map_err(|error| cannot("listen at", &shown, error))?;
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR).map_err(|error| cannot("restrict", &shown, error))?;
    bind(socket.as_raw_fd(), &address).map_err(|error| cannot("listen at", &shown, error))?;
    let made = std::fs::symlink_metadata(path).map_err(|error| cannot("look at", &shown, error))?;
    let file = SocketFile { path: path.to_owned(), device: made.dev(), inode: made.ino() };
    if let Some(group) = group {
        chown(path, None, Some(group)).map_err(|error| {
            SocketError::new(
                format!("cannot give the socket {shown} to group {group}: {}", error.desc()),
                "run the daemon as a member of that group, or as root, or leave [server] group empty",
            )
        })?;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR | Mode::S_IRGRP | Mode::S_IWGRP;
        fchmodat(AT_FDCWD, path, mode, FchmodatFlags::FollowSymlink)
            .map_err(|error| cannot("open to its group", &shown, error))?;
    }
    let listener = start_listening(socket).map_err(|error| cannot("listen at", &shown, error))?;
    Ok((listener, file))
}

fn new_socket() -> nix::Result<OwnedFd> {
    socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)
}

fn start_listening(socket: OwnedFd) -> nix::Result<UnixListener> {
    listen(&socket, Backlog::new(BACKLOG)?)?;
    Ok(UnixListener::from(socket))
}

/// The folder of the socket; made if it is the only thing missing, for its owner and the group alone.
fn folder_of(path: &Path, group: Option<Gid>) -> Result<&Path, SocketError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let shown = folder.display().to_string();
    let mode = if group.is_some() { 0o750 } else { 0o700 };
    match std::fs::DirBuilder::new().mode(mode).create(folder) {
        Ok(()) => {
            if let Some(group) = group {
                chown(folder, None, Some(group)).map_err(|error| cannot("give to its group", &shown, error))?;
            }
            Ok(folder)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(folder),
        Err(error) => Err(SocketError::new(
            format!("cannot make the folder {shown} for the control socket: {error}"),
            "make it, or choose another place with --socket or [server] socket",
        )),
    }
}

/// Takes the folder for as long as the result lives.
fn lock(folder: &Path) -> Result<Flock<File>, SocketError> {
    let shown = folder.display().to_string();
    let give_up = Instant::now() + LOCK_PATIENCE;
    let mut opened = File::open(folder).map_err(|error| cannot("open the folder", &shown, error))?;
    loop {
        match Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
            Ok(locked) => return Ok(locked),
            Err((file, Errno::EWOULDBLOCK)) if Instant::now() < give_up => {
                opened = file;
                std::thread::sleep(Duration::from_millis(5));
            }
            Err((_, Errno::EWOULDBLOCK)) => {
                return Err(SocketError::new(
                    format!("the folder {shown} is locked by another process"),
                    "another daemon may be starting there; try again, or choose another place with --socket",
                ));
            }
            Err((_, error)) => return Err(cannot("lock the folder", &shown, error)),
        }
    }
}

/// Removes a socket that was left behind; refuses when it is in use, or no socket.
fn make_room(path: &Path, address: &UnixAddr) -> Result<(), SocketError> {
    let shown = path.display().to_string();
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(cannot("look at", &shown, error)),
    };
    if !found.file_type().is_socket() {
        return Err(SocketError::new(
            format!("cannot listen at {shown}: there is a file of that name, and it is no socket"),
            "remove it, or choose another place with --socket or [server] socket",
        ));
    }
    let probe = new_socket().map_err(|error| cannot("look at", &shown, error))?;
    match connect(probe.as_raw_fd(), address) {
        // EAGAIN: it listens, and its queue is full.
        Ok(()) | Err(Errno::EAGAIN) => Err(in_use(&shown)),
        Err(Errno::ECONNREFUSED) => {
            log::info!("removing {shown}, which an earlier daemon left behind");
            std::fs::remove_file(path).map_err(|error| cannot("remove the socket left behind at", &shown, error))
        }
        Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(cannot("find out who listens at", &shown, error)),
    }
}

fn in_use(shown: &str) -> SocketError {
    SocketError::new(
        format!("a daemon listens at {shown} already"),
        "use that one, end it first, or start this one with another --socket",
    )
}

fn cannot(attempt: &str, shown: &str, error: impl Into<std::io::Error>) -> SocketError {
    SocketError::new(
        format!("cannot {attempt} {shown}: {}", error.into()),
        "choose another place with --socket or [server] socket",
    )
}
