//! The hook host: answers the events that hooks asked for, one at a time, in order.
//!
//! Forked by the zygote, or (start method `spawn`) executed by it as `dagd hook-host` with a socket as stdin. It is one
//! process with one thread, so a hook sees every event of every run once, in order, with state it can keep. It starts
//! like a worker (`worker::start`) and answers calls with the same host (`worker::abi`).
#![allow(clippy::result_large_err, reason = "a Failure crosses the plugin boundary as it is, and is rare")]

use std::os::fd::{AsFd as _, OwnedFd};
use std::process::ExitCode;
use std::sync::Arc;

use plugin_api::abi::{Call, Failure};

use crate::ipc::channel::{Channel, ChannelError, Received};
use crate::ipc::message::{FromHookHost, InputValue, LogRecord, Role, ToHookHost};
use crate::ipc::page::WorkerPage;
use crate::worker::abi::{self, Argument, CallState, Claims, Expected, Granted, Setting, Spare};
use crate::worker::journal::{self, Sink};
use crate::worker::start;
use crate::zygote::Plugins;

/// Runs a spawned hook host until it is told to leave. `parent` is the process id it was told to die with.
pub fn main(parent: i32) -> ExitCode {
    start::spawned(parent, Role::HookHost)
}

/// Answers events until told to leave, or until the server has gone.
pub fn serve(channel: Channel, page: &WorkerPage, plugins: &Plugins) -> Result<(), ChannelError> {
    let channel = Arc::new(channel);
    journal::install(Box::new(ToServer(Arc::clone(&channel))));
    channel.send(&FromHookHost::Ready { pid: std::process::id().cast_signed() }, &[])?;
    loop {
        let Received { message, descriptors } = match channel.receive() {
            Err(ChannelError::Closed) => return Ok(()),
            received => received?,
        };
        let request = match message {
            ToHookHost::Quit => return Ok(()),
            ToHookHost::Configure { token, plugin, hook, options } => {
                let argument = configuration(&options);
                Request { token, plugin, hook, argument, inputs: Vec::new() }
            }
            ToHookHost::Event { token, plugin, hook, argument, inputs } => {
                Request { token, plugin, hook, argument, inputs }
            }
        };
        let token = request.token;
        page.begin(token);
        journal::set_token(token);
        let outcome = answer(page, plugins, request, descriptors);
        journal::set_token(0);
        page.begin(0);
        match outcome {
            Ok((answer, Claims { claims, files, guards, .. })) => {
                let files: Vec<_> = files.iter().map(|file| file.as_fd()).collect();
                channel.send(&FromHookHost::Answer { token, answer, outputs: claims }, &files)?;
                drop(guards);
            }
            Err(failure) => {
                channel.send(&FromHookHost::Failed { token, failure: abi::task_failure(failure) }, &[])?;
            }
        }
    }
}

/// One call of a hook.
struct Request {
    token: u64,
    plugin: u32,
    hook: u32,
    argument: String,
    inputs: Vec<InputValue>,
}

fn answer(
    page: &WorkerPage,
    plugins: &Plugins,
    request: Request,
    descriptors: Vec<OwnedFd>,
) -> Result<(String, Claims), Failure> {
    let Request { token, plugin, hook, argument, inputs } = request;
    let found = abi::plugin(plugins, plugin)?;
    let name = abi::entry(found, "hook", &found.description.hooks, hook)?.name.clone();
    // A hook may replace any of the inputs it is shown, and need not.
    let expected = Expected::any_of(format!("hook `{name}`"), inputs.len());
    let spare = Spare::default();
    let setting = Setting::new(Argument::Given(&argument), token, page, &Granted, &spare);
    let state = CallState::new(setting, inputs, descriptors, expected)?;
    let answer = found.module.call_hook()(hook, Call::new(&state)).into_result()?;
    Ok((answer.into(), state.finish()?.into_claims()))
}

/// The event that gives a hook its options. They are the server's JSON; should they be none, the hook says so.
fn configuration(options: &str) -> String {
    let options = if options.trim().is_empty() { "{}" } else { options };
    format!(r#"{{"event":"configure","options":{options}}}"#)
}

/// Sends log records to the server.
struct ToServer(Arc<Channel>);

impl Sink for ToServer {
    fn take(&self, record: LogRecord) {
        // Without a server there is nobody to read it; the loop notices that by itself.
        let _ = self.0.send(&FromHookHost::Log(record), &[]);
    }
}
