//! Telling hooks of events, many under one lock.
//!
//! All calls of hooks that the events ask for go out as far as there is room, and then their answers are taken, in the same order. A call
//! whose answer is more than that all is well decides what the hooks after it are told of the same event: there the host
//! stops, and asks none until that is settled here. So a hook hears of events in the order of their numbers, whatever
//! the others answer. When the host is lost, the call it was at is the one that lost it, and those after it are made again.
#![forbid(unsafe_code)]

mod answer;
mod failing;

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::host::{Host, Lost, Question};
use super::{Hook, HookEventName, Hooks, State, Telling};
use crate::server::pool::{AHEAD_NS, Kind, SHORT_NS};

/// So many calls are written before the host is shown them.
const SHOWN_TOGETHER: usize = 16;

/// One call of one hook.
#[derive(Debug, Clone, Copy)]
struct Call {
    telling: usize,
    hook: usize,
    /// The hook is given its options.
    configures: bool,
    /// What it answers decides what is told next: another hook hears of the same event after it, or of one that follows.
    has_more: bool,
    /// The host's number for it.
    token: u64,
}

/// What is told in one go, and how far that is.
struct Exchange<'e, 'r> {
    hooks: &'e Hooks,
    tellings: &'e mut [Telling<'r>],
    /// The next call: an event, and a hook.
    next: (usize, usize),
    /// Calls on their way, the oldest first.
    calls: VecDeque<Call>,
    /// How often a host was found to have ended before it took a question.
    restarts: u8,
    /// For how long either side may look for the other before it sleeps.
    looks: Duration,
}

impl Hooks {
    /// Tells every hook that asked for one of these events of it, in their order. They must be of kinds that somebody wants.
    /// For so long either side `looks` for the other before it sleeps; nothing, where others need the processors.
    pub fn call_many(&self, tellings: &mut [Telling<'_>], looks: Duration) {
        let mut state = self.lock();
        if state.stopped {
            return;
        }
        let mut exchange = Exchange { hooks: self, tellings, next: (0, 0), calls: VecDeque::new(), restarts: 0, looks };
        exchange.run(&mut state);
    }

    /// How many tasks hooks may be asked about at once, ahead of their beginning, as far as events of these kinds go: so many as take
    /// them little time, so that no task waits long for what concerns another. One if they are slow, or nothing is
    /// known of them.
    pub fn ahead_max(&self, event: HookEventName) -> usize {
        if !self.wants(event) {
            return usize::MAX;
        }
        let wanting = (0..).zip(&self.calls).filter(|(_, hook)| hook.registered.events.has(event));
        let expected_ns = wanting.map(|(index, _)| self.paces.expected_ns(kind(index, event))).sum::<u64>().max(1);
        if expected_ns > SHORT_NS { 1 } else { usize::try_from(AHEAD_NS / expected_ns).unwrap_or(1) }
    }
}

fn kind(hook: usize, event: HookEventName) -> Kind {
    Kind::hook(hook, event as usize)
}

impl Exchange<'_, '_> {
    fn run(&mut self, state: &mut State) {
        loop {
            self.ask(state);
            let Some(call) = self.calls.pop_front() else { return };
            self.take_answer(state, call);
        }
    }

    /// The next call to be made, but for its number.
    fn next_call(&mut self) -> Option<Call> {
        loop {
            let (telling, hook) = self.next;
            let Telling { event, follows, .. } = *self.tellings.get(telling)?;
            if follows && self.is_refused_before(telling) {
                self.leave_out(telling);
                continue;
            }
            let wants = |hook: &Hook| hook.registered.events.has(event) && !hook.is_off.load(Ordering::Relaxed);
            let mut wanting = (0..).zip(&self.hooks.calls).skip(hook).filter(|(_, hook)| wants(hook));
            match wanting.next() {
                Some((hook, _)) => {
                    let has_more = wanting.next().is_some() || self.is_followed(telling);
                    return Some(Call { telling, hook, configures: false, has_more, token: 0 });
                }
                None => self.next = (telling + 1, 0),
            }
        }
    }

    fn is_followed(&self, telling: usize) -> bool {
        self.tellings.get(telling + 1).is_some_and(|next| next.follows)
    }

    fn is_refused_before(&self, telling: usize) -> bool {
        let before = telling.checked_sub(1).and_then(|before| self.tellings.get(before));
        before.is_some_and(|before| before.result.is_err())
    }

    /// An event is not told after all.
    fn leave_out(&mut self, telling: usize) {
        self.next = (telling + 1, 0);
        let telling = &mut self.tellings[telling];
        // Numbered when it was asked about, and answered as not begun: the number is the next event's.
        if !std::mem::take(&mut telling.argument).is_empty()
            && let Some(run) = telling.run
        {
            run.keep_hook_sequence();
        }
    }

    /// Makes as many calls as there is room for.
    fn ask(&mut self, state: &mut State) {
        while let Some(mut call) = self.next_call() {
            let hook = &self.hooks.calls[call.hook];
            let host = match &mut state.host {
                Some(host) => host,
                empty => match Host::start(&self.hooks.zygote, &self.hooks.settings) {
                    Ok(host) => empty.insert(host),
                    Err(reason) => {
                        self.pass(call);
                        let reason = format!("no hook host could be started: {reason}");
                        self.fail(call, self.lost(call, &reason));
                        continue;
                    }
                },
            };
            host.set_looks(self.looks);
            let place = (hook.registered.plugin, hook.registered.hook);
            if !host.is_configured(place) {
                // Alone: until it has its options it can be asked nothing.
                if !self.calls.is_empty() {
                    break;
                }
                call.configures = true;
                match host.configure(place, &hook.options) {
                    Ok(token) => self.calls.push_back(Call { token, ..call }),
                    Err(lost) => self.lose(state, call, &lost),
                }
                break;
            }
            let telling = &mut self.tellings[call.telling];
            telling.write(self.hooks.services.clock);
            let Telling { argument, inputs, .. } = telling;
            match host.ask(&Question { place, argument, inputs, has_more: call.has_more }) {
                Ok(Some(token)) => {
                    self.pass(call);
                    self.calls.push_back(Call { token, ..call });
                    // The host may be at this one while the one that follows is written.
                    if self.is_followed(call.telling) || self.calls.len().is_multiple_of(SHOWN_TOGETHER) {
                        host.publish();
                    }
                }
                // The one under way tells of the loss in its own time.
                Ok(None) | Err(_) if !self.calls.is_empty() => break,
                Ok(None) => self.lose(state, call, &Lost("has no room for an event".to_owned())),
                Err(lost) => self.lose(state, call, &lost),
            }
        }
    }

    /// What comes after this call.
    fn pass(&mut self, call: Call) {
        self.next = (call.telling, call.hook + 1);
    }
}
