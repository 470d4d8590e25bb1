//! `headwater groups`: list, describe, reset, redrive, delete.

use reqwest::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::failure::Failure;
use super::redrive::Redrive;
use super::resources::{Resources, not_understood};
use super::service::ServiceArgs;
use super::{group_name, topic_name};

/// The groups verb.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "A group remembers how far it has read each partition of its topics. Read as \
    a member of one with\n  headwater consume orders --group billing --follow\n\nTo read the last hour \
    again, look first, then do it:\n  headwater groups reset billing --to-time 2026-01-31T11:00:00Z \
    --dry-run\n  headwater groups reset billing --to-time 2026-01-31T11:00:00Z\n\nTo have a shared \
    group try its dead letters once more, 50 a second:\n  headwater groups redrive billing --dry-run\n  \
    headwater groups redrive billing --reason timeout --rate 50"
)]
pub struct Args {
    #[command(flatten)]
    service: ServiceArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print every group, one JSON object a line
    List,
    /// Print a group: its members, how far it is and how far behind
    Describe {
        /// Its name
        #[arg(value_parser = group_name)]
        name: String,
    },
    /// Have a group read records again, or skip them
    ///
    /// Prints each partition's position before and after, one JSON object a line. Positions never leave
    /// what can be read.
    Reset(Reset),
    /// Move the dead letters of a shared group back to the topics that they came from
    ///
    /// Prints each letter that was moved, or that cannot be and why, one JSON object a line. It ends with the
    /// letters that were there when it began. Run again, it moves no letter twice.
    Redrive(Redrive),
    /// Delete a group that has no members, and how far it is
    Delete {
        /// Its name
        #[arg(value_parser = group_name)]
        name: String,
    },
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("to").required(true))]
struct Reset {
    /// Its name
    #[arg(value_parser = group_name)]
    name: String,
    /// To the oldest records
    #[arg(long, group = "to")]
    to_earliest: bool,
    /// Behind the newest records
    #[arg(long, group = "to")]
    to_latest: bool,
    /// To the first records at this time or later: RFC 3339, or milliseconds since the epoch
    #[arg(long, value_name = "TIME", group = "to")]
    to_time: Option<String>,
    /// So many records on, or back if it is negative
    #[arg(long, value_name = "N", group = "to", allow_negative_numbers = true)]
    shift_by: Option<i64>,
    /// A partition's offset, as orders:3=1200; may be repeated
    #[arg(long, value_name = "TOPIC:PARTITION=OFFSET", group = "to", value_parser = offset)]
    to_offset: Vec<Value>,
    /// Only of this topic; may be repeated
    #[arg(long, value_name = "TOPIC", value_parser = topic_name)]
    topic: Vec<String>,
    /// Only print what would be
    #[arg(long)]
    dry_run: bool,
    /// Also while members are active: they read on from there with their next poll
    #[arg(long)]
    force: bool,
}

/// Reads `topic:partition=offset`.
fn offset(text: &str) -> Result<Value, String> {
    let read = || {
        let (place, offset) = text.split_once('=')?;
        let (topic, partition) = place.rsplit_once(':')?;
        let (partition, offset): (u32, u64) = (partition.parse().ok()?, offset.parse().ok()?);
        Some(json!({"topic": topic, "partition": partition, "offset": offset}))
    };
    read().ok_or_else(|| "an offset is TOPIC:PARTITION=OFFSET, as orders:3=1200".to_owned())
}

impl Reset {
    /// The body of the request.
    fn body(&self) -> Value {
        let to = match self {
            Self {
                to_earliest: true, ..
            } => json!("earliest"),
            Self {
                to_latest: true, ..
            } => json!("latest"),
            Self {
                to_time: Some(at), ..
            } => json!({ "at": at }),
            Self {
                shift_by: Some(by), ..
            } => json!({ "shift": by }),
            Self { to_offset, .. } => json!({ "offsets": to_offset }),
        };
        let mut body = json!({"to": to, "dry_run": self.dry_run, "force": self.force});
        if !self.topic.is_empty() {
            body["topics"] = json!(self.topic);
        }
        body
    }
}

/// Does one command on groups.
pub async fn run(args: Args) -> Result<(), Failure> {
    let groups = Resources::of(&args.service)?;
    match args.command {
        Command::List => groups.list("/groups").await,
        Command::Describe { name } => {
            let group = groups.get_value(&format!("/groups/{name}")).await?;
            groups.print_pretty(&group).await
        }
        Command::Reset(wanted) => reset(&groups, &wanted).await,
        Command::Redrive(redrive) => redrive.run(&groups.service, &groups.output).await,
        Command::Delete { name } => {
            let path = format!("/groups/{name}");
            groups.delete(&path, &format!("group {name}")).await
        }
    }
}

#[derive(Deserialize)]
struct Moved<'a> {
    #[serde(borrow)]
    partitions: Vec<&'a RawValue>,
}

async fn reset(groups: &Resources, reset: &Reset) -> Result<(), Failure> {
    let path = format!("/groups/{}/offsets", reset.name);
    let request = groups.service.request(Method::POST, &path);
    // Not repeated: a shift would go twice as far.
    let (_, answer) = groups.service.exchange(request.json(&reset.body())).await?;
    let moved: Moved<'_> = serde_json::from_slice(&answer).map_err(not_understood)?;
    groups.print_all(&moved.partitions).await?;
    if reset.dry_run {
        groups.progress.note("a dry run: nothing was changed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_names_its_partition() {
        let expected = json!({"topic": "a.b-c", "partition": 3, "offset": 1200});
        assert_eq!(offset("a.b-c:3=1200"), Ok(expected));
        for bad in [
            "orders",
            "orders:3",
            "orders=3",
            "orders:x=3",
            "orders:3=-1",
        ] {
            assert!(offset(bad).is_err(), "{bad}");
        }
    }
}
