//! Seeded simulation: the very owners that run, on the log in memory with every misbehaviour that its contract permits.
//!
//! A seed fixes everything: which records come, which frames are lost, stored late or twice, which process crashes and
//! with or without its local state, who competes for a partition. At the end the storm stops, everything is drained,
//! and the ledger alone must show that each request was decided once and nothing was left out. A checker that cannot
//! fail proves nothing, so it is run against planted bugs as well.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs
)]

mod check;
mod node;
mod world;

use world::{Planted, World};

const SEEDS: u64 = 300;

#[test]
fn no_seed_loses_doubles_or_forks() {
    let (mut requests, mut frames, mut strays, mut crashes, mut claims) = (0, 0, 0, 0, 0);
    let only = std::env::var("SIM_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in only.map_or(0..SEEDS, |seed: u64| seed..seed + 1) {
        let figures = World::run(seed, None).unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        requests += figures.requests;
        frames += figures.frames;
        strays += figures.strays;
        crashes += figures.crashes;
        claims += figures.claims;
    }
    println!(
        "simulation: {SEEDS} seeds, {requests} requests, {frames} frames, {claims} claims, {strays} strays refused, {crashes} crashes: 0 violations"
    );
    assert!(
        strays > 100 && crashes > 100 && claims > 500,
        "the storm was none: {strays} strays, {crashes} crashes, {claims} claims"
    );
}

#[test]
fn the_checker_finds_planted_bugs() {
    for planted in Planted::ALL {
        let found =
            (0..SEEDS).find_map(|seed| World::run(seed, Some(planted)).err().map(|violation| (seed, violation)));
        let (seed, violation) = found.unwrap_or_else(|| panic!("{planted:?} was not found in {SEEDS} seeds"));
        println!("simulation: {planted:?} found at seed {seed}: {violation}");
    }
}
