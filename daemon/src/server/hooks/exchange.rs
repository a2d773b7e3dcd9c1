//! Telling hooks of events, many under one lock.
//!
//! All calls of hooks that the events ask for go out as far as there is room, and then their answers are taken, in the same order. A call
//! whose answer is more than that all is well decides what the hooks after it are told of the same event: there the host
//! stops, and asks none until that is settled here. So a hook hears of events in the order of their numbers, whatever
//! the others answer. When the host is lost, the call it was at is the one that lost it, and those after it are made again.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use engine::failure::Failure;
use protocol::LogSource;

use super::event::HookEventName;
use super::host::{self, Answer, Answered, Host, Lost, Question, Said};
use super::order::Registered;
use super::{CRASHES_MAX, Hook, Hooks, State, go_on_without, hook_failure, reported};
use crate::block::adopt::ClaimedBlock;
use crate::ipc::client::Input;
use crate::ipc::message::DESCRIPTORS_MAX;
use crate::server::config::HookErrorPolicy;
use crate::server::json::JsonObject;
use crate::server::logs::level_word;
use crate::server::pool::{AHEAD_NS, Kind, SHORT_NS};
use crate::server::runs::Run;

/// A packet takes so many descriptors; a hook is told that the data of the others did not come.
const BLOCKS_MAX: usize = DESCRIPTORS_MAX - 8;

/// So many calls are written before the host is shown them.
const SHOWN_TOGETHER: usize = 16;

/// With no more than so many calls behind one its answer is looked for without sleeping.
const LOOKS_CALLS_MAX: usize = 2;

/// What all events say takes about so many bytes.
const ENVELOPE_BYTES: usize = 192;

/// An event to be told.
#[derive(Debug)]
pub struct Telling<'r> {
    event: HookEventName,
    run: Option<&'r Run>,
    /// What only this event says.
    details: JsonObject,
    /// The event as hooks read it, once the first of them is told.
    argument: String,
    /// The blocks that go with it; some of them a hook may have replaced.
    pub inputs: Vec<Input>,
    /// Whether one has.
    pub has_new_inputs: bool,
    /// It is told only if no hook's failure counts at the one before it.
    follows: bool,
    /// The failure of the first hook whose policy is that its failure counts; those after it were not called.
    pub result: Result<(), Box<Failure>>,
}

impl<'r> Telling<'r> {
    /// An event of a run, or of none.
    pub fn new(event: HookEventName, run: Option<&'r Run>, details: JsonObject, mut inputs: Vec<Input>) -> Telling<'r> {
        inputs.iter_mut().skip(BLOCKS_MAX).for_each(|input| *input = Input::Absent);
        let (argument, result) = (String::new(), Ok(()));
        Telling { event, run, details, argument, inputs, has_new_inputs: false, follows: false, result }
    }

    /// The same, of an event that there is only if no hook's failure counts at the event told before it.
    pub fn following(self) -> Telling<'r> {
        Telling { follows: true, ..self }
    }
}

/// In one exchange a host that ended by itself is replaced so often.
const RESTARTS_MAX: u8 = 3;

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
            let argument = argument(&mut self.tellings[call.telling], self.hooks);
            let Telling { inputs, .. } = &self.tellings[call.telling];
            match host.ask(&Question { place, argument: &argument, inputs, has_more: call.has_more }) {
                Ok(Some(token)) => {
                    self.pass(call);
                    self.calls.push_back(Call { token, ..call });
                    // The host may be at this one while the one that follows is written.
                    if self.is_followed(call.telling) || self.calls.len().is_multiple_of(SHOWN_TOGETHER) {
                        host.publish();
                    }
                }
                // The one under way tells of the loss in its own time.
                Ok(None) | Err(_) if !self.calls.is_empty() => {
                    self.tellings[call.telling].argument = argument;
                    break;
                }
                Ok(None) => self.lose(state, call, &Lost("has no room for an event".to_owned())),
                Err(lost) => self.lose(state, call, &lost),
            }
            self.tellings[call.telling].argument = argument;
        }
    }

    /// What comes after this call.
    fn pass(&mut self, call: Call) {
        self.next = (call.telling, call.hook + 1);
    }

    fn take_answer(&mut self, state: &mut State, call: Call) {
        match self.answer(state, call) {
            Ok(Answered { answer, took_ns, keeps_inputs }) => {
                if keeps_inputs {
                    self.tellings[call.telling].inputs.iter().for_each(Input::lend);
                }
                if !call.configures {
                    self.hooks.paces.note(kind(call.hook, self.tellings[call.telling].event), took_ns);
                }
                match answer {
                    Answer::Plain if call.configures => {
                        let registered = &self.hooks.calls[call.hook].registered;
                        if let Some(host) = &mut state.host {
                            host.note_configured((registered.plugin, registered.hook));
                        }
                    }
                    Answer::Plain => {}
                    Answer::Replaced(claims) => {
                        self.resume(state, call);
                        if let Err(failure) = self.replace_inputs(call, claims) {
                            self.fail(call, failure);
                        }
                    }
                    Answer::Failed(failure) => {
                        self.resume(state, call);
                        let event = self.tellings[call.telling].event;
                        self.fail(call, reported(&self.hooks.calls[call.hook].registered, event, failure));
                    }
                    Answer::NotBegun => {
                        self.lose(state, call, &Lost("broke the protocol: it did not ask a hook".to_owned()));
                    }
                }
            }
            Err(lost) => self.lose(state, call, &lost),
        }
    }

    /// The answer to the oldest call.
    fn answer(&self, state: &mut State, call: Call) -> Result<Answered, Lost> {
        let Some(host) = &mut state.host else { return Err(Lost("has gone".to_owned())) };
        let patience = Duration::from_millis(self.hooks.calls[call.hook].registered.settings.deadline_ms.max(1));
        let (mut has_printed, is_last) = (false, self.calls.is_empty());
        let mut hear = |token: u64, said: Said| {
            has_printed |= matches!(said, Said::Printed(_));
            let whose = self.calls.iter().find(|other| other.token == token).copied().unwrap_or(call);
            self.hear(whose, said);
        };
        // A hook that takes long, or many of them, may not keep this thread awake.
        let expected_ns = self.hooks.paces.expected_ns(kind(call.hook, self.tellings[call.telling].event));
        let is_near = self.calls.len() <= LOOKS_CALLS_MAX && expected_ns <= SHORT_NS;
        let looks = if is_near { self.looks } else { Duration::ZERO };
        let answered = host.answer(patience, looks, &mut hear);
        if is_last {
            host.hear_output(&mut hear);
        }
        if has_printed {
            // Alone from now on, so that it is known whose lines they are.
            self.hooks.paces.note_talks(kind(call.hook, self.tellings[call.telling].event));
        }
        answered
    }

    fn hear(&self, call: Call, said: Said) {
        let (hook, run) = (&self.hooks.calls[call.hook], self.tellings[call.telling].run);
        match said {
            Said::Logged(record) => {
                let message = format!("{}: {}", record.target, record.message);
                self.hooks.tell(hook, run, level_word(record.level), LogSource::Log, message);
            }
            Said::Printed(line) => self.hooks.tell(hook, run, "info", LogSource::Output, line),
        }
    }

    /// After an answer that is more than that all is well: if the host has stopped there, what was asked after it is to be asked again.
    fn resume(&mut self, state: &mut State, call: Call) {
        if call.configures {
            // It was asked nothing else.
            self.pass(call);
        }
        if call.configures || !call.has_more {
            return;
        }
        self.pass(call);
        while let Some(later) = self.calls.pop_front() {
            match self.answer(state, later) {
                Ok(Answered { answer: Answer::NotBegun, .. }) => {}
                Ok(_) => {
                    return self.let_go(state, &Lost("broke the protocol: it asked a hook too early".to_owned()));
                }
                Err(lost) => return self.let_go(state, &lost),
            }
        }
        if let Some(host) = &mut state.host {
            host.go_on();
        }
    }

    /// The host was lost while it was at a call, or before: one that ended with nothing to do, as when its zygote is killed, costs no event.
    fn lose(&mut self, state: &mut State, call: Call, lost: &Lost) {
        if self.restarts < RESTARTS_MAX && state.host.as_mut().is_some_and(Host::ended_at_nothing) {
            self.restarts += 1;
            log::warn!("the hook host {}; it is started anew", lost.0);
            self.let_go(state, lost);
            self.next = (call.telling, call.hook);
            return;
        }
        self.pass(call);
        self.let_go(state, lost);
        let hook = &self.hooks.calls[call.hook];
        let registered = &hook.registered;
        if let Some(crashes) = state.crashes.get_mut(call.hook) {
            *crashes += 1;
            // One that must not fail goes on failing runs: going on without it is what its policy forbids.
            if *crashes >= CRASHES_MAX && registered.settings.on_error == HookErrorPolicy::Ignore {
                hook.is_off.store(true, Ordering::Relaxed);
                log::error!(
                    "hook {} took the hook host down {CRASHES_MAX} times and is off from now on",
                    registered.name
                );
            }
        }
        let mut failure = self.lost(
            call,
            &match lost.0.as_str() {
                host::TOO_LATE => format!("no answer within {} ms", registered.settings.deadline_ms),
                reason => format!("the hook host {reason}"),
            },
        );
        failure.hints.push(format!(
            "the hook host was started anew and lost what hooks had kept; {}",
            go_on_without(registered)
        ));
        self.fail(call, failure);
    }

    /// Ends the host. What was asked and not answered no hook has heard.
    fn let_go(&mut self, state: &mut State, lost: &Lost) {
        log::debug!("the hook host is ended: it {}", lost.0);
        if let Some(mut host) = state.host.take() {
            host.end();
        }
        self.calls.clear();
    }

    fn lost(&self, call: Call, reason: &str) -> Failure {
        let registered = &self.hooks.calls[call.hook].registered;
        let event = self.tellings[call.telling].event;
        hook_failure(registered, format!("hook {} failed at {}: {reason}", registered.name, event.word()))
    }

    /// A hook has failed: so has what it was told of, or the hook is ignored.
    fn fail(&mut self, call: Call, failure: Failure) {
        let hook = &self.hooks.calls[call.hook];
        let telling = &mut self.tellings[call.telling];
        match hook.registered.settings.on_error {
            HookErrorPolicy::Fail => {
                telling.result = Err(Box::new(failure));
                // Those after it are not called.
                if self.next.0 == call.telling {
                    self.next = (call.telling + 1, 0);
                }
            }
            HookErrorPolicy::Ignore => {
                self.hooks.tell(hook, telling.run, "warn", LogSource::Daemon, failure.to_string());
            }
        }
    }

    /// Puts the inputs that a hook gave in place of those the node would have had.
    fn replace_inputs(&mut self, call: Call, claims: Vec<ClaimedBlock>) -> Result<(), Failure> {
        let registered: &Registered = &self.hooks.calls[call.hook].registered;
        let Telling { event, inputs, has_new_inputs, .. } = &mut self.tellings[call.telling];
        if !claims.is_empty() && *event != HookEventName::BeforeNodeRun {
            let message = format!("hook {} replaced inputs at {}, which has none", registered.name, event.word());
            return Err(hook_failure(registered, message));
        }
        for claim in claims {
            let port = claim.port;
            let wrong = |what: String| {
                hook_failure(registered, format!("hook {} replaced input {port} of the node: {what}", registered.name))
            };
            let place = usize::try_from(port).ok().and_then(|port| inputs.get_mut(port));
            match place {
                None => return Err(wrong("the node has no such input".to_owned())),
                Some(Input::Absent | Input::Json(_)) => return Err(wrong("its data had not been sent".to_owned())),
                Some(Input::Block(block)) => {
                    let accounts = &self.hooks.services.accounts;
                    let new = claim.adopt(accounts).map_err(|problem| wrong(problem.to_string()))?;
                    if new.format() != block.format() {
                        return Err(wrong(format!("its format is {}, expected {}", new.format(), block.format())));
                    }
                    *block = new;
                    *has_new_inputs = true;
                }
            }
        }
        Ok(())
    }
}

/// The event as hooks read it. Numbered when the first of them is told, so that numbers follow each other as events do.
fn argument(telling: &mut Telling<'_>, hooks: &Hooks) -> String {
    if !telling.argument.is_empty() {
        return std::mem::take(&mut telling.argument);
    }
    let mut argument = JsonObject::with_room_for(telling.details.bytes() + ENVELOPE_BYTES);
    argument.text("event", telling.event.word());
    if let Some(run) = telling.run {
        argument.text("run", &run.id);
        argument.text("pipeline", run.plan.name());
    }
    argument.number("sequence", telling.run.map_or(1, Run::next_hook_sequence));
    argument.number("time_us", hooks.services.clock.unix_us_now());
    argument.all_of(&telling.details);
    argument.end()
}
