//! Random load, at length: see `tests::random_load`. A line a round; the last line on standard output is the result.
//!
//! `soak-load [ROUNDS]`; without an argument 40. Each round draws what daemon and what load. The exit code is 1 if anything went wrong.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use tests::Draw;
use tests::random_load::{RandomLoad, Tally};

fn main() -> ExitCode {
    let rounds: usize = std::env::args().nth(1).and_then(|argument| argument.parse().ok()).unwrap_or(40);
    let mut all = Tally::default();
    let mut draw = Draw::new();
    for round in 1..=rounds {
        let next = draw.split();
        let load = RandomLoad::draw(&mut draw);
        println!("{round}: {draw}: {load:?}");
        let tally = load.run(&mut draw);
        println!("{round}: {tally}");
        tally.wrong.iter().take(5).for_each(|wrong| println!("{wrong}"));
        all.add(tally);
        draw = next;
    }
    println!("rounds={rounds} {all}");
    if all.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
