//! The `log` facade inside a plugin's library, forwarded to the host.
//!
//! Each library has its own copy of `log`, so each needs a logger of its own, installed by `initialise`.

use std::sync::OnceLock;

use crate::abi::Host;

static HOST: OnceLock<Host> = OnceLock::new();

struct Forwarder;

impl log::Log for Forwarder {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &log::Record<'_>) {
        let Some(host) = HOST.get().filter(|_| self.enabled(record.metadata())) else {
            return;
        };
        match record.args().as_str() {
            Some(message) => host.log(record.level(), record.target(), message),
            None => host.log(record.level(), record.target(), &record.args().to_string()),
        }
    }

    fn flush(&self) {}
}

/// Installs the forwarder, once. A logger that the plugin installed itself stays.
pub(crate) fn install(host: Host) {
    if HOST.set(host).is_ok() && log::set_logger(&Forwarder).is_ok() {
        log::set_max_level(host.log_level_max());
    }
}
