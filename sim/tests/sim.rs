//! Clusters from seeds: all rules keep their promises, and every rule that is left out is missed.

#![allow(
    clippy::print_stdout,
    reason = "what was reached is read with --nocapture"
)]

use std::sync::atomic::{AtomicU64, Ordering};

use headwater_sim::{Counts, Options, Outcome, Rule, World};

/// Seeds that every test run goes through.
const SEEDS: u64 = 3_000;
/// How many seeds it may take to notice that a rule is missing.
const SEEDS_WITHOUT_A_RULE: u64 = 1_500;

/// Rules whose absence the simulation cannot see, with the reason. There are none: all are seen.
const UNSEEN: [(Rule, &str); 0] = [];

fn run(seed: u64, without: Option<Rule>) -> Outcome {
    World::run(&Options {
        seed,
        without,
        aimed: without.is_some(),
        ..Options::default()
    })
}

/// Runs the seeds on all processors; each run is on one.
fn run_all(seeds: u64, each: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        break;
                    }
                    each(seed);
                }
            });
        }
    });
}

fn explain(seed: u64, outcome: &Outcome) -> String {
    let skipped = outcome.tail.len().saturating_sub(40);
    let tail = outcome.tail[skipped..].join("\n");
    let broken = outcome.broken.as_ref();
    let (name, what) = broken.map_or(("nothing", ""), |b| (b.invariant, b.what.as_str()));
    format!(
        "{tail}\nseed {seed} step {}: {name}: {what}\nReplay: cargo run -p headwater-sim -- --seed {seed} --trace",
        outcome.steps
    )
}

#[test]
fn every_promise_is_kept_and_everything_was_reached() {
    let counts = std::sync::Mutex::new(Counts::default());
    run_all(SEEDS, |seed| {
        let outcome = run(seed, None);
        assert!(outcome.broken.is_none(), "{}", explain(seed, &outcome));
        counts.lock().unwrap().add(&outcome.counts);
    });
    let counts = counts.into_inner().unwrap();
    for (name, count) in counts.all() {
        println!("{count:>12} {name}");
        assert!(
            count > 0,
            "no {name} in {SEEDS} seeds: they prove nothing about it"
        );
    }
}

#[test]
fn a_seed_is_one_run() {
    for seed in 0..20 {
        let (first, again) = (run(seed, None), run(seed, None));
        assert_eq!(
            (first.digest, first.steps),
            (again.digest, again.steps),
            "seed {seed}"
        );
    }
    assert_ne!(run(0, None).digest, run(1, None).digest);
}

/// A simulation that does not miss a rule that is not there says nothing when it is quiet.
#[test]
fn every_rule_is_missed() {
    for rule in Rule::ALL {
        if let Some((_, why)) = UNSEEN.iter().find(|(unseen, _)| *unseen == rule) {
            println!("{rule:?} is not seen: {why}");
            continue;
        }
        let missed = (0..SEEDS_WITHOUT_A_RULE).find_map(|seed| {
            let broken = run(seed, Some(rule)).broken?;
            Some((seed, broken))
        });
        let (seed, broken) = missed.unwrap_or_else(|| {
            panic!("{SEEDS_WITHOUT_A_RULE} seeds without {rule:?}, and nobody noticed")
        });
        println!("without {rule:?}: seed {seed}: {}", broken.invariant);
    }
}
