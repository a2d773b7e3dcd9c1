//! A pretend world for runs: random pipelines, workers that succeed, fail, hang or lie, a clock that jumps, and a watcher that
//! knows the laws. No threads and no real time: a run of the world is a function of its seed.
#![allow(dead_code, reason = "each test binary uses its part")]

pub mod pipeline;
pub mod watch;
pub mod world;

/// Small random numbers from a seed (splitmix64). The world's own, so that a failing case is one number.
#[derive(Clone, Debug)]
pub struct Dice {
    state: u64,
}

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Gives a number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// Says yes in `percent` of all cases.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent as usize
    }
}
