//! The hook host: answers the events that hooks asked for, one at a time, in order.
//!
//! Forked by the zygote, or (start method `spawn`) executed by it as `dagd hook-host` with a socket as stdin. It is one
//! process with one thread, so a hook sees every event of every run once, in order, with state it can keep. It starts
//! like a worker (`worker::start`) and answers calls with the same host (`worker::abi`). Events come as messages at first, and
//! through [`rings`] once the server has sent them.
#![allow(clippy::result_large_err, reason = "a Failure crosses the plugin boundary as it is, and is rare")]

mod rings;

use std::os::fd::{AsFd as _, OwnedFd};
use std::process::ExitCode;

use plugin_api::abi::{Call, Failure};

use crate::ipc::channel::{Channel, ChannelError, Received};
use crate::ipc::message::{FromHookHost, InputValue, Role, ToHookHost};
use crate::ipc::page::WorkerPage;
use crate::ipc::ring::record::SmallBlock;
use crate::ipc::to_server::ToServer;
use crate::worker::abi::{self, Argument, CallState, Claims, Expected, Given, Granted, Inputs, Setting, Slots, Spare};
use crate::worker::journal;
use crate::worker::start;
use crate::zygote::Plugins;

/// Runs a spawned hook host until it is told to leave. `parent` is the process id it was told to die with.
pub fn main(parent: i32) -> ExitCode {
    start::spawned(parent, Role::HookHost)
}

/// Answers events until told to leave, or until the server has gone.
pub fn serve(channel: Channel, page: &WorkerPage, plugins: &Plugins) -> Result<(), ChannelError> {
    let link = ToServer::new(channel);
    journal::install(Box::new(link.clone()));
    link.send(&FromHookHost::Ready { pid: std::process::id().cast_signed() }, &[])?;
    let spare = Spare::default();
    let listeners = Listeners { link: &link, page, plugins, spare: &spare };
    loop {
        let Received { message, descriptors } = match link.receive() {
            Err(ChannelError::Closed) => return Ok(()),
            received => received?,
        };
        match message {
            ToHookHost::Quit => return Ok(()),
            ToHookHost::Rings => return rings::serve(listeners, rings::open(descriptors)?),
            request => {
                if let Some(request) = Request::of(request, descriptors) {
                    let token = request.token;
                    match listeners.answer_request(request) {
                        Ok((answer, claims)) => listeners.tell_answer(token, answer, claims)?,
                        Err(failure) => listeners.tell_failure(token, failure)?,
                    }
                }
            }
        }
        page.begin(0);
    }
}

/// What a message asks.
struct Request {
    token: u64,
    plugin: u32,
    hook: u32,
    argument: String,
    given: Brought<'static>,
    has_more: bool,
}

/// The blocks that come with an event.
enum Brought<'a> {
    /// As a message brought them.
    Message(Vec<InputValue>, Vec<OwnedFd>),
    /// As they lie in the ring.
    Small(Vec<Option<SmallBlock<'a>>>),
}

impl Request {
    /// The request in a message, if one is in it.
    fn of(message: ToHookHost, descriptors: Vec<OwnedFd>) -> Option<Request> {
        match message {
            ToHookHost::Configure { token, plugin, hook, options } => Some(Request {
                token,
                plugin,
                hook,
                argument: configuration(&options),
                given: Brought::Message(Vec::new(), descriptors),
                has_more: false,
            }),
            ToHookHost::Event { token, plugin, hook, argument, inputs, has_more } => {
                let given = Brought::Message(inputs, descriptors);
                Some(Request { token, plugin, hook, argument, given, has_more })
            }
            ToHookHost::Rings | ToHookHost::Quit => None,
        }
    }
}

/// The hooks of this process, and who hears of them.
#[derive(Clone, Copy)]
struct Listeners<'a> {
    link: &'a ToServer<FromHookHost>,
    page: &'a WorkerPage,
    plugins: &'a Plugins,
    spare: &'a Spare,
}

impl Listeners<'_> {
    fn answer_request(&self, request: Request) -> Result<(String, Claims), Failure> {
        self.answer(request.token, (request.plugin, request.hook), &request.argument, request.given)
    }

    /// Calls a hook: its answer, and the inputs it replaced.
    fn answer(
        &self,
        token: u64,
        (plugin, hook): (u32, u32),
        argument: &str,
        given: Brought<'_>,
    ) -> Result<(String, Claims), Failure> {
        let found = abi::plugin(self.plugins, plugin)?;
        let name = &abi::entry(found, "hook", &found.description.hooks, hook)?.name;
        self.page.begin(token);
        journal::set_token(token);
        // A hook may replace any of the inputs it is shown, and need not.
        let expected = |count| Expected::any_of(format!("hook `{name}`"), count);
        let setting = Setting::new(Argument::Given(argument), token, self.page, &Granted, self.spare);
        let state = match given {
            Brought::Message(values, descriptors) => {
                let expected = expected(values.len());
                CallState::new(&setting, values, descriptors, expected)?
            }
            Brought::Small(blocks) => {
                let expected = expected(blocks.len());
                let mut slots = Slots::with_capacity(blocks.len());
                blocks.into_iter().for_each(|block| slots.push(block.map_or(Given::Absent, Given::Small)));
                CallState::with(&setting, Inputs::given(&setting, slots), expected)
            }
        };
        let answer = found.module.call_hook()(hook, Call::new(&state)).into_result();
        let answer = answer.and_then(|answer| Ok((answer.into(), state.finish()?.into_claims(self.spare))));
        journal::set_token(0);
        answer
    }

    fn tell_answer(&self, token: u64, answer: String, claims: Claims) -> Result<(), ChannelError> {
        let Claims { claims, files, guards, .. } = claims;
        let files: Vec<_> = files.iter().map(|file| file.as_fd()).collect();
        self.link.send(&FromHookHost::Answer { token, answer, outputs: claims }, &files)?;
        drop(guards);
        Ok(())
    }

    fn tell_failure(&self, token: u64, failure: Failure) -> Result<(), ChannelError> {
        self.link.send(&FromHookHost::Failed { token, failure: abi::task_failure(failure) }, &[])
    }
}

/// The event that gives a hook its options. They are the server's JSON; should they be none, the hook says so.
fn configuration(options: &str) -> String {
    let options = if options.trim().is_empty() { "{}" } else { options };
    format!(r#"{{"event":"configure","options":{options}}}"#)
}
