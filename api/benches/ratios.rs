//! The product against the roofs: what share of the possible it reaches on this machine, now.
//!
//! `cargo bench -p headwater --bench ratios -- [ROW…]` after `cargo bench -p headwater --no-run`.
//! Each row runs product and roofs in turn, several times, on fresh data, and compares medians:
//! disks and neighbours change from minute to minute, so numbers of different runs say little.
//! With two processors or more, servers have the first and the load generator the second.

#[path = "ratios/cluster.rs"]
mod cluster;
#[path = "ratios/cold.rs"]
mod cold;
#[path = "ratios/contender.rs"]
mod contender;
#[path = "ratios/groups.rs"]
mod groups;
#[path = "ratios/grpc.rs"]
mod grpc;
#[path = "ratios/life.rs"]
mod life;
#[path = "ratios/neighbour.rs"]
mod neighbour;
#[path = "ratios/offload.rs"]
mod offload;
#[path = "ratios/rows.rs"]
mod rows;
#[path = "ratios/table.rs"]
mod table;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use contender::Setup;
use table::Line;

/// What a row may fail with; it only has to be told.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[derive(Parser)]
struct Args {
    /// Rows to run, by the beginning of their names; all if there is none
    rows: Vec<String>,
    /// Print the names of the rows
    #[arg(long)]
    list: bool,
    /// How often each contender runs
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// The product's executable
    #[arg(long)]
    headwater: Option<PathBuf>,
    /// The roofs' executable
    #[arg(long)]
    roof: Option<PathBuf>,
    /// Where servers keep their data while they are measured
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Let the system choose processors
    #[arg(long)]
    no_pin: bool,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let chosen: Vec<_> = rows::ROWS
        .iter()
        .filter(|row| args.rows.is_empty() || args.rows.iter().any(|name| row.is_named(name)))
        .collect();
    let mut out = io::stdout();
    if args.list {
        for row in chosen {
            // Nobody is left to tell when the output is closed.
            let _ = writeln!(out, "{}", row.name);
        }
        return ExitCode::SUCCESS;
    }
    let setup = match Setup::find(&args) {
        Ok(setup) => setup,
        Err(error) => {
            let _ = writeln!(io::stderr(), "ratios: {error}");
            return ExitCode::from(2);
        }
    };
    let _ = Line::write_head(&mut out);
    let mut exit = ExitCode::SUCCESS;
    for row in chosen {
        let lines = row.run(&setup).unwrap_or_else(|error| {
            exit = ExitCode::FAILURE;
            vec![Line::failed(row.name, &error.to_string())]
        });
        for line in lines {
            let _ = line.write(&mut out);
        }
    }
    exit
}

impl Args {
    fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds.max(1))
    }
}
