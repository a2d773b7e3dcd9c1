//! What is asked of the thread that owns a zygote, and what it lets others know.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ProcessEnd;
use crate::ipc::message::{Limits, Role};
use crate::server::pool::Bell;

#[derive(Debug)]
pub(super) struct Inbox {
    pub(super) bell: Bell,
    requests: Mutex<Vec<Request>>,
    /// The processes there are, the zygote as number 0.
    pids: Mutex<BTreeMap<u64, u32>>,
}

#[derive(Debug)]
pub(super) enum Request {
    Start(Box<StartRequest>),
    Shutdown,
}

#[derive(Debug)]
pub(super) struct StartRequest {
    pub(super) role: Role,
    pub(super) limits: Limits,
    pub(super) channel: OwnedFd,
    pub(super) page: OwnedFd,
    pub(super) output: OwnedFd,
    pub(super) started: Sender<Result<Started, String>>,
    pub(super) ended: Sender<ProcessEnd>,
}

#[derive(Debug)]
pub(super) struct Started {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
}

impl Inbox {
    /// One in which nothing lies; the bell is rung when something does.
    pub(super) fn new(bell: Bell) -> Inbox {
        Inbox { bell, requests: Mutex::default(), pids: Mutex::default() }
    }

    pub(super) fn pids(&self) -> MutexGuard<'_, BTreeMap<u64, u32>> {
        self.pids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, request: Request) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        self.bell.ring();
    }

    /// What was asked for since the last time; nothing when the end was. The end comes first: what was to be started before it
    /// would only be killed, and must not fail in its way.
    pub(super) fn take(&self) -> Option<Vec<StartRequest>> {
        self.bell.answer();
        let requests = std::mem::take(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner));
        let start = |request| match request {
            Request::Start(request) => Some(*request),
            Request::Shutdown => None,
        };
        requests.into_iter().map(start).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use std::sync::mpsc::channel;

    use super::*;

    fn start() -> Request {
        let null = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let (role, limits) = (Role::Worker, Limits::default());
        let (started, ended) = (channel().0, channel().0);
        Request::Start(Box::new(StartRequest {
            role,
            limits,
            channel: null(),
            page: null(),
            output: null(),
            started,
            ended,
        }))
    }

    #[test]
    fn the_end_is_heard_whatever_was_asked_for_before_it() {
        let inbox = Inbox::new(Bell::new().unwrap());
        assert_eq!(inbox.take().unwrap().len(), 0);
        inbox.put(start());
        inbox.put(start());
        assert_eq!(inbox.take().unwrap().len(), 2);
        inbox.put(start());
        inbox.put(Request::Shutdown);
        inbox.put(start());
        assert!(inbox.take().is_none());
    }
}
