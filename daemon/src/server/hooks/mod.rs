//! Hooks: who is told of an event, in which order, and what becomes of an answer or a failure.
//!
//! The drivers call hooks themselves, before they tell the engine: whatever follows a node starts after its hooks have
//! seen it end. One host, behind one lock, so that every hook sees every event once and in one order. Where nobody asked for
//! an event, asking [`Hooks::wants`] is all it costs.
#![forbid(unsafe_code)]

mod event;
mod exchange;
mod host;
mod order;
mod telling;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::failure::Failure;
use protocol::{HookInfo, LogSource};

use crate::ipc::client::Input;
use crate::ipc::manifest::GenerationManifest;
use crate::server::config::Config;
use crate::server::generations::Zygote;
use crate::server::json::JsonObject;
use crate::server::pool::{DriverSettings, Paces};
use crate::server::runs::{Origin, Run};
use crate::server::services::Services;

pub use event::{EventSet, HookEventName};
use host::Host;
use order::Registered;
pub use telling::Telling;

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
    /// How long hooks take, by hook and event.
    paces: Paces,
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
                // What no plugin offers is among the warnings.
                Some(_) if info.version.is_empty() => {}
                Some(why) => log::info!("hook {} {} is off: {why}", info.name, info.version),
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
        Hooks { calls, infos, wanted, settings, zygote, services, paces: Paces::new(), state }
    }

    /// What is wrong with the list of the configuration: hooks that no plugin offers, which then hear nothing.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let missing = self.infos.iter().filter(|info| info.version.is_empty());
        missing.filter_map(|info| {
            let why = info.off_because.as_ref()?;
            Some(format!("[hooks] enabled names {}, but {why}", info.name))
        })
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
        let mut details = JsonObject::new();
        describe(&mut details);
        let mut telling = [Telling::new(event, run, details, inputs.to_vec())];
        self.call_many(&mut telling, Duration::ZERO);
        let [Telling { inputs: seen, result, .. }] = telling;
        for (input, seen) in inputs.iter_mut().zip(seen) {
            *input = seen;
        }
        result.map_err(|failure| *failure)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the host.
    pub fn stop(&self) {
        let mut state = self.lock();
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
