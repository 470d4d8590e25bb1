//! `headwater bucket`: the object store and the metadata database, held against each other.
//!
//! Both may be in use meanwhile. What seems wrong is looked at again before it is said: an object is
//! listed before its row is asked for, and a row is read before its object is.

mod chain;
mod objects;
mod rebuild;
mod report;
mod sweep;
mod verify;

use std::time::Duration;

use clap::{Args, Subcommand};
use futures_util::{Stream, StreamExt};
use headwater_tiered::{
    Listed, Store as Objects, StoreError as ObjectError, StoreErrorKind, StoreOptions,
};

use crate::{
    cli::database_url,
    metadata::{Store, StoreError},
};

/// Objects that the database is asked about at once.
const LISTED_AT_ONCE: usize = 1_000;

/// `headwater bucket`
#[derive(Subcommand)]
pub enum Verb {
    /// Say which objects are damaged, missing or strays
    ///
    /// Reads every object that a row names, all of it, and compares it with its row; then lists the
    /// bucket for objects that no row names. Brokers may be running. Prints one JSON object a line for
    /// each finding: `missing` (a row without its object), `damaged` (an object that is not what its row
    /// says) or `stray` (an object without a row, or a file that is no segment's), with its key, bytes,
    /// offsets and whose it is as far as that is known; and a summary at the end. What waits for its
    /// deletion or is being uploaded is normal, and counted.
    ///
    /// Ends with 0 if there are no findings, and with 1 if there are any.
    Verify(VerifyArgs),
    /// Delete objects without a row that two looks a day apart agree on
    ///
    /// An abandoned upload can leave an object that nothing refers to. A look notes in the database what
    /// it sees; a later one deletes what was noted at least --older-than before, has not changed since and
    /// still has no row. So run it once a day. Nothing else is deleted: what is being uploaded has a row,
    /// doomed objects are the brokers' to delete, and files that are no segment's are reported and stay.
    ///
    /// After an older copy of the database was restored, do not sweep: what it does not know of is data.
    Sweep(SweepArgs),
    /// Make the metadata of an empty database out of the bucket alone
    ///
    /// For a database that is lost. Reads the end of every object, and writes organizations, projects,
    /// topics with their settings, partitions and the rows of their segments. Where objects overlap it
    /// chooses; where some are missing it says which offsets are lost and goes on after them. What was on
    /// brokers' disks alone is lost; so are people, keys, limits, and topics that had no object.
    ///
    /// Then start brokers on the database, with empty data directories. They serve the objects and write on
    /// where these end. `headwater admin bootstrap` with the same --org and --project makes an owner and
    /// a key. One that is interrupted is started again, and begins anew; until it has ended no broker
    /// starts.
    Rebuild(RebuildArgs),
}

#[derive(Args)]
struct Places {
    /// Metadata database: postgres://USER@HOST/NAME or sqlite://PATH
    #[arg(long, env = "HEADWATER_DATABASE", hide_env_values = true, value_parser = database_url)]
    database: String,
    /// The brokers' object store: s3://BUCKET/PREFIX or file:///DIRECTORY; AWS_* variables as for `serve`
    #[arg(
        long,
        value_name = "URL",
        env = "HEADWATER_OBJECT_STORE",
        hide_env_values = true
    )]
    object_store: String,
}

/// `headwater bucket verify`
#[derive(Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    places: Places,
    /// Compare names and sizes, and read no data
    #[arg(long)]
    shallow: bool,
    /// Accepted as by the other verbs; this one never changes anything
    #[arg(long)]
    dry_run: bool,
}

/// `headwater bucket sweep`
#[derive(Args)]
pub struct SweepArgs {
    #[command(flatten)]
    places: Places,
    /// How long before an earlier look must have seen the same, such as 24h or 30m, by the database's clock
    #[arg(long, default_value = "24h", value_parser = crate::client::duration)]
    older_than: Duration,
    /// Say what would be done, and note and delete nothing
    #[arg(long)]
    dry_run: bool,
}

/// `headwater bucket rebuild`
#[derive(Args)]
pub struct RebuildArgs {
    #[command(flatten)]
    places: Places,
    /// At most so many copies of each partition, for a cluster that has fewer brokers than the old one
    #[arg(long, value_name = "COPIES", value_parser = clap::value_parser!(u32).range(1..))]
    replication_factor: Option<u32>,
    /// Say what would be written; the database is not opened
    #[arg(long)]
    dry_run: bool,
}

/// Why a verb did not do what it is for.
pub enum Failure {
    /// What was asked for cannot be.
    Refused(String),
    /// The database failed.
    Metadata(StoreError),
    /// The object store failed.
    Objects(ObjectError),
    /// Standard output is closed, or cannot be written.
    Output(std::io::Error),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Metadata(error)
    }
}

impl From<ObjectError> for Failure {
    fn from(error: ObjectError) -> Self {
        match error.kind() {
            StoreErrorKind::Invalid => Self::Refused(error.to_string()),
            _ => Self::Objects(error),
        }
    }
}

type Done<T> = Result<T, Failure>;

/// Runs one verb; answers whether there is nothing to look into.
///
/// # Errors
/// [`Failure`].
pub async fn run(verb: Verb) -> Result<bool, Failure> {
    match verb {
        Verb::Verify(args) => verify::run(&args).await,
        Verb::Sweep(args) => sweep::run(&args).await.map(|()| true),
        Verb::Rebuild(args) => rebuild::run(&args).await.map(|()| true),
    }
}

fn open_objects(places: &Places) -> Done<Objects> {
    Ok(Objects::open(
        &places.object_store,
        StoreOptions::default(),
    )?)
}

/// Opens both, if they are one cluster's. A bucket that nobody has claimed has nobody's objects.
async fn open_both(places: &Places) -> Done<(Objects, Store)> {
    let objects = open_objects(places)?;
    let store = Store::open(&places.database).await?;
    let Some(cluster_id) = store.cluster_id().await? else {
        return Err(Failure::Refused(
            "no broker has ever used this database: it knows no object".into(),
        ));
    };
    match objects.claimed_by().await? {
        Some(other) if other != cluster_id => Err(Failure::Refused(format!(
            "{objects} belongs to cluster {other}, the database to cluster {cluster_id}"
        ))),
        _ => Ok((objects, store)),
    }
}

/// The listing in parts that one question to the database is about.
fn parts_of(objects: &Objects) -> impl Stream<Item = Done<Vec<Listed>>> + Unpin + use<> {
    let parts = objects.list().chunks(LISTED_AT_ONCE);
    parts
        .map(|part| part.into_iter().collect::<Result<Vec<_>, _>>())
        .map(|part| part.map_err(Failure::from))
}
