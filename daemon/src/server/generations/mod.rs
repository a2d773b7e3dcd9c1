//! Generations: the plugins that were loaded together, and the processes that hold them.
//!
//! [`find`] looks for libraries, [`Library`] copies them, [`load`] brings a zygote up with them and sets aside those that kill
//! or hang it, [`Zygote`] keeps it up and starts workers through it. A [`Generation`] adds the pool and the hooks. New runs take
//! the current generation; a run keeps the one it began with, so a generation can be replaced while runs go on.
#![forbid(unsafe_code)]

pub mod find;
mod library;
mod load;
mod signature;
mod zygote;

use std::sync::Arc;
use std::time::Duration;

use engine::signature::Manifest;

use crate::ipc::manifest::GenerationManifest;
use crate::ipc::message::{Limits, StartMethod};
use crate::server::config::Config;
use crate::server::hooks::Hooks;
use crate::server::pool::{DriverSettings, Pool, Worker};
use crate::server::services::Services;

pub use library::Library;
pub use load::{LoadSettings, Refused, ending_in_words, signal_name};
pub use zygote::{Process, ProcessEnd, Zygote};

/// One generation, loaded and ready.
#[derive(Debug)]
pub struct Generation {
    /// Its number, from 1.
    pub number: u64,
    /// What its libraries offer.
    pub manifest: GenerationManifest,
    /// The part of it that planning needs.
    pub signature: Manifest,
    /// The libraries; the manifest names them by position.
    pub libraries: Vec<Arc<Library>>,
    /// The libraries found and not used.
    pub refused: Vec<Refused>,
    /// What an operator ought to know.
    pub warnings: Vec<String>,
    /// Its drivers and workers.
    pub pool: Pool,
    /// Its hooks.
    pub hooks: Hooks,
    zygote: Arc<Zygote>,
    driver: DriverSettings,
}

impl Generation {
    /// Finds and loads the libraries and starts the workers. A library that cannot be used is set aside by name.
    pub fn start(number: u64, config: &Config, services: &Arc<Services>) -> Result<Generation, String> {
        let is_named =
            |path: &_| config.plugins.command_line.contains(path) || config.plugins.directories.contains(path);
        let directories: Vec<_> = config
            .plugin_directories()
            .into_iter()
            .map(|path| find::Directory { named: is_named(&path), path })
            .collect();
        let found = find::libraries(&directories);
        let mut refused = Vec::new();
        let mut libraries = Vec::new();
        for path in &found.libraries {
            match Library::copy(path) {
                Ok(library) => libraries.push(Arc::new(library)),
                Err(error) => refused.push(Refused {
                    path: path.display().to_string(),
                    reason: format!("cannot copy it into memory: {error}"),
                    hint: "check that the file can be read by the user the daemon runs as".to_owned(),
                }),
            }
        }
        let settings = LoadSettings {
            timeout: Duration::from_millis(config.plugins.load_timeout_ms.max(1)),
            start_method: config.workers.start_method,
            log_level_max: log_level_number(config.log.level),
        };
        let (zygote, loaded) = Zygote::start(number, settings, libraries)?;
        let zygote = Arc::new(zygote);
        refused.extend(loaded.refused);
        let mut warnings = found.warnings;
        warnings.extend(loaded.manifest.warnings.iter().cloned());
        for warning in &warnings {
            log::warn!("{warning}");
        }
        for library in &refused {
            log::warn!("{} is not used: {} ({})", library.path, library.reason, library.hint);
        }
        let workers = usize::try_from(config.worker_count()).unwrap_or(1).max(1);
        let driver = DriverSettings {
            limits: limits(config),
            start_timeout: Duration::from_millis(config.workers.start_timeout_ms.max(1)),
            cancel_grace: Duration::from_millis(config.workers.cancel_grace_ms),
        };
        let hooks = Hooks::new(&loaded.manifest, config, Arc::clone(&zygote), driver.clone(), Arc::clone(services));
        let pool = Pool::start(workers, &zygote, &driver, services)
            .map_err(|error| format!("cannot start {workers} driver threads: {error}"))?;
        let signature = signature::manifest(&loaded.manifest);
        for plugin in &signature.plugins {
            log::info!(
                "plugin {} {}: {} nodes, {} dataset types",
                plugin.name,
                plugin.version,
                plugin.nodes.len(),
                plugin.dataset_types.len()
            );
        }
        Ok(Generation {
            number,
            manifest: loaded.manifest,
            signature,
            libraries: loaded.libraries,
            refused,
            warnings,
            pool,
            hooks,
            zygote,
            driver,
        })
    }

    /// How its workers start, as a word.
    pub fn start_method(&self) -> &'static str {
        match self.manifest.start_method {
            StartMethod::Fork => "fork",
            StartMethod::Spawn => "spawn",
        }
    }

    /// Starts a worker that belongs to no driver: for questions that are not part of a run.
    pub fn extra_worker(&self) -> Result<Worker, String> {
        Worker::start(&self.zygote, &self.driver)
    }

    /// Ends its drivers, hooks and processes, and waits until they are gone.
    pub fn stop(&self) {
        self.pool.stop();
        self.hooks.stop();
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
