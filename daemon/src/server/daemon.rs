//! The daemon as its control API sees it: one value that answers every request.
//!
//! Every method may block for as long as its doc says, so the API calls them from threads that may (`spawn_blocking`).
//! What the answers about plugins look like is in [`super::offers`].
#![forbid(unsafe_code)]

mod data;
mod interrupted;
mod planning;
mod resume;
mod runs;
mod shutdown;
mod start;
mod status;
mod submit;
mod told;

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::server::config::Config;
use crate::server::generations::{Generation, Generations, ReloadCause, ReloadError};
use crate::server::offers;
use crate::server::runs::Registry;
use crate::server::services::Services;
use crate::server::store::Store;

pub use runs::CancelOutcome;
pub use shutdown::ShutdownMode;
pub use start::StartError;
pub use submit::{AwaitedReport, SubmitError};

/// The daemon: plugins, workers, runs.
#[derive(Debug)]
pub struct Daemon {
    services: Arc<Services>,
    store: Arc<Store>,
    registry: Arc<Registry>,
    /// What new runs start on, and the configuration that goes with it; runs keep theirs.
    generations: Arc<Generations>,
    usher_thread: Mutex<Option<JoinHandle<()>>>,
    started_us: i64,
}

impl Daemon {
    /// The plugins of the current generation, and the libraries refused.
    pub fn plugins(&self) -> protocol::PluginList {
        offers::plugins(&self.generation(), self.generations.infos())
    }

    /// Loads the plugins anew; blocks until they are current or refused.
    pub fn reload(&self, options: protocol::ReloadOptions) -> Result<protocol::ReloadReport, ReloadError> {
        self.generations.reload(options, ReloadCause::Asked)
    }

    /// Says how the configuration is read anew at a reload.
    pub fn configure_by(&self, configure: impl Fn() -> Result<Config, Vec<protocol::Problem>> + Send + Sync + 'static) {
        self.generations.configure_by(Box::new(configure));
    }

    /// Every node of the current generation.
    pub fn nodes(&self) -> protocol::NodeList {
        offers::nodes(&self.generation())
    }

    /// Every hook, on or off, and why.
    pub fn hooks(&self) -> protocol::HookList {
        protocol::HookList { hooks: self.generation().hooks.infos() }
    }

    /// What all runs share.
    pub(super) fn services(&self) -> &Services {
        &self.services
    }

    fn generation(&self) -> Arc<Generation> {
        self.generations.current()
    }
}
