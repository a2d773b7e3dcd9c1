//! The server's client of a hook host: one exchange at a time, each with a deadline.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use crate::block::adopt::ClaimedBlock;
use crate::ipc::channel::ChannelError;
use crate::ipc::client::{HookChannel, HookEvent};
use crate::ipc::message::{LogRecord, Role, TaskFailure};
use crate::server::generations::{Process, ProcessEnd, Zygote, ending_in_words};
use crate::server::pool::DriverSettings;
use crate::sys::wait;

/// How long a hook host that closed its channel may take to be reported dead.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// What the host is said to have done when its deadline is over.
pub const TOO_LATE: &str = "did not answer in time";

/// A hook host that takes events.
#[derive(Debug)]
pub struct Host {
    channel: HookChannel,
    process: Process,
    configured: BTreeSet<(u32, u32)>,
    last_token: u64,
}

/// How an exchange failed.
#[derive(Debug)]
pub enum Fault {
    /// The hook said so; the host lives on.
    Reported(TaskFailure),
    /// The host did not answer in time, died, or broke the protocol: it must be ended.
    Lost(String),
}

/// Something a hook logged or printed.
pub enum Said {
    /// Through the `log` macros.
    Logged(LogRecord),
    /// To standard output or error.
    Printed(String),
}

impl Host {
    /// Starts one and waits until it is ready.
    pub fn start(zygote: &Zygote, settings: &DriverSettings) -> Result<Host, String> {
        let (channel, socket) =
            HookChannel::pair().map_err(|error| format!("cannot make a channel for the hook host: {error}"))?;
        let process = zygote.start_process(Role::HookHost, settings.limits, socket, settings.start_timeout)?;
        let mut host = Host { channel, process, configured: BTreeSet::new(), last_token: 0 };
        let deadline = Instant::now() + settings.start_timeout;
        match host.receive(deadline, &mut |_| {}) {
            Ok(HookEvent::Ready { .. }) => Ok(host),
            Ok(other) => {
                host.end();
                Err(format!("a new hook host spoke out of turn: {other:?}"))
            }
            Err(reason) => {
                host.end();
                Err(format!("a new hook host {reason}"))
            }
        }
    }

    /// Gives a hook its options unless it has them.
    pub fn configure(
        &mut self,
        (plugin, hook): (u32, u32),
        options: &str,
        deadline: Instant,
        said: &mut dyn FnMut(Said),
    ) -> Result<(), Fault> {
        if self.configured.contains(&(plugin, hook)) {
            return Ok(());
        }
        let token = self.next_token();
        self.channel
            .configure(token, plugin, hook, options.to_owned())
            .map_err(|error| Fault::Lost(self.lost(error)))?;
        self.answer(token, deadline, said)?;
        self.configured.insert((plugin, hook));
        Ok(())
    }

    /// Tells a hook of an event and waits for its answer: the inputs it replaced, to be checked.
    pub fn event(
        &mut self,
        (plugin, hook): (u32, u32),
        argument: &str,
        inputs: &[crate::ipc::client::Input],
        deadline: Instant,
        said: &mut dyn FnMut(Said),
    ) -> Result<Vec<ClaimedBlock>, Fault> {
        let token = self.next_token();
        self.channel
            .event(token, plugin, hook, argument.to_owned(), inputs)
            .map_err(|error| Fault::Lost(self.lost(error)))?;
        self.answer(token, deadline, said)
    }

    /// Ends the process for certain.
    pub fn end(&mut self) {
        self.process.kill();
        self.process.wait(END_PATIENCE);
    }

    /// Asks the process to leave, and ends it if it does not.
    pub fn quit(mut self) {
        if self.channel.quit().is_err() || self.process.wait(Duration::from_millis(500)).is_none() {
            self.end();
        }
    }

    fn next_token(&mut self) -> u64 {
        self.last_token += 1;
        self.last_token
    }

    fn answer(
        &mut self,
        token: u64,
        deadline: Instant,
        said: &mut dyn FnMut(Said),
    ) -> Result<Vec<ClaimedBlock>, Fault> {
        match self.receive(deadline, said).map_err(Fault::Lost)? {
            // The answer's JSON names what was replaced; the claims themselves say it too.
            HookEvent::Answer { token: found, outputs, .. } if found == token => Ok(outputs),
            HookEvent::Failed { token: found, failure } if found == token => Err(Fault::Reported(failure)),
            other => Err(Fault::Lost(format!("answered out of turn: {other:?}"))),
        }
    }

    /// The next event that is no log line. The error completes the sentence "the hook host …".
    fn receive(&mut self, deadline: Instant, said: &mut dyn FnMut(Said)) -> Result<HookEvent, String> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut watched = vec![self.channel.as_fd()];
            watched.extend(self.process.output.watched());
            let ready =
                wait::readable(&watched, Some(left)).map_err(|error| format!("cannot be waited for: {error}"))?;
            if ready.get(1) == Some(&true) {
                self.process.output.read().into_iter().for_each(|line| said(Said::Printed(line)));
            }
            if ready.first() == Some(&true) {
                match self.channel.receive() {
                    Ok(HookEvent::Log(record)) => {
                        said(Said::Logged(record));
                        // One that logs without pause would otherwise never be late.
                        if left.is_zero() {
                            return Err(TOO_LATE.to_owned());
                        }
                    }
                    Ok(event) => return Ok(event),
                    Err(error) => {
                        let lost = self.lost(error);
                        self.process.output.read().into_iter().for_each(|line| said(Said::Printed(line)));
                        return Err(lost);
                    }
                }
            } else if left.is_zero() {
                return Err(TOO_LATE.to_owned());
            }
        }
    }

    fn lost(&self, error: ChannelError) -> String {
        match error {
            ChannelError::Closed => match self.process.wait(END_PATIENCE) {
                Some(ProcessEnd::Ended { ending, .. }) => ending_in_words(ending),
                Some(ProcessEnd::WithZygote(reason)) => format!("ended with its plugin process: {reason}"),
                Some(ProcessEnd::Unknown) | None => "closed its channel".to_owned(),
            },
            error => format!("broke the protocol: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::ipc::channel::Channel;
    use crate::ipc::message::FromHookHost;

    #[test]
    fn a_hook_that_logs_without_pause_is_late_all_the_same() {
        let (channel, socket) = HookChannel::pair().unwrap();
        let mut host = Host { channel, process: Process::pretended(), configured: BTreeSet::new(), last_token: 0 };
        let hook = Channel::from_socket(socket);
        for message in ["one", "two", "three"] {
            let record = LogRecord { level: 3, target: "t".to_owned(), message: message.to_owned(), token: 1 };
            hook.send(&FromHookHost::Log(record), &[]).unwrap();
        }
        let mut heard = 0;
        let late = host.receive(Instant::now(), &mut |_| heard += 1);
        assert_eq!(late.unwrap_err(), TOO_LATE);
        assert_eq!(heard, 1, "there is always another line");
    }
}
