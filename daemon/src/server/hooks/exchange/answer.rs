//! What is made of an answer: of what a hook said, of inputs that it gave, and of one after which the host has stopped.

use std::time::Duration;

use engine::failure::Failure;
use protocol::LogSource;

use super::failing::{hook_failure, reported};
use super::{Call, Exchange, kind};
use crate::block::adopt::ClaimedBlock;
use crate::ipc::client::Input;
use crate::server::hooks::host::{Answer, Answered, Lost, Said};
use crate::server::hooks::order::Registered;
use crate::server::hooks::{HookEventName, State, Telling};
use crate::server::logs::level_word;
use crate::server::pool::SHORT_NS;

/// With no more than so many calls behind one its answer is looked for without sleeping.
const LOOKS_CALLS_MAX: usize = 2;

impl Exchange<'_, '_> {
    pub(super) fn take_answer(&mut self, state: &mut State, call: Call) {
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
                // Whose it is the line tells; its own crate's name says nothing more.
                let is_own = record.target.split("::").next() == Some(&hook.registered.plugin_name);
                let message = match is_own {
                    true => record.message,
                    false => format!("{}: {}", record.target, record.message),
                };
                self.hooks.tell(hook, run, level_word(record.level), LogSource::Log, message);
            }
            Said::Printed(line) => self.hooks.tell(hook, run, "info", LogSource::Output, line),
        }
    }

    /// After an answer that is more than that all is well: if the host has stopped there, what was asked after it is to be asked again.
    fn resume(&mut self, state: &mut State, call: Call) {
        if call.configures {
            // It was asked nothing else.
            return self.pass(call);
        }
        if !call.has_more {
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
