//! One generation: loaded, ready, and in use until the last one who holds it lets go.
#![forbid(unsafe_code)]

use std::sync::Arc;

use engine::signature::Manifest;
use protocol::PluginIdentity;

use super::retire::{Remains, Undertaker};
use super::{Library, Refused, Zygote, memory};
use crate::ipc::manifest::{GenerationManifest, PluginDescription};
use crate::ipc::message::StartMethod;
use crate::server::hooks::Hooks;
use crate::server::pool::{DriverSettings, Pool, Worker};

/// One generation, loaded and ready.
#[derive(Debug)]
pub struct Generation {
    /// Its number, from 1.
    pub number: u64,
    /// When it was loaded.
    pub loaded_us: i64,
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
    pub pool: Arc<Pool>,
    /// Its hooks.
    pub hooks: Arc<Hooks>,
    pub(super) zygote: Arc<Zygote>,
    pub(super) driver: DriverSettings,
    pub(super) undertaker: Arc<Undertaker>,
    /// Whether hashes of libraries are worth their time here; a private daemon has none to spare.
    pub(super) hashes: bool,
}

impl Generation {
    /// How its workers start, as a word.
    pub fn start_method(&self) -> &'static str {
        match self.manifest.start_method {
            StartMethod::Fork => "fork",
            StartMethod::Spawn => "spawn",
        }
    }

    /// Which plugins exactly it has.
    pub fn identities(&self) -> Vec<PluginIdentity> {
        self.manifest.plugins.iter().map(|plugin| identity(plugin, &self.libraries, self.hashes)).collect()
    }

    /// How many processes it has, and how much memory they hold.
    pub fn processes(&self) -> (u64, u64) {
        let pids = self.zygote.pids();
        (pids.len() as u64, pids.into_iter().map(memory::proportional_bytes).sum())
    }

    /// How much memory the copies of its libraries take.
    pub fn library_bytes(&self) -> u64 {
        self.libraries.iter().map(|library| library.bytes()).sum()
    }

    /// Starts a worker that belongs to no driver: for questions that are not part of a run.
    pub fn extra_worker(&self) -> Result<Worker, String> {
        Worker::start(&self.zygote, &self.driver)
    }

    /// Ends its drivers, hooks and processes, and waits until they are gone.
    pub fn stop(&self) {
        self.remains().end();
    }

    fn remains(&self) -> Remains {
        Remains {
            number: self.number,
            pool: Arc::clone(&self.pool),
            hooks: Arc::clone(&self.hooks),
            zygote: Arc::clone(&self.zygote),
        }
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.undertaker.take(self.remains());
    }
}

/// Which plugin exactly one is; `hash` says whether its hash is worth taking now.
pub fn identity(plugin: &PluginDescription, libraries: &[Arc<Library>], hash: bool) -> PluginIdentity {
    let library = usize::try_from(plugin.library).ok().and_then(|index| libraries.get(index));
    let sha256 = library.and_then(|library| if hash { Some(library.sha256()) } else { library.sha256_if_known() });
    PluginIdentity {
        name: plugin.name.clone(),
        version: plugin.version.clone(),
        sha256: sha256.unwrap_or_default().to_owned(),
    }
}
