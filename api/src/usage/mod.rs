//! Usage: what every topic's requests wrote, read and left stored, counted in memory and written down
//! every few seconds.
//!
//! A [`Meter`] belongs to a project and a topic's name, and outlives the topic until all that it
//! counted is written. The catalog hands it out with the topic, so that counting needs no lookup.

mod meter;
mod meters;
mod series;

pub use meter::{Counts, Meter, Reading, Stored};
pub use meters::Meters;
pub use series::{Levels, UsageStep, series};
