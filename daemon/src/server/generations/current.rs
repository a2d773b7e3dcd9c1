//! Which generation new runs start on, which others are still there, and what is kept to go back to.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};

use protocol::{GenerationInfo, GenerationState, PluginIdentity, Problem, ReloadReport};

use super::candidate::{Candidate, Stock};
use super::load::{BadLibraries, LoadError};
use super::reload::ReloadError;
use super::retire::Undertaker;
use super::watch::Watcher;
use super::{Generation, Library};
use crate::server::config::Config;
use crate::server::hooks::HookEventName;
use crate::server::json::{JsonObject, array};
use crate::server::runs::Registry;
use crate::server::services::Services;
use crate::server::store::Store;

/// Reads the configuration anew: file, then command line.
pub type Configure = dyn Fn() -> Result<Config, Vec<Problem>> + Send + Sync;

/// The generations of a daemon.
pub struct Generations {
    pub(super) services: Arc<Services>,
    pub(super) store: Arc<Store>,
    pub(super) registry: Arc<Registry>,
    pub(super) undertaker: Arc<Undertaker>,
    pub(super) configure: OnceLock<Box<Configure>>,
    now: RwLock<Now>,
    history: Mutex<History>,
    is_closed: AtomicBool,
    /// One reload at a time; what came of the last that others may share.
    pub(super) turn: Mutex<Option<Result<ReloadReport, ReloadError>>>,
    /// How many of those have begun.
    pub(super) begun: AtomicU64,
    watcher: Mutex<Option<Watcher>>,
}

/// What new runs start with: replaced together.
struct Now {
    generation: Arc<Generation>,
    config: Arc<Config>,
}

struct History {
    last_number: u64,
    /// Every generation that may still be there.
    alive: Vec<Weak<Generation>>,
    previous: Option<Previous>,
    /// Whether the current one is what a rollback went back to: then the previous one is what lies in the directories.
    is_rolled_back: bool,
    refused: Option<RefusedGeneration>,
}

/// The libraries that were current before, kept to go back to.
#[derive(Debug, Clone)]
pub(super) struct Previous {
    pub(super) number: u64,
    pub(super) loaded_us: i64,
    pub(super) libraries: Vec<Arc<Library>>,
    pub(super) plugins: Vec<PluginIdentity>,
}

/// A generation that did not pass the checks, while none was loaded since.
#[derive(Debug, Clone)]
pub struct RefusedGeneration {
    /// The number it had.
    pub number: u64,
    /// When.
    pub refused_us: i64,
    /// Why.
    pub problems: Vec<Problem>,
}

impl Generations {
    /// Loads the first generation; libraries that cannot be used are set aside by name.
    pub fn start(
        config: Config,
        services: Arc<Services>,
        store: Arc<Store>,
        registry: Arc<Registry>,
    ) -> Result<Arc<Generations>, String> {
        let undertaker = Arc::new(
            Undertaker::start().map_err(|error| format!("cannot start the thread that ends plugins: {error}"))?,
        );
        // Watched before it is looked at: what changes in between is seen.
        let watcher = if config.private { None } else { watch(&config) };
        let candidate = Candidate::load(1, Stock::find(&config, &[]), &config, BadLibraries::SetAside)
            .map_err(LoadError::into_message)?;
        let generation = candidate.into_generation(1, &config, &services, &undertaker)?;
        announce(&generation, &config);
        let history = History {
            last_number: 1,
            alive: vec![Arc::downgrade(&generation)],
            previous: None,
            is_rolled_back: false,
            refused: None,
        };
        let generations = Arc::new(Generations {
            services,
            store,
            registry,
            undertaker,
            configure: OnceLock::new(),
            now: RwLock::new(Now { generation, config: Arc::new(config) }),
            history: Mutex::new(history),
            is_closed: AtomicBool::new(false),
            turn: Mutex::new(None),
            begun: AtomicU64::new(0),
            watcher: Mutex::new(watcher),
        });
        generations.start_watching();
        generations.hash_in_background();
        Ok(generations)
    }

    /// Says how the configuration is read anew at a reload; without it, it stays as it is.
    pub fn configure_by(&self, configure: Box<Configure>) {
        // The first one counts.
        let _ = self.configure.set(configure);
    }

    /// What new runs start on.
    pub fn current(&self) -> Arc<Generation> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner).generation)
    }

    /// The configuration that holds.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner).config)
    }

    /// The generation that was refused last, if none was loaded since.
    pub fn refused(&self) -> Option<RefusedGeneration> {
        self.history().refused.clone()
    }

    /// Every generation there is, newest first, and the one refused last.
    pub fn infos(&self) -> Vec<GenerationInfo> {
        let current = self.current();
        let is_private = self.config().private;
        let (alive, previous, refused) = {
            let mut history = self.history();
            history.alive.retain(|generation| generation.strong_count() > 0);
            (history.alive.clone(), history.previous.clone(), history.refused.clone())
        };
        let runs = self.registry.active();
        let mut infos = Vec::new();
        for generation in alive.iter().filter_map(Weak::upgrade) {
            let is_current = Arc::ptr_eq(&generation, &current);
            // Of a private daemon nobody asks, and its time is somebody's waiting.
            let (processes, memory_bytes) = if is_private { (0, 0) } else { generation.processes() };
            infos.push(GenerationInfo {
                number: generation.number,
                state: if is_current { GenerationState::Current } else { GenerationState::Draining },
                loaded_us: generation.loaded_us,
                runs: runs.iter().filter(|run| Arc::ptr_eq(&run.generation, &generation)).count() as u64,
                processes,
                memory_bytes,
                library_bytes: generation.library_bytes(),
                plugins: generation.identities(),
                problems: Vec::new(),
            });
        }
        if let Some(previous) = previous.filter(|previous| infos.iter().all(|info| info.number != previous.number)) {
            infos.push(GenerationInfo {
                number: previous.number,
                state: GenerationState::Kept,
                loaded_us: previous.loaded_us,
                library_bytes: previous.libraries.iter().map(|library| library.bytes()).sum(),
                plugins: previous.plugins,
                ..GenerationInfo::default()
            });
        }
        if let Some(refused) = refused {
            infos.push(GenerationInfo {
                number: refused.number,
                state: GenerationState::Refused,
                loaded_us: refused.refused_us,
                problems: refused.problems,
                ..GenerationInfo::default()
            });
        }
        infos.sort_by_key(|info| std::cmp::Reverse(info.number));
        infos
    }

    /// Ends every generation and waits until their processes are gone. No other becomes current after this.
    pub fn stop(&self) {
        let alive = {
            // Under the lock that a swap takes.
            let _now = self.now.write().unwrap_or_else(PoisonError::into_inner);
            self.is_closed.store(true, Ordering::SeqCst);
            self.history().alive.clone()
        };
        drop(self.watcher.lock().unwrap_or_else(PoisonError::into_inner).take());
        for generation in alive.iter().filter_map(Weak::upgrade) {
            generation.stop();
        }
        self.undertaker.stop();
    }

    /// Makes a generation current, unless the daemon ends; the one before it goes when its last run is over.
    pub(super) fn swap(
        &self,
        generation: &Arc<Generation>,
        config: Config,
        is_rollback: bool,
    ) -> Result<(), ReloadError> {
        let old = {
            let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
            if self.is_closed.load(Ordering::SeqCst) {
                return Err(ReloadError::stopping());
            }
            // Before anybody can start on it, so that `stop` finds it.
            self.history().alive.push(Arc::downgrade(generation));
            now.config = Arc::new(config);
            std::mem::replace(&mut now.generation, Arc::clone(generation))
        };
        let previous = Previous {
            number: old.number,
            loaded_us: old.loaded_us,
            libraries: old.libraries.clone(),
            plugins: old.identities(),
        };
        let mut history = self.history();
        history.alive.retain(|generation| generation.strong_count() > 0);
        history.refused = None;
        // One of the same contents is nothing to go back to.
        let is_other = !is_same(&previous.libraries, &generation.libraries);
        let forgotten = if is_other { history.previous.replace(previous) } else { None };
        history.is_rolled_back = is_rollback || (history.is_rolled_back && !is_other);
        drop(history);
        // Libraries that nobody uses any more, and perhaps a whole generation: not under a lock.
        drop((forgotten, old));
        if let Some(watcher) = &*self.watcher.lock().unwrap_or_else(PoisonError::into_inner) {
            watcher.follow(watched_directories(&self.config()));
        }
        Ok(())
    }

    /// What a rollback goes back to.
    pub(super) fn previous(&self) -> Option<Previous> {
        self.history().previous.clone()
    }

    /// What was rolled back from, while what was rolled back to is current.
    pub(super) fn rolled_back_from(&self) -> Option<Previous> {
        let history = self.history();
        history.previous.clone().filter(|_| history.is_rolled_back)
    }

    /// The copies of libraries there are: what a reload need not copy again.
    pub(super) fn copies(&self) -> Vec<Arc<Library>> {
        let mut copies = self.current().libraries.clone();
        if let Some(previous) = self.previous() {
            copies.extend(previous.libraries);
        }
        copies
    }

    /// The number of the next generation; `take` says that one is made of it.
    pub(super) fn next_number(&self, take: bool) -> u64 {
        let mut history = self.history();
        let next = history.last_number + 1;
        if take {
            history.last_number = next;
        }
        next
    }

    /// Notes what was refused and says so in the log.
    pub(super) fn note_refused(&self, number: u64, problems: &[Problem]) {
        for problem in problems {
            let hints = problem.hints.iter().map(|hint| format!(" ({hint})")).collect::<String>();
            log::warn!("generation {number} is refused: {}{hints}", problem.message);
        }
        let refused_us = self.services.clock.unix_us_now();
        self.history().refused = Some(RefusedGeneration { number, refused_us, problems: problems.to_vec() });
    }

    fn start_watching(self: &Arc<Self>) {
        if let Some(watcher) = &mut *self.watcher.lock().unwrap_or_else(PoisonError::into_inner)
            && let Err(error) = watcher.start(Arc::downgrade(self))
        {
            log::warn!("plugin directories are not watched: cannot start a thread: {error}");
        }
    }

    /// So that the first run to end need not wait for the hashes that its report names.
    fn hash_in_background(&self) {
        let libraries = self.current().libraries.clone();
        if self.config().private {
            return;
        }
        let hash = move || {
            for library in libraries {
                library.sha256();
            }
        };
        if let Err(error) = std::thread::Builder::new().name("hash".to_owned()).spawn(hash) {
            log::debug!("hashes are taken when they are asked for: {error}");
        }
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Generations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generations").field("current", &self.current().number).finish_non_exhaustive()
    }
}

/// Whether these are the same libraries: copies are shared where the bytes are the same.
pub(super) fn is_same(some: &[Arc<Library>], others: &[Arc<Library>]) -> bool {
    some.len() == others.len() && some.iter().zip(others).all(|(one, other)| Arc::ptr_eq(one, other))
}

fn watch(config: &Config) -> Option<Watcher> {
    Watcher::new(watched_directories(config))
        .inspect_err(|error| {
            log::warn!("plugin directories are not watched: {error}; `ctl reload` loads what has changed")
        })
        .ok()
}

fn watched_directories(config: &Config) -> Vec<std::path::PathBuf> {
    if config.plugins.watch { config.plugin_directories() } else { Vec::new() }
}

/// Tells the generation's hooks that it is there; they are told before any run of it.
pub(super) fn announce(generation: &Generation, config: &Config) {
    let plugins = generation.manifest.plugins.iter().map(|plugin| {
        let mut object = JsonObject::new();
        object.text("name", &plugin.name);
        object.text("version", &plugin.version);
        object.end()
    });
    let told = generation.hooks.call(
        HookEventName::AfterGenerationLoaded,
        None,
        |event| {
            event.raw("generation", &generation.number.to_string());
            event.raw("plugins", &array(plugins));
            event.raw("configuration", &config.describe());
        },
        &mut [],
    );
    if let Err(failure) = told {
        log::warn!("{failure}");
    }
}
