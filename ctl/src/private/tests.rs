//! Starting and losing a private daemon; a shell script stands in for it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::client::Client;

fn script(folder: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("dagd");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

async fn first_request(text: &str) -> Error {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = PrivateDaemon::start_program(&script(&folder, text), &PrivateArgs::default()).unwrap();
    let client = Client::new(daemon.addresses());
    let error = client.get::<protocol::Status>(protocol::path::STATUS).await.unwrap_err();
    daemon.explain(error).await
}

fn told(error: Error) -> (u8, String, String) {
    let Error::Failed(complaint) = error else { panic!("closed pipe") };
    (complaint.exit, complaint.detail.message.clone(), complaint.detail.causes.join("\n"))
}

#[test]
fn each_listener_has_a_name_of_its_own() {
    let (_one, first) = autobound_listener().unwrap();
    let (_two, second) = autobound_listener().unwrap();
    assert!(!first.is_empty() && first != second);
}

#[tokio::test]
async fn a_daemon_that_ends_at_once_is_quoted() {
    let (exit, message, cause) = told(first_request("echo 'cannot open the store' >&2; exit 70").await);
    assert_eq!(exit, exit::UNREACHABLE);
    assert_eq!(message, "the private daemon is gone: it ended with exit code 70");
    assert_eq!(cause, "it said:\ncannot open the store");
}

#[tokio::test]
async fn a_bad_configuration_keeps_its_exit_code() {
    let (exit, ..) = told(first_request("echo 'dagd.toml:3: unknown key' >&2; exit 3").await);
    assert_eq!(exit, exit::PROBLEMS);
}

#[tokio::test]
async fn a_daemon_that_is_killed_is_told_by_its_signal() {
    let (_, message, _) = told(first_request("kill -SEGV $$").await);
    assert_eq!(message, "the private daemon is gone: it was ended by signal 11 (SIGSEGV)");
}

#[tokio::test]
async fn it_is_given_its_socket_and_its_options() {
    let folder = tempfile::tempdir().unwrap();
    let options = PrivateArgs {
        plugins: vec![folder.path().to_owned()],
        daemon_config: Some("c.toml".into()),
        workers: Some(2),
        start_method: Some("spawn".into()),
        daemon_log: false,
    };
    let program = script(&folder, "echo \"$@\" >&2; test -S /dev/stdin && echo socket >&2; exit 1");
    let mut daemon = PrivateDaemon::start_program(&program, &options).unwrap();
    let (_, _, cause) = told(daemon.explain(Error::new(exit::UNREACHABLE, "", "")).await);
    let plugins = folder.path().display();
    let want = format!(
        "it said:\nserve --listen-stdin --private --plugins {plugins} --config c.toml --workers 2 --start-method spawn\nsocket"
    );
    assert_eq!(cause, want);
}

#[tokio::test]
async fn a_daemon_that_lives_is_not_blamed_and_ends_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let program = script(&folder, "exec sleep 1000");
    let mut daemon = PrivateDaemon::start_program(&program, &PrivateArgs::default()).unwrap();
    let error = daemon.explain(Error::new(exit::RUN_FAILED, "mine", "")).await;
    assert_eq!(error.code(), "mine");
    daemon.stop().await;
}

#[test]
fn it_is_looked_for_beside_this_program_and_then_in_the_path() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let this = Some(here.path().join("ctl"));
    let path = Some(there.path().as_os_str().to_owned());
    let (exit, message, _) = told(find_daemon(this.clone(), path.clone()).unwrap_err());
    assert_eq!(exit, exit::UNREACHABLE);
    assert!(message.ends_with("and none in PATH"), "{message}");
    let second = script(&there, "");
    assert_eq!(find_daemon(this.clone(), path.clone()).unwrap(), second);
    let first = script(&here, "");
    assert_eq!(find_daemon(this, path).unwrap(), first);
}

#[test]
fn a_plugin_folder_that_is_not_there_is_told_before_anything_starts() {
    let options = PrivateArgs { plugins: vec!["/nowhere/at/all".into()], ..PrivateArgs::default() };
    let (exit, message, _) = told(arguments(&options).unwrap_err());
    assert_eq!(exit, exit::PROBLEMS);
    assert_eq!(message, "the plugin folder /nowhere/at/all is not there");
}
