//! How the daemon starts: the store, what all runs share, the plugins, the workers.

use std::sync::{Arc, Mutex};

use super::Daemon;
use crate::block::Accounts;
use crate::server::budget::Budget;
use crate::server::clock::{Alarm, Clock};
use crate::server::config::Config;
use crate::server::generations::Generations;
use crate::server::outputs::Outputs;
use crate::server::residents::Residents;
use crate::server::runs::Registry;
use crate::server::services::Services;
use crate::server::spare::SpareMemory;
use crate::server::store::{Location, Retention, Store, StoreError};
use crate::server::uploads::Uploads;
use crate::server::usher::{self, Usher};

/// Descriptors the server needs for everything but blocks: channels, connections, the store.
const FILES_RESERVED: u64 = 512;

/// Why the daemon could not start.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StartError {
    /// What was tried, on what, and why it failed.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

impl Daemon {
    /// Starts the daemon: opens the store, loads the plugins, starts the workers. Blocks until it can take runs.
    pub fn start(config: Config) -> Result<Arc<Daemon>, StartError> {
        let clock = Clock::start();
        let store = Arc::new(open_store(&config)?);
        let alarm = Alarm::start(clock)
            .map(Arc::new)
            .map_err(|error| plain(format!("cannot start the clock's thread: {error}")))?;
        let registry = Arc::new(Registry::default());
        let retention = Retention { keep_count: config.runs.keep_count, keep_days: config.runs.keep_days };
        let (usher, desk) = Usher::new(&store, &registry, retention);
        if let Some(left_over) = config.exports_directory() {
            // Nothing there is the common case.
            let _ = std::fs::remove_dir_all(left_over);
        }
        let services = Arc::new(services(&config, clock, alarm, Arc::clone(&store), usher));
        usher::prune(&store, retention, clock.unix_us_now());
        let usher_thread = desk.start().map_err(|error| plain(format!("cannot start the usher's thread: {error}")))?;
        let generations = Generations::start(config, Arc::clone(&services), Arc::clone(&store), Arc::clone(&registry))
            .map_err(plain)?;
        Ok(Arc::new(Daemon {
            services,
            store,
            registry,
            generations,
            usher_thread: Mutex::new(Some(usher_thread)),
            started_us: clock.unix_us_now(),
        }))
    }
}

fn services(config: &Config, clock: Clock, alarm: Arc<Alarm>, store: Arc<Store>, usher: Usher) -> Services {
    let in_us = |seconds: u64| seconds.saturating_mul(1_000_000);
    // A quarter of the budget where nothing is said.
    let share = |bytes: u64| if bytes == 0 { config.block_budget_bytes() / 4 } else { bytes };
    let (blocks, runs) = (&config.blocks, &config.runs);
    let budget = Budget::new(config.block_budget_bytes());
    let accounts = Arc::new(Accounts::default());
    Services {
        clock,
        uploads: Uploads::new(clock, &alarm, &budget, blocks.uploads_max, in_us(blocks.uploads_keep_seconds)),
        outputs: Outputs::new(
            clock,
            &alarm,
            &budget,
            in_us(runs.keep_outputs_seconds),
            share(runs.keep_outputs_bytes),
            runs.keep_count,
        ),
        residents: Residents::new(clock, &budget, &accounts),
        spare: SpareMemory::new(
            clock,
            &alarm,
            &budget,
            in_us(blocks.spare_keep_seconds),
            share(blocks.spare_bytes_max),
        ),
        alarm,
        budget,
        accounts,
        block_files_max: raise_open_files().saturating_sub(FILES_RESERVED).max(64),
        store,
        usher,
    }
}

fn open_store(config: &Config) -> Result<Store, StartError> {
    let directory = config.state_directory().map_err(plain)?;
    let location = directory.map_or(Location::Memory, Location::Directory);
    Store::open(&location, config.runs.log_lines_max).map_err(|error| StartError {
        message: format!("cannot open the store of runs: {error}"),
        hint: match error {
            StoreError::InUse(_) => {
                "beside it this one needs a place and a socket of its own: `dagd serve --config FILE`, with [server] state_directory and socket"
            }
            _ => {
                "[server] state_directory says where runs are kept; the user the daemon runs as must be able to write there"
            }
        }
        .to_owned(),
    })
}

/// Lets this process open as many files as it may, and says how many that is.
fn raise_open_files() -> u64 {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    }
}

fn plain(message: String) -> StartError {
    StartError { message, hint: String::new() }
}
