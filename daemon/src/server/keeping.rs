//! What outlives the daemon in the service manager's store: resident datasets, and outputs that somebody asked to keep.
//!
//! Both come back as claims: a file is adopted as a block only after every check that a worker's block has to pass, and a resident
//! dataset is used only while its fingerprint is that of the file it was loaded from.
#![forbid(unsafe_code)]

use super::daemon::Daemon;
use super::residents::Deposit;
use super::service::Stored;
use super::services::Services;

/// How names of kept outputs begin; all others are residents'.
pub const OUTPUT: &str = "output-";

impl Daemon {
    /// Takes back what the daemon before this one left; what is refused is logged, and loaded or computed again.
    pub fn take_back(&self, stored: Vec<Stored>) {
        let count = stored.len();
        let refused = stored.into_iter().filter_map(|entry| take_back(self.services(), entry).err());
        let refused = refused.inspect(|reason| log::warn!("kept memory is not used: {reason}")).count();
        if count > 0 {
            log::info!("{} datasets in memory outlived the last daemon", count - refused);
        }
    }

    /// What is to outlive this daemon.
    pub fn to_keep(&self) -> Vec<Stored> {
        let services = self.services();
        let residents = services.residents.deposits().into_iter();
        let residents = residents.map(|one| Stored { name: one.name, file: one.file, about: one.metadata });
        residents.chain(services.outputs.deposits()).collect()
    }
}

fn take_back(services: &Services, entry: Stored) -> Result<(), String> {
    if entry.name.starts_with(OUTPUT) {
        return services.outputs.adopt(entry, &services.accounts);
    }
    let Stored { name, file, about } = entry;
    services.residents.adopt(Deposit { name, file, metadata: about }).map_err(|error| error.to_string())
}
