//! Numbers drawn by chance, from a seed that can be given again.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

/// Names the seed to draw from, to repeat a failure.
const SEED: &str = "DAGD_TESTS_SEED";

/// A source of numbers; shown, it tells how to repeat the draw.
#[derive(Clone, Debug)]
pub struct Draw {
    seed: u64,
    state: u64,
}

impl Draw {
    /// Draws from the seed in `DAGD_TESTS_SEED`, or else from a new one.
    #[track_caller]
    pub fn new() -> Self {
        let seed = match std::env::var(SEED) {
            Ok(text) => text.parse().unwrap_or_else(|problem| panic!("{SEED}={text}: {problem}")),
            Err(_) => RandomState::new().hash_one(0),
        };
        Self { seed, state: seed }
    }

    /// Another source, whose seed is drawn from this one: what is drawn from either does not change the other.
    #[must_use]
    pub fn split(&mut self) -> Self {
        let seed = self.below(u64::MAX);
        Self { seed, state: seed }
    }

    /// Says yes in so many of a hundred cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    #[track_caller]
    pub fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[usize::try_from(self.below(among.len() as u64)).expect("an index")]
    }

    /// A number below `end`, by the generator `SplitMix64`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

impl Default for Draw {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Draw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SEED}={} repeats the draw", self.seed)
    }
}
