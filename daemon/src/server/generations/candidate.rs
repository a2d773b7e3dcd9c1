//! A generation that may become one: libraries found, copied, trusted and loaded, and no worker started yet.
#![forbid(unsafe_code)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::signature::Manifest;

use super::load::{BadLibraries, LoadError, LoadSettings, Loaded};
use super::retire::Undertaker;
use super::{Generation, Library, Refused, Zygote, find, signature, trust};
use crate::ipc::message::Limits;
use crate::server::config::Config;
use crate::server::hooks::Hooks;
use crate::server::logging::counted;
use crate::server::pool::{DriverSettings, Pool};
use crate::server::services::Services;

/// Libraries, copied and not loaded.
#[derive(Debug, Default)]
pub struct Stock {
    /// Those to load, in the order they are loaded.
    pub libraries: Vec<Arc<Library>>,
    /// Those that are not to be, and why.
    pub refused: Vec<Refused>,
    /// What an operator ought to know.
    pub warnings: Vec<String>,
}

impl Stock {
    /// Looks into the directories and copies what is there, less what is there already among `copies`.
    pub fn find(config: &Config, copies: &[Arc<Library>]) -> Stock {
        let is_named =
            |path: &_| config.plugins.command_line.contains(path) || config.plugins.directories.contains(path);
        let directories: Vec<_> = config
            .plugin_directories()
            .into_iter()
            .map(|path| find::Directory { named: is_named(&path), path })
            .collect();
        let found = find::libraries(&directories);
        let mut stock = Stock { libraries: Vec::new(), refused: found.refused, warnings: found.warnings };
        for path in &found.libraries {
            match Library::copy_or_share(path, copies) {
                Ok(library) => stock.libraries.push(library),
                Err(error) => stock.refused.push(not_copied(path, &error)),
            }
        }
        stock
    }

    /// These libraries as they were copied before.
    pub fn of(libraries: Vec<Arc<Library>>) -> Stock {
        Stock { libraries, ..Stock::default() }
    }

    /// Takes out what the configuration's pins do not allow.
    fn keep_pinned(&mut self, config: &Config) {
        self.libraries.retain(|library| match trust::pinned(library, &config.plugins.allow) {
            None => true,
            Some(refused) => {
                self.refused.push(refused);
                false
            }
        });
    }
}

fn not_copied(path: &Path, error: &std::io::Error) -> Refused {
    Refused {
        path: path.display().to_string(),
        reason: format!("cannot copy it into memory: {error}"),
        hint: "check that the file can be read by the user the daemon runs as, and that nobody is writing to it"
            .to_owned(),
    }
}

/// A generation that is loaded and not in use.
#[derive(Debug)]
pub struct Candidate {
    /// What its zygote has loaded.
    pub loaded: Loaded,
    /// The part of its manifest that planning needs.
    pub signature: Manifest,
    /// What an operator ought to know.
    pub warnings: Vec<String>,
    zygote: Zygote,
}

impl Candidate {
    /// Loads libraries in a zygote of their own.
    ///
    /// # Errors
    /// With `BadLibraries::RefuseAll`, if any library cannot be used; otherwise only if no zygote can be started.
    pub fn load(
        number: u64,
        mut stock: Stock,
        config: &Config,
        bad_libraries: BadLibraries,
    ) -> Result<Candidate, LoadError> {
        stock.keep_pinned(config);
        if bad_libraries == BadLibraries::RefuseAll && !stock.refused.is_empty() {
            return Err(LoadError::Refused(stock.refused));
        }
        let settings = LoadSettings {
            timeout: Duration::from_millis(config.plugins.load_timeout_ms.max(1)),
            start_method: config.workers.start_method,
            log_level_max: log_level_number(config.log.level),
            bad_libraries,
        };
        let (zygote, mut loaded) = Zygote::start(number, settings, stock.libraries)?;
        loaded.refused.splice(0..0, stock.refused);
        let mut warnings = stock.warnings;
        warnings.extend(loaded.manifest.warnings.iter().cloned());
        let signature = signature::manifest(&loaded.manifest);
        Ok(Candidate { loaded, signature, warnings, zygote })
    }

    /// Starts its workers and hooks: from now on it can be used.
    pub fn into_generation(
        self,
        number: u64,
        config: &Config,
        services: &Arc<Services>,
        undertaker: &Arc<Undertaker>,
    ) -> Result<Arc<Generation>, String> {
        let Candidate { loaded: Loaded { manifest, libraries, refused }, signature, mut warnings, zygote } = self;
        let zygote = Arc::new(zygote);
        for library in &refused {
            log::warn!("{} is not used: {} ({})", library.path, library.reason, library.hint);
        }
        let workers = usize::try_from(config.worker_count()).unwrap_or(1).max(1);
        let driver = DriverSettings {
            limits: limits(config),
            start_timeout: Duration::from_millis(config.workers.start_timeout_ms.max(1)),
            cancel_grace: Duration::from_millis(config.workers.cancel_grace_ms),
        };
        let hooks = Hooks::new(&manifest, config, Arc::clone(&zygote), driver.clone(), Arc::clone(services));
        warnings.extend(hooks.warnings());
        for warning in &warnings {
            log::warn!("{warning}");
        }
        let pool = Pool::start(workers, &zygote, &driver, services)
            .map_err(|error| format!("cannot start {workers} driver threads: {error}"))?;
        for plugin in &signature.plugins {
            log::info!(
                "plugin {} {}: {}, {}",
                plugin.name,
                plugin.version,
                counted(plugin.nodes.len() as u64, "node"),
                counted(plugin.dataset_types.len() as u64, "dataset type")
            );
        }
        Ok(Arc::new(Generation {
            number,
            loaded_us: services.clock.unix_us_now(),
            manifest,
            signature,
            libraries,
            refused,
            warnings,
            pool: Arc::new(pool),
            hooks: Arc::new(hooks),
            zygote,
            driver,
            undertaker: Arc::clone(undertaker),
            hashes: !config.private,
        }))
    }

    /// Ends it unused, and waits until it has gone.
    pub fn discard(self) {
        self.zygote.stop();
    }
}

fn limits(config: &Config) -> Limits {
    Limits { memory_bytes: config.worker_memory_max_bytes(), open_files: config.workers.open_files_max, core_bytes: 0 }
}

fn log_level_number(level: log::LevelFilter) -> u8 {
    // `LevelFilter` counts from Off = 0 to Trace = 5, as the wire does.
    level as u8
}
