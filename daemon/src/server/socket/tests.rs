//! Sockets as they really are: files with modes, left behind, in use, passed on.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use nix::unistd::Gid;

use super::{Listening, Request, SocketError, listen};

fn at(path: &Path) -> Result<Listening, SocketError> {
    listen(Request { path: Some(path.to_owned()), ..Request::default() })
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_socket_is_private_from_its_first_instant() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deeper/dagd.sock");
    // A watcher that looks as fast as it can while the socket is made over and over sees no other mode.
    let stop = std::sync::atomic::AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut seen = std::collections::BTreeSet::new();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                if let Ok(found) = std::fs::symlink_metadata(&path) {
                    seen.insert(found.permissions().mode() & 0o777);
                }
            }
            seen
        });
        for _ in 0..200 {
            let listening = at(&path).unwrap();
            assert_eq!(mode(&path), 0o600);
            drop(listening);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        watcher.join().unwrap()
    });
    assert!(seen.iter().all(|mode| *mode == 0o600), "{seen:?}");
    assert_eq!(mode(path.parent().unwrap()), 0o700, "the folder it made");
}

#[test]
fn a_group_is_let_in_when_the_configuration_names_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dagd.sock");
    let own_group = Gid::current();
    let request = Request { path: Some(path.clone()), group: Some(own_group), ..Request::default() };
    let _listening = listen(request).unwrap();
    assert_eq!(mode(&path), 0o660);
    assert_eq!(std::fs::metadata(&path).unwrap().gid(), own_group.as_raw());
}

#[test]
fn a_socket_left_behind_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dagd.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a dead daemon leaves it");
    let listening = at(&path).unwrap();
    UnixStream::connect(&path).unwrap();
    drop(listening);
    assert!(!path.exists(), "removed at the end");
}

#[test]
fn a_live_one_is_left_alone_and_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dagd.sock");
    let first = at(&path).unwrap();
    let error = at(&path).unwrap_err();
    assert!(error.message.contains("listens at") && error.message.contains("already"), "{error}");
    UnixStream::connect(&path).unwrap();
    drop(first);
}

#[test]
fn of_many_daemons_that_start_at_once_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dagd.sock");
    drop(UnixListener::bind(&path).unwrap());
    let results: Vec<_> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..8).map(|_| scope.spawn(|| at(&path))).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    UnixStream::connect(&path).unwrap();
}

#[test]
fn a_successors_file_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dagd.sock");
    let listening = at(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let _successor = UnixListener::bind(&path).unwrap();
    drop(listening);
    assert!(path.exists());
}

#[test]
fn what_is_no_socket_is_never_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dagd.sock");
    std::fs::write(&path, "precious").unwrap();
    let error = at(&path).unwrap_err();
    assert!(error.message.contains("no socket"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn paths_that_cannot_be_are_explained() {
    let error = at(Path::new(&format!("/tmp/{}", "x".repeat(200)))).unwrap_err();
    assert!(error.message.contains("too long") && error.message.contains("205"), "{error}");
    let error = at(Path::new("/no/such/folder/dagd.sock")).unwrap_err();
    assert!(error.message.contains("/no/such/folder"), "{error}");
    let error = listen(Request::default()).unwrap_err();
    assert!(error.message.contains("XDG_RUNTIME_DIR") && error.hint.contains("--socket"), "{error}");
}

#[test]
fn an_abstract_address_leaves_no_file() {
    let name = format!("@dagd-test-{}", std::process::id());
    let listening = at(Path::new(&name)).unwrap();
    assert!(listening.file.is_none());
    let error = at(Path::new(&name)).unwrap_err();
    assert!(error.message.contains("already"), "{error}");
}

#[test]
fn several_passed_sockets_are_one_too_many() {
    let folder = tempfile::tempdir().unwrap();
    let passed = ["a", "b"].map(|name| UnixListener::bind(folder.path().join(name)).unwrap().into()).into();
    let error = listen(Request { passed, ..Request::default() }).unwrap_err();
    assert!(error.message.contains("2 sockets"), "{error}");
}

#[test]
fn a_passed_socket_lets_in_who_may_write_to_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dagd.sock");
    for (mode, group) in [(0o660, Some(Gid::current())), (0o600, None)] {
        let listener = UnixListener::bind(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let listening = listen(Request { passed: vec![listener.into()], ..Request::default() }).unwrap();
        assert!(listening.is_managed && listening.file.is_none());
        assert_eq!(listening.group, group);
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn what_is_passed_must_be_a_listening_socket() {
    let (end, _other) = UnixStream::pair().unwrap();
    let error = listen(Request { passed: vec![end.into()], ..Request::default() }).unwrap_err();
    assert!(error.message.contains("does not listen"), "{error}");
}

#[test]
fn a_listening_socket_says_who_made_it_listen() {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("s")).unwrap();
    let own = i32::try_from(std::process::id()).unwrap();
    assert_eq!(super::inherit::listener_of(&listener), Some(own), "the process, not the thread");
    let (end, _other) = UnixStream::pair().unwrap();
    assert_eq!(super::inherit::listener_of(&end), None, "it does not listen");
}
