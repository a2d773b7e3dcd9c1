//! Hooks: who is told of an event, in which order, and what becomes of an answer or a failure.
//!
//! The drivers call hooks themselves, before they tell the engine: whatever follows a node starts after its hooks have
//! seen it end. One host, behind one lock, so that every hook sees every event once and in one order. Where nobody asked for
//! an event, asking [`Hooks::wants`] is all it costs.
#![forbid(unsafe_code)]

mod event;
mod host;
mod order;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine::failure::{Failure, FailureKind};
use protocol::{HookInfo, LogSource};

use crate::block::adopt::ClaimedBlock;
use crate::ipc::client::Input;
use crate::ipc::manifest::GenerationManifest;
use crate::ipc::message::{DESCRIPTORS_MAX, TaskFailure};
use crate::server::config::{Config, HookErrorPolicy};
use crate::server::generations::Zygote;
use crate::server::json::JsonObject;
use crate::server::logs::level_word;
use crate::server::pool::DriverSettings;
use crate::server::runs::{Origin, Run};
use crate::server::services::Services;

pub use event::{EventSet, HookEventName};
use host::{Fault, Host, Said};
use order::Registered;

/// A hook that took the host down so often, and may be ignored, is not called any more.
const CRASHES_MAX: u32 = 3;

/// The hooks of one generation.
#[derive(Debug)]
pub struct Hooks {
    calls: Vec<Hook>,
    infos: Vec<HookInfo>,
    wanted: EventSet,
    settings: DriverSettings,
    zygote: Arc<Zygote>,
    services: Arc<Services>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct Hook {
    registered: Registered,
    options: String,
    is_off: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    host: Option<Host>,
    crashes: Vec<u32>,
    stopped: bool,
}

impl Hooks {
    /// Registers the hooks; the host is started with the first event that somebody wants.
    pub fn new(
        manifest: &GenerationManifest,
        config: &Config,
        zygote: Arc<Zygote>,
        settings: DriverSettings,
        services: Arc<Services>,
    ) -> Hooks {
        let (registered, infos) = order::register(manifest, &config.hooks);
        for info in &infos {
            match &info.off_because {
                None => log::info!("hook {} {} is on", info.name, info.version),
                // One that no plugin offers has no version.
                Some(why) => log::info!("hook {} is off: {why}", format!("{} {}", info.name, info.version).trim_end()),
            }
        }
        let calls: Vec<Hook> = registered
            .into_iter()
            .map(|registered| Hook {
                options: registered.settings.options.to_string(),
                registered,
                is_off: AtomicBool::new(false),
            })
            .collect();
        let wanted = calls.iter().fold(EventSet::default(), |set, hook| set.union(hook.registered.events));
        let state = Mutex::new(State { crashes: vec![0; calls.len()], ..State::default() });
        Hooks { calls, infos, wanted, settings, zygote, services, state }
    }

    /// Says whether any hook asked for this event.
    pub fn wants(&self, event: HookEventName) -> bool {
        self.wanted.has(event)
    }

    /// Says whether any hook asked for any event.
    pub fn want_nothing(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Every hook, on or off.
    pub fn infos(&self) -> Vec<HookInfo> {
        let mut infos = self.infos.clone();
        for hook in &self.calls {
            if hook.is_off.load(Ordering::Relaxed)
                && let Some(info) = infos.iter_mut().find(|info| info.name == hook.registered.name)
            {
                info.active = false;
                info.off_because = Some(format!("it took the hook host down {CRASHES_MAX} times"));
            }
        }
        infos
    }

    /// Tells every hook that asked for it of an event. `describe` adds what the event says; `inputs` are the blocks that go with
    /// it, some of which a hook may replace before a node runs.
    ///
    /// # Errors
    /// The failure of the first hook whose policy is that its failure counts; those after it are not called.
    pub fn call(
        &self,
        event: HookEventName,
        run: Option<&Run>,
        describe: impl FnOnce(&mut JsonObject),
        inputs: &mut [Input],
    ) -> Result<(), Failure> {
        if !self.wants(event) {
            return Ok(());
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.stopped {
            return Ok(());
        }
        // A packet takes so many descriptors; a hook is told that the data of the others did not come.
        let blocks_max = DESCRIPTORS_MAX - 8;
        inputs.iter_mut().skip(blocks_max).for_each(|input| *input = Input::Absent);
        let sequence = match run {
            Some(run) => run.next_hook_sequence(),
            None => 1,
        };
        let mut argument = JsonObject::new();
        argument.text("event", event.word());
        if let Some(run) = run {
            argument.text("run", &run.id);
            argument.text("pipeline", run.plan.name());
        }
        argument.raw("sequence", &sequence.to_string());
        argument.raw("time_us", &self.services.clock.unix_us_now().to_string());
        describe(&mut argument);
        let argument = argument.end();
        for (index, hook) in self.calls.iter().enumerate() {
            if !hook.registered.events.has(event) || hook.is_off.load(Ordering::Relaxed) {
                continue;
            }
            let outcome = self.call_one(&mut state, index, hook, event, run, &argument, inputs);
            if let Err(failure) = outcome {
                match hook.registered.settings.on_error {
                    HookErrorPolicy::Fail => return Err(*failure),
                    HookErrorPolicy::Ignore => self.tell(hook, run, "warn", LogSource::Daemon, failure.to_string()),
                }
            }
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one call, passed on once")]
    fn call_one(
        &self,
        state: &mut State,
        index: usize,
        hook: &Hook,
        event: HookEventName,
        run: Option<&Run>,
        argument: &str,
        inputs: &mut [Input],
    ) -> Result<(), Box<Failure>> {
        let registered = &hook.registered;
        let lost = |reason: String| {
            Box::new(hook_failure(registered, format!("hook {} failed at {}: {reason}", registered.name, event.word())))
        };
        let host = match &mut state.host {
            Some(host) => host,
            empty => {
                let host = Host::start(&self.zygote, &self.settings)
                    .map_err(|reason| lost(format!("no hook host could be started: {reason}")))?;
                empty.insert(host)
            }
        };
        let deadline = Instant::now() + Duration::from_millis(registered.settings.deadline_ms.max(1));
        let place = (registered.plugin, registered.hook);
        let mut said = |said: Said| match said {
            Said::Logged(record) => {
                let message = format!("{}: {}", record.target, record.message);
                self.tell(hook, run, level_word(record.level), LogSource::Log, message);
            }
            Said::Printed(line) => self.tell(hook, run, "info", LogSource::Output, line),
        };
        let answer = host
            .configure(place, &hook.options, deadline, &mut said)
            .and_then(|()| host.event(place, argument, inputs, deadline, &mut said));
        match answer {
            Ok(replaced) => self.replace_inputs(registered, event, replaced, inputs).map_err(Box::new),
            Err(Fault::Reported(failure)) => Err(Box::new(reported(registered, event, failure))),
            Err(Fault::Lost(reason)) => {
                host.end();
                state.host = None;
                if let Some(crashes) = state.crashes.get_mut(index) {
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
                let mut failure = lost(match reason.as_str() {
                    host::TOO_LATE => format!("no answer within {} ms", registered.settings.deadline_ms),
                    reason => format!("the hook host {reason}"),
                });
                failure.hints.push(format!(
                    "the hook host was started anew and lost what hooks had kept; {}",
                    go_on_without(registered)
                ));
                Err(failure)
            }
        }
    }

    /// Puts the inputs that a hook gave in place of those the node would have had.
    fn replace_inputs(
        &self,
        registered: &Registered,
        event: HookEventName,
        claims: Vec<ClaimedBlock>,
        inputs: &mut [Input],
    ) -> Result<(), Failure> {
        if !claims.is_empty() && event != HookEventName::BeforeNodeRun {
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
                    let new = claim.adopt(&self.services.accounts).map_err(|problem| wrong(problem.to_string()))?;
                    if new.format() != block.format() {
                        return Err(wrong(format!("its format is {}, expected {}", new.format(), block.format())));
                    }
                    *block = new;
                }
            }
        }
        Ok(())
    }

    /// Ends the host.
    pub fn stop(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.stopped = true;
        if let Some(host) = state.host.take() {
            host.quit();
        }
    }

    fn tell(&self, hook: &Hook, run: Option<&Run>, level: &'static str, source: LogSource, message: String) {
        match run {
            Some(run) => {
                let origin = Origin { node: None, plugin: &hook.registered.plugin_name, worker: None };
                run.log_line(&origin, source, level, hook.registered.name.clone(), message);
            }
            None => log::info!(target: "hook", "{}: {message}", hook.registered.name),
        }
    }
}

fn hook_failure(registered: &Registered, message: String) -> Failure {
    Failure { plugin: registered.plugin_name.clone(), ..Failure::new(FailureKind::Hook, message) }
}

fn reported(registered: &Registered, event: HookEventName, said: TaskFailure) -> Failure {
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
