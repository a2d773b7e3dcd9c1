//! What becomes of a hook's failure, and of a host that was lost.

use std::sync::atomic::Ordering;

use engine::failure::{Failure, FailureKind};
use protocol::LogSource;

use super::{Call, Exchange};
use crate::ipc::message::TaskFailure;
use crate::server::config::HookErrorPolicy;
use crate::server::hooks::host::{self, Host, Lost};
use crate::server::hooks::order::Registered;
use crate::server::hooks::{CRASHES_MAX, HookEventName, State};

/// In one exchange a host that ended by itself is replaced so often.
const RESTARTS_MAX: u8 = 3;

impl Exchange<'_, '_> {
    /// The host was lost while it was at a call, or before: one that ended with nothing to do, as when its zygote is killed, costs no event.
    pub(super) fn lose(&mut self, state: &mut State, call: Call, lost: &Lost) {
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
    pub(super) fn let_go(&mut self, state: &mut State, lost: &Lost) {
        log::debug!("the hook host is ended: it {}", lost.0);
        if let Some(mut host) = state.host.take() {
            host.end();
        }
        self.calls.clear();
    }

    pub(super) fn lost(&self, call: Call, reason: &str) -> Failure {
        let registered = &self.hooks.calls[call.hook].registered;
        let event = self.tellings[call.telling].event;
        hook_failure(registered, format!("hook {} failed at {}: {reason}", registered.name, event.word()))
    }

    /// A hook has failed: so has what it was told of, or the hook is ignored.
    pub(super) fn fail(&mut self, call: Call, failure: Failure) {
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
                let mut told = failure.message;
                for cause in &failure.causes {
                    told.push_str(": ");
                    told.push_str(cause);
                }
                self.hooks.tell(hook, telling.run, "warn", LogSource::Daemon, told);
            }
        }
    }
}

pub(super) fn hook_failure(registered: &Registered, message: String) -> Failure {
    Failure { plugin: registered.plugin_name.clone(), ..Failure::new(FailureKind::Hook, message) }
}

pub(super) fn reported(registered: &Registered, event: HookEventName, said: TaskFailure) -> Failure {
    let mut failure =
        hook_failure(registered, format!("hook {} failed at {}: {}", registered.name, event.word(), said.message));
    failure.place = said.place;
    failure.causes = said.causes;
    failure.hints.push(if said.hint.is_empty() { go_on_without(registered) } else { said.hint });
    failure
}

fn go_on_without(registered: &Registered) -> String {
    let name = &registered.name;
    format!("set on_error = \"ignore\" in [hooks.settings.\"{name}\"] to let runs go on without this hook")
}
