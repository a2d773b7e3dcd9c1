//! How the daemon is doing.

use std::time::Duration;

use super::Daemon;

/// How long the scheduler may take to show that it works.
const HEALTH_PATIENCE: Duration = Duration::from_secs(5);

impl Daemon {
    /// Goes through every part of the scheduler that must never be in anybody's way; an error says which was.
    pub fn health(&self) -> Result<protocol::Health, String> {
        if !self.services.alarm.answers_within(HEALTH_PATIENCE) {
            return Err(format!("the clock of the scheduler did not answer within {} s", HEALTH_PATIENCE.as_secs()));
        }
        let generation = self.generation();
        let workers = generation.pool.workers();
        Ok(protocol::Health {
            state: self.state_word().to_owned(),
            runs: self.run_counts(),
            workers: workers.len() as u64,
            workers_busy: workers.iter().filter(|worker| worker.state == "busy").count() as u64,
        })
    }

    /// How the daemon is doing.
    pub fn status(&self) -> protocol::Status {
        let generation = self.generation();
        // Read first: what is freed in between is in neither, rather than in both.
        let spare_bytes = self.services.spare.bytes();
        let budget = self.services.budget.usage();
        protocol::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_us: self.started_us,
            state: self.state_word().to_owned(),
            generation: generation.number,
            start_method: generation.start_method().to_owned(),
            plugins: generation.manifest.plugins.len() as u64,
            plugins_refused: generation.refused.len() as u64,
            workers: generation.pool.workers(),
            runs: self.run_counts(),
            blocks: protocol::BlockStatus {
                count: self.block_count(),
                bytes: budget.bytes.saturating_sub(spare_bytes),
                budget_bytes: budget.limit,
                spare_bytes,
            },
            state_file: self.store.file().map(|file| file.display().to_string()).unwrap_or_default(),
        }
    }

    fn state_word(&self) -> &'static str {
        if self.registry.is_closed() { "stopping" } else { "running" }
    }

    fn run_counts(&self) -> protocol::RunCounts {
        let mut runs = protocol::RunCounts { finished: self.registry.ended_count(), ..Default::default() };
        for run in self.registry.active() {
            match run.has_started() {
                true => runs.running += 1,
                false => runs.queued += 1,
            }
        }
        runs
    }
}
