//! Quotas: how much organizations, projects and keys may use, and what they do use.
//!
//! An [`Allowance`] belongs to one of them and holds its limits, token buckets and counters, all of
//! them atomics: a call takes no lock and looks nothing up, because the catalog hands allowances out
//! with the project and the key. A call counts against all [`Layers`] that it is in, and the tightest
//! one decides.
//!
//! What is counted here is counted by this node alone. Topics and partitions are not: they are counted
//! in the database, inside the change that adds one.

mod allowance;
mod allowances;
mod at_large;
mod bucket;
mod layers;
mod recent;
mod resource;
mod slots;
mod stored;
mod turns;

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

pub use allowance::{Allowance, Owner};
pub use allowances::Allowances;
pub use at_large::AtLarge;
pub use layers::{Layers, check_stored, exceeded};
pub use resource::{Limits, LimitsChange, Resource, Use};
pub use slots::{Connection, Slot};
pub use turns::Turn;

/// Time since this process first asked: it never goes back.
fn now() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
