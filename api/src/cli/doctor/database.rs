//! The metadata database: whether it answers, how far it is migrated, and what time it is there.

use std::time::Duration;

use super::report::Finding;
use crate::metadata::store::{Engine, Examined};

/// The oldest Postgres that the tests know.
const POSTGRES_TESTED: u32 = 15;
/// Above these a round trip is slow: a change takes several.
const TRIP_SLOW: Duration = Duration::from_millis(20);
const TRIP_TOO_SLOW: Duration = Duration::from_secs(1);
/// Above these clocks differ: by this machine's clock records have their timestamps and certificates end,
/// by the database's leases do.
const CLOCK_OFF_MS: u64 = 500;
const CLOCK_FAR_OFF_MS: u64 = 30_000;

/// What is there.
pub fn check(database: &Examined) -> Vec<Finding> {
    let mut findings = vec![server(database), schema(database)];
    // One file on this machine has no clock of its own.
    if database.engine == Engine::Postgres {
        findings.push(clock(database.clock_ahead_ms));
    }
    findings
}

/// That it cannot be asked.
pub fn away(url: &str, why: impl std::fmt::Display) -> Finding {
    const CHECK: &str = "database";
    if url.starts_with("sqlite:") {
        let found = format!("not there, or not to be opened: {why}");
        let advice = "the first start makes it, if the directory is there and the node's own";
        return Finding::warning(CHECK, found, advice);
    }
    Finding::failed(
        CHECK,
        why.to_string(),
        "check host, port, user, password and the database's name in --database, and that Postgres lets \
         this machine in (pg_hba.conf, firewall)",
    )
}

fn server(database: &Examined) -> Finding {
    const CHECK: &str = "database";
    let trip = database.round_trip;
    let trip_ms = trip.as_secs_f64() * 1_000.0;
    let name = match database.engine {
        Engine::Sqlite => "SQLite",
        Engine::Postgres => "Postgres",
    };
    let found = format!("{name} {} answers in {trip_ms:.2} ms", database.version);
    let major = database.version.split(['.', ' ']).next();
    let major: Option<u32> = major.and_then(|major| major.parse().ok());
    let is_old =
        database.engine == Engine::Postgres && major.is_some_and(|major| major < POSTGRES_TESTED);
    let finding = if trip > TRIP_TOO_SLOW {
        Finding::failed(
            CHECK,
            found,
            "leases cannot be renewed in time: put it nearer",
        )
    } else if is_old {
        Finding::warning(
            CHECK,
            found,
            format!("{POSTGRES_TESTED} and later are tested"),
        )
    } else if trip > TRIP_SLOW {
        Finding::warning(
            CHECK,
            found,
            "put it nearer to the nodes: each change takes several trips",
        )
    } else {
        Finding::ok(CHECK, found)
    };
    finding.with("round_trip_ms", trip_ms)
}

fn schema(database: &Examined) -> Finding {
    const CHECK: &str = "migrations";
    let Examined {
        migrated, known, ..
    } = *database;
    let finding = match migrated {
        0 => Finding::warning(
            CHECK,
            "the database is empty",
            "run `headwater admin bootstrap`, which makes tables, an organization, an owner and a key",
        ),
        _ if migrated < known => Finding::warning(
            CHECK,
            format!("the schema is at {migrated} of {known}"),
            "the next start of this version migrates it; take a copy of the database before",
        ),
        _ if migrated > known => Finding::failed(
            CHECK,
            format!("the schema is at {migrated}, this version knows {known}"),
            "a newer version has used it: install that one",
        ),
        _ => Finding::ok(CHECK, format!("the schema is at {migrated}, the newest")),
    };
    finding.with("migrated", migrated as f64)
}

fn clock(ahead_ms: i64) -> Finding {
    const CHECK: &str = "clock";
    const ADVICE: &str = "synchronize both machines' clocks: `timedatectl set-ntp true`";
    let side = if ahead_ms < 0 { "behind" } else { "ahead of" };
    let off_ms = ahead_ms.unsigned_abs();
    let found = format!("the database's clock is {off_ms} ms {side} this machine's");
    let finding = match off_ms {
        CLOCK_FAR_OFF_MS.. => Finding::failed(CHECK, found, ADVICE),
        CLOCK_OFF_MS.. => Finding::warning(CHECK, found, ADVICE),
        _ => Finding::ok(CHECK, found),
    };
    finding.with("clock_ahead_ms", ahead_ms as f64)
}

#[cfg(test)]
mod tests {
    use super::{super::report::Status, *};

    fn examined(version: &str, migrated: i64) -> Examined {
        Examined {
            engine: Engine::Postgres,
            version: version.into(),
            migrated,
            known: 7,
            round_trip: Duration::from_millis(1),
            clock_ahead_ms: 0,
            cluster_id: None,
            brokers: Vec::new(),
        }
    }

    #[test]
    fn what_is_old_new_or_empty_is_told() {
        let statuses = |version, migrated| -> Vec<_> {
            let findings = check(&examined(version, migrated));
            findings.iter().map(|finding| finding.status).collect()
        };
        use Status::{Failed, Ok, Warning};
        assert_eq!(statuses("16.2 (Debian 16.2-1)", 7), [Ok, Ok, Ok]);
        assert_eq!(statuses("13.4", 7), [Warning, Ok, Ok]);
        assert_eq!(statuses("17beta1", 0), [Ok, Warning, Ok]);
        assert_eq!(statuses("17.0", 6), [Ok, Warning, Ok]);
        assert_eq!(statuses("17.0", 8), [Ok, Failed, Ok]);
    }

    #[test]
    fn a_clock_that_is_off_is_told_in_both_directions() {
        let statuses = [0, -499, 501, -60_000].map(|ahead_ms| clock(ahead_ms).status);
        use Status::{Failed, Ok, Warning};
        assert_eq!(statuses, [Ok, Ok, Warning, Failed]);
        assert!(clock(-60_000).found.contains("behind"));
    }
}
