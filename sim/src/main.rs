//! `headwater-sim`: runs whole clusters from seeds, and says which promise was broken.

use std::{
    io::{self, Write},
    ops::Range,
    process::ExitCode,
};

use headwater_sim::{Counts, Options, Outcome, Rule, World};

const HELP: &str = "\
Runs whole clusters in one thread, from one seed each: the real replication core and controller on
simulated disks, networks, metadata and clients, all of which go wrong. Every seed is another run,
and the same seed is the same run, event by event.

  headwater-sim --seeds 0..1000          runs a thousand seeds; stops at the first broken promise
  headwater-sim --seed 42 --trace        runs one, and prints everything that happened
  headwater-sim --seeds 0..500 --without Divergence
                                         leaves a rule out: a run is to notice (exit code 1)

Options:
  --seed N          one seed
  --seeds A..B      all from A up to, and not including, B (default 0..200)
  --trace           print every line of the trace, not only the last ones before a broken promise
  --lines N         how many lines to print before a broken promise (default 60, at most 400)
  --without RULE    leave one rule of the core out
  --aimed           with --without: choose faults in which the missing rule shows sooner
  --all             with --seeds: go on after a broken promise, and list them all
  --steps N         end each run after N events
  --help            this

A broken promise is printed with its seed, step, name and the last part of the trace. Replay it with
--seed N --trace, and add --steps N to stop there. sim/README.md says what is simulated and how.

Rules:
";

struct Arguments {
    options: Options,
    seeds: Range<u64>,
    lines: usize,
    all: bool,
}

fn main() -> ExitCode {
    let mut out = io::stdout().lock();
    match parse(std::env::args().skip(1)) {
        Ok(Some(arguments)) => run(&arguments).unwrap_or(ExitCode::from(2)),
        Ok(None) => {
            // Nobody reads it any more if it cannot be written.
            let _ = write!(out, "{HELP}");
            for rule in Rule::ALL {
                let _ = writeln!(out, "  {rule:?}");
            }
            ExitCode::SUCCESS
        }
        Err(why) => {
            let _ = writeln!(io::stderr(), "{why}\nTry --help.");
            ExitCode::from(2)
        }
    }
}

fn parse(arguments: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let mut parsed = Arguments {
        options: Options::default(),
        seeds: 0..200,
        lines: 60,
        all: false,
    };
    let mut arguments = arguments;
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{name} needs a value"));
        match name.as_str() {
            "--help" | "-h" => return Ok(None),
            "--trace" => parsed.options.print = true,
            "--aimed" => parsed.options.aimed = true,
            "--all" => parsed.all = true,
            "--seed" => {
                let seed = number(&value()?)?;
                parsed.seeds = seed..seed + 1;
            }
            "--seeds" => {
                let value = value()?;
                let (first, end) = value.split_once("..").ok_or("--seeds is like 0..100")?;
                parsed.seeds = number(first)?..number(end)?;
            }
            "--steps" => parsed.options.steps_max = Some(number(&value()?)?),
            "--lines" => parsed.lines = number(&value()?)? as usize,
            "--without" => parsed.options.without = Some(rule(&value()?)?),
            other => return Err(format!("{other} is no option")),
        }
    }
    Ok(Some(parsed))
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

fn rule(name: &str) -> Result<Rule, String> {
    let named = Rule::ALL
        .into_iter()
        .find(|rule| format!("{rule:?}") == name);
    named.ok_or(format!("{name} is no rule"))
}

fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let mut out = io::stdout();
    let (mut counts, mut broken) = (Counts::default(), 0);
    let mut runs = 0;
    for seed in arguments.seeds.clone() {
        let outcome = World::run(&Options {
            seed,
            ..arguments.options.clone()
        });
        counts.add(&outcome.counts);
        runs += 1;
        if outcome.broken.is_some() {
            broken += 1;
            report(seed, &outcome, arguments)?;
            if !arguments.all {
                return Ok(ExitCode::FAILURE);
            }
        } else if arguments.options.print {
            writeln!(out, "digest {:016x}", outcome.digest)?;
        }
    }
    writeln!(out, "{runs} runs, {broken} with a broken promise")?;
    for (name, count) in counts.all() {
        writeln!(out, "{count:>12} {name}")?;
    }
    Ok(ExitCode::from(u8::from(broken > 0)))
}

fn report(seed: u64, outcome: &Outcome, arguments: &Arguments) -> io::Result<()> {
    let mut out = io::stdout();
    if let Some(broken) = &outcome.broken {
        if !arguments.all && !arguments.options.print {
            let skipped = outcome.tail.len().saturating_sub(arguments.lines);
            for line in &outcome.tail[skipped..] {
                writeln!(out, "{line}")?;
            }
        }
        let (steps, name) = (outcome.steps, broken.invariant);
        writeln!(out, "seed {seed} step {steps}: {name}: {}", broken.what)?;
    }
    Ok(())
}
