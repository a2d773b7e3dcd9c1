//! Retries, time-outs and what a failure means for the rest, as plain values.

/// What the failure of a node means for the rest of its run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum OnFailure {
    /// No new node starts; those that run may finish.
    #[default]
    Stop,
    /// Everything that does not depend on the failed node still runs (keep going).
    Continue,
}

impl OnFailure {
    /// Reads the word that pipelines use.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "stop" => Some(Self::Stop),
            "continue" => Some(Self::Continue),
            _ => None,
        }
    }
}

/// How the tasks of a node are carried out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct NodePolicy {
    /// How often a failed task is tried again; 0 tries once in all.
    pub retries: u32,
    /// The wait before the first retry; each further one waits twice as long.
    pub retry_backoff_us: u64,
    /// How long one attempt of its call may take.
    pub timeout_us: Option<u64>,
    /// What its failure means; nothing leaves it to the run.
    pub on_failure: Option<OnFailure>,
    /// Of the tasks that are ready, those of nodes with a higher one go first; 0 unless said.
    pub priority: i32,
}

impl Default for NodePolicy {
    fn default() -> Self {
        Self { retries: 0, retry_backoff_us: 1_000_000, timeout_us: None, on_failure: None, priority: 0 }
    }
}

/// No wait between two attempts is longer than this: 10 minutes.
pub const RETRY_BACKOFF_US_MAX: u64 = 600_000_000;

impl NodePolicy {
    /// Gives the wait before the attempt that follows the failed attempt number `failed` (from 1), doubling each time.
    pub fn backoff_us(&self, failed: u32) -> u64 {
        let doublings = failed.saturating_sub(1).min(63);
        self.retry_backoff_us.saturating_mul(1 << doublings).min(RETRY_BACKOFF_US_MAX)
    }
}

/// How a run is carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RunPolicy {
    /// What a failure means where the node itself does not say.
    pub on_failure: OnFailure,
    /// Readers start from memory while a save is under way; else they wait for all saves of the node.
    pub asynchronous_saves: bool,
    /// Where a failure stops the run, what runs is stopped too instead of finishing.
    pub fail_fast: bool,
    /// How many tasks may be under way at once; nothing means no bound. With 1 the tasks run in the plan's order.
    pub tasks_max: Option<u32>,
    /// How long the run may take before it is stopped.
    pub timeout_us: Option<u64>,
}

/// Gives how many workers a run may use at once: `min(wanted, nodes − layers + 1)`, as more could never be busy.
///
/// `wanted` defaults to `cpus`. Zero or fewer is refused with the value named.
///
/// # Errors
/// The text of the refusal.
pub fn workers_for_run(wanted: Option<i64>, cpus: u32, nodes: usize, layers: usize) -> Result<u32, String> {
    let wanted = wanted.unwrap_or_else(|| i64::from(cpus.max(1)));
    if wanted <= 0 {
        return Err(format!("max_workers should be positive, but it is {wanted}"));
    }
    let useful = nodes.saturating_sub(layers).saturating_add(1);
    let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
    Ok(wanted.min(u32::try_from(useful).unwrap_or(u32::MAX)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_a_bound() {
        let policy = NodePolicy { retry_backoff_us: 1_500_000, ..NodePolicy::default() };
        let waits: Vec<u64> = [1, 2, 3, 9, 10, 64, u32::MAX].map(|failed| policy.backoff_us(failed)).to_vec();
        assert_eq!(waits, [1_500_000, 3_000_000, 6_000_000, 384_000_000, 600_000_000, 600_000_000, 600_000_000]);
        assert_eq!(NodePolicy { retry_backoff_us: 0, ..policy }.backoff_us(40), 0);
    }

    /// R2: min(max_workers, nodes − layers + 1); the CPU count by default; zero or fewer is an error that names the value.
    #[test]
    fn parity_r2_workers_for_run() {
        for ((wanted, cpus, nodes, layers), expected) in [
            ((None, 4, 10, 1), Ok(4)),
            ((None, 4, 10, 10), Ok(1)),
            ((Some(8), 2, 12, 6), Ok(7)),
            ((Some(3), 2, 12, 6), Ok(3)),
            ((Some(i64::MAX), 2, 1, 1), Ok(1)),
            ((Some(0), 2, 12, 6), Err("max_workers should be positive, but it is 0")),
            ((Some(-3), 2, 12, 6), Err("max_workers should be positive, but it is -3")),
        ] {
            assert_eq!(workers_for_run(wanted, cpus, nodes, layers), expected.map_err(str::to_owned));
        }
    }
}
