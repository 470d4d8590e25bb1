//! All limits of the service in one place; the OpenAPI documents print them.

use std::time::Duration;

/// A segment's size, in bytes: smallest, default, largest.
pub const SEGMENT_BYTES: (u64, u64, u64) = (64 << 10, 256 << 20, 1 << 30);
/// A record's key, value and headers, in bytes: default and ceiling of `max_record_bytes`.
pub const RECORD_BYTES: (u64, u64) = (1 << 20, 8 << 20);
/// A record's key, in bytes.
pub const KEY_BYTES_MAX: usize = 32 << 10;
/// Headers of a record.
pub const RECORD_HEADERS_MAX: usize = 64;
/// Records of one JSON request.
pub const RECORDS_MAX: usize = 10_000;
/// Nesting of JSON.
pub const JSON_DEPTH_MAX: usize = 64;
/// A request body after inflating, in bytes.
pub const BODY_BYTES_MAX: usize = 8 << 20;
/// A body of the calls that manage things, in bytes.
pub const SMALL_BODY_BYTES_MAX: usize = 64 << 10;
/// Partitions of one topic; quotas may allow fewer.
pub const PARTITIONS_MAX: u32 = 1_000;
/// A topic's name, in bytes.
pub const NAME_BYTES_MAX: usize = 249;
/// A topic's description, in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 1_024;
/// An `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// Records of one fetch: default and ceiling.
pub const FETCH_RECORDS: (usize, usize) = (500, 10_000);
/// Bytes of one fetch's answer: default and ceiling.
pub const FETCH_BYTES: (usize, usize) = (1 << 20, 16 << 20);
/// How long a fetch may wait.
pub const FETCH_WAIT_MAX: Duration = Duration::from_secs(60);
/// Bytes of one event of a tail.
pub const TAIL_BYTES_MAX: usize = 128 << 10;
/// Silence after which a tail sends a heartbeat.
pub const TAIL_HEARTBEAT: Duration = Duration::from_secs(15);
/// A page of a list: default and ceiling.
pub const PAGE_SIZE: (usize, usize) = (100, 1_000);
/// Lines of one run of a bulk load.
pub const BULK_RUN_RECORDS_MAX: usize = 2_000;
/// Bytes of one run of a bulk load.
pub const BULK_RUN_BYTES_MAX: usize = 512 << 10;
/// Lines of one run of a bulk load with an `Idempotency-Key`: there, runs are cut by lines and bytes
/// alone, never by what happens to have come, so that a repeat is cut alike.
pub const BULK_KEYED_RUN_RECORDS: usize = 500;
/// Batches of one produce stream that wait for the log at the same time.
pub const PRODUCE_STREAM_BATCHES_MAX: usize = 64;
/// Bytes of batches of one produce stream above which no more is read until some are answered.
pub const PRODUCE_STREAM_BYTES_MAX: usize = 4 << 20;
/// A partition's number in a request, whether or not the topic has it.
pub const PARTITION_NUMBER_MAX: u64 = i32::MAX as u64;
/// A record's timestamp in milliseconds since the epoch: the last that RFC 3339 can write.
pub const TIMESTAMP_MS_MAX: u64 = 253_402_300_799_999;
/// How often a health check that watches looks again.
pub const HEALTH_WATCH: Duration = Duration::from_secs(5);
/// Health checks that watch at the same time.
pub const HEALTH_WATCHERS_MAX: usize = 64;
/// Request bytes in memory over all connections; more wait, then are told 503.
pub const IN_FLIGHT_BYTES_MAX: usize = 64 << 20;
/// Bytes of pages that are being sent, over all connections.
pub const PAGE_BYTES_MAX: usize = 96 << 20;
/// How long a client may leave what was sent to it unread before the connection is cut.
pub const UNREAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a request waits for memory.
pub const IN_FLIGHT_WAIT: Duration = Duration::from_secs(2);
/// Open connections.
pub const CONNECTIONS_MAX: usize = 10_000;
/// How long a connection may take to send a request's headers, and stay idle between requests.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a TLS handshake may take, a turn among others included.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// TLS handshakes of one listener at the same time; others wait for a turn.
pub const TLS_HANDSHAKES_MAX: usize = 1_024;
/// How often files of certificates are looked at; SIGHUP has it done at once.
pub const CERTIFICATE_POLL: Duration = Duration::from_secs(10);
/// Silence after which a request's body is given up.
pub const BODY_IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes a second below which a body is given up, after [`BODY_IDLE_TIMEOUT`].
pub const BODY_BYTES_PER_SECOND_MIN: usize = 4 << 10;
/// How long operators wait for a broker to say what it holds.
pub const HOLDINGS_WAIT: Duration = Duration::from_secs(2);
/// How long a stop waits for requests in flight.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);
/// Partitions of a topic that are asked for a key at once.
pub const KEY_PARTITIONS_AT_ONCE: usize = 16;
/// How long a call waits for a partition to have a leader that answers.
pub const LEADER_WAIT: Duration = Duration::from_secs(10);
/// The first and the longest pause between two looks for a leader.
pub const LEADER_RETRY: (Duration, Duration) =
    (Duration::from_millis(10), Duration::from_millis(200));
/// How often a node asks what changed in the metadata. A revoked key lives on for as long at most.
pub const METADATA_POLL: Duration = Duration::from_millis(1_000);
/// How long callers are let in on what was known of them while the metadata database is away.
pub const METADATA_OUTAGE_MAX: Duration = Duration::from_secs(15 * 60);
/// How often what every node has heard of is forgotten.
pub const METADATA_PRUNE: Duration = Duration::from_secs(3_600);
/// How long the metadata database may take to answer.
pub const METADATA_TIMEOUT: Duration = Duration::from_secs(10);
/// How long ended sessions are remembered: longer than their access tokens live, with leeway.
pub const ENDED_SESSIONS_KEPT: Duration = Duration::from_secs(20 * 60);
/// How long a session lasts that nobody ends; each refresh token of it is used once.
pub const SESSION_LIFE: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How long a sign-in through an identity provider may take.
pub const OIDC_LIFE: Duration = Duration::from_secs(10 * 60);
/// People whom identity providers are asked about at the same time.
pub const OIDC_AT_ONCE: usize = 64;
/// Where a browser goes after it signed in, in bytes.
pub const OIDC_REDIRECT_BYTES_MAX: usize = 512;
/// How often a node makes itself a new key to sign with.
pub const SIGNING_KEY_ROTATION: Duration = Duration::from_secs(24 * 3_600);
/// How long an invitation is open.
pub const INVITATION_LIFE: Duration = Duration::from_secs(7 * 24 * 3_600);
/// A password, in characters: shortest and longest.
pub const PASSWORD_LENGTH: (usize, usize) = (12, 256);
/// Passwords that are hashed at the same time, at most; a quarter of the processors.
pub const PASSWORDS_AT_ONCE: usize = 4;
/// How long a sign-in waits for its turn to be hashed.
pub const PASSWORD_WAIT: Duration = Duration::from_secs(5);
/// How often something may happen, such as somebody being wrong.
#[derive(Debug, Clone, Copy)]
pub struct Tries {
    /// So many times,
    pub wrong_max: u32,
    /// in a window of this length.
    pub window: Duration,
}
/// Wrong passwords for one user from one address.
pub const WRONG_PASSWORDS: Tries = Tries {
    wrong_max: 10,
    window: Duration::from_secs(15 * 60),
};
/// Wrong keys, invitations and passwords from one address.
pub const WRONG_CREDENTIALS: Tries = Tries {
    wrong_max: 300,
    window: Duration::from_secs(60),
};
/// Addresses that are remembered for having been wrong.
pub const GUESSERS_MAX: usize = 10_000;
/// How long a key that was good is let in although somebody guesses from its address.
pub const KEY_REMEMBERED: Duration = Duration::from_secs(15 * 60);
/// How exactly `last_used_at` is noted.
pub const KEY_USE_NOTED: Duration = Duration::from_secs(30);
/// Organizations of one user.
pub const ORGANIZATIONS_MAX: i64 = 100;
/// Organizations that one user makes in [`ORGANIZATIONS_MADE_IN`]: their ids are never given again.
pub const ORGANIZATIONS_MADE_MAX: i64 = 20;
/// In how long.
pub const ORGANIZATIONS_MADE_IN: Duration = Duration::from_secs(24 * 3_600);
/// Projects of one organization.
pub const PROJECTS_MAX: i64 = 1_000;
/// Members of one organization, and invitations to it.
pub const MEMBERS_MAX: i64 = 10_000;
/// Keys of one project.
pub const KEYS_MAX: i64 = 10_000;
/// Scopes of one key.
pub const SCOPES_MAX: usize = 64;
/// Issuers that one organization trusts, and rules of each.
pub const ISSUERS_MAX: usize = 20;
/// A name for people, in characters.
pub const TITLE_LENGTH_MAX: usize = 200;
/// How long audit events are kept.
pub const AUDIT_KEPT: Duration = Duration::from_secs(400 * 24 * 3_600);
/// Notes of refusals and of used keys that wait to be written; more are counted and dropped.
pub const NOTES_MAX: usize = 4_096;
/// How often usage is written down: what a crash loses of it at most.
pub const USAGE_FLUSH: Duration = Duration::from_secs(3);
/// How long a look at what every topic has stored is spread over.
pub const USAGE_SWEEP: Duration = Duration::from_secs(60);
/// Rows of usage in one transaction.
pub const USAGE_BATCH: usize = 500;
/// Points of one answer about usage.
pub const USAGE_POINTS_MAX: usize = 10_000;
/// How long usage is kept.
pub const USAGE_KEPT: Duration = Duration::from_secs(400 * 24 * 3_600);
/// How often it is measured how much a tenant with a quota of it stores.
pub const STORED_BYTES_MEASURED: Duration = Duration::from_secs(2);
/// When to ask again where a quota is nothing at all: it may have been raised.
pub const QUOTA_RETRY: Duration = Duration::from_secs(60);
/// How long a tail or a bulk load that waits for its quota sleeps before it looks whether it still may.
pub const QUOTA_SLEEP_MAX: Duration = Duration::from_secs(1);
/// How long a node counts as crowded after another organization called: who calls now and then finds it
/// ready too.
pub const CROWDED_FOR: Duration = Duration::from_secs(10);
/// What one organization may have under way on a crowded node, in units of [`TURN_BYTES`]. It is what
/// one sync of the journal has to write for it, and others wait for.
pub const TURNS: usize = 16;
/// Bytes of a unit; a request is one unit at least.
pub const TURN_BYTES: usize = 16 << 10;
/// What a fetch counts for, whose bytes are not known beforehand.
pub const TURN_FETCH_BYTES: usize = 4 * TURN_BYTES;
/// Calls about quotas that an organization has a second when its quota of requests is used up.
pub const QUOTA_CALLS_PER_SECOND: u64 = 10;
/// Calls about no organization that one caller has a second, such as `GET /v1/me`.
pub const CALLS_AT_LARGE_PER_SECOND: u64 = 50;
/// Organizations that `GET /v1/me` shows, and projects of all of them together.
pub const ME_SHOWN_MAX: usize = 1_000;
/// How long a change of metadata waits for those before it.
pub const CHANGE_WAIT: Duration = Duration::from_secs(6);
/// Topics whose data is removed before their deletion is answered; more go in the background.
pub const REMOVED_AT_ONCE: usize = 16;
/// Denied calls of one organization that are written down; others are counted in the service's log.
pub const DENIED: Tries = Tries {
    wrong_max: 200,
    window: Duration::from_secs(10),
};
/// Organizations whose logs one refusal is written into, of a caller who is in many.
pub const DENIED_LOGS_MAX: usize = 5;
/// How often notes are tried to be written while the metadata database is away.
pub const NOTE_TRIES: usize = 20;
/// A member's lease, in milliseconds: shortest, default, longest.
pub const GROUP_LEASE_MS: (u32, u32, u32) = (10_000, 45_000, 300_000);
/// Topics of one group.
pub const GROUP_TOPICS_MAX: usize = 100;
/// How often a poll that waits renews its member's lease, and hears whether partitions are to move.
pub const GROUP_RENEWAL: Duration = Duration::from_secs(1);
/// A poll that waited for longer asks whether its member is still the one before it hands records out.
pub const GROUP_FENCED_WITHIN: Duration = Duration::from_millis(50);
/// Groups of a list, or partitions of one, that are asked about at once.
pub const GROUPS_AT_ONCE: usize = 16;
/// Partitions whose oldest uncommitted record is looked at at once: one batch of each.
pub const GROUP_AGES_AT_ONCE: usize = 16;
/// Bytes of those batches.
pub const GROUP_AGE_BYTES: usize = 4 << 20;
/// How often a worker that waits asks again when another one waits for records.
pub const LEASE_PAUSE: Duration = Duration::from_millis(100);
/// How long a worker waits for records before it asks again what else there may be. Nobody else is asked
/// for them meanwhile, for about as long.
pub const OFFER_WAIT: Duration = Duration::from_millis(900);
/// Bytes of records that are read to tell a coordinator of them.
pub const OFFER_BYTES: usize = 4 << 20;
/// Records of a lease: default, ceiling.
pub const LEASE_RECORDS: (usize, usize) = (100, 1_000);
/// Leases that one call settles.
pub const SETTLE_LEASES_MAX: usize = 1_000;
/// A settlement's body, in bytes: as many leases, with reasons.
pub const SETTLE_BODY_BYTES_MAX: usize = 1 << 20;
/// The longest delay of a nack, in milliseconds: a day.
pub const NACK_DELAY_MS_MAX: u32 = 86_400_000;
/// How often a record is tried, where a group does not say, and the most.
pub const GROUP_ATTEMPTS: (u32, u32) = (5, 1_000);
/// Dead letters that are written in one go, and of these at once.
pub const DEAD_LETTERS_MAX: usize = 100;
/// See [`DEAD_LETTERS_MAX`].
pub const DEAD_LETTERS_AT_ONCE: usize = 8;
/// Groups whose dead letters a node writes at once, of those that its broker coordinates.
pub const DEAD_LETTER_GROUPS_AT_ONCE: usize = 8;
/// Letters that one call of a redrive moves: default, ceiling.
pub const REDRIVE_RECORDS: (usize, usize) = (500, 1_000);
/// How fast a redrive may be asked to be, in records a second.
pub const REDRIVE_RATE_MAX: u32 = 100_000;
/// How long one call of a redrive moves letters.
pub const REDRIVE_TIME: Duration = Duration::from_secs(10);
/// Bytes of the dead-letter topic that one call of a redrive reads.
pub const REDRIVE_SCAN_BYTES: usize = 32 << 20;
/// Bytes and records that a redrive reads at once.
pub const REDRIVE_READ_BYTES: usize = 1 << 20;
/// See [`REDRIVE_READ_BYTES`].
pub const REDRIVE_READ_RECORDS: usize = 1_000;
/// Letters that a redrive moves before it notes that they are, and of these at once.
pub const REDRIVE_CHUNK: usize = 100;
/// See [`REDRIVE_CHUNK`].
pub const REDRIVE_AT_ONCE: usize = 16;
/// Places that the filter of a redrive names.
pub const REDRIVE_PLACES_MAX: usize = 1_000;
/// A poll's body, in bytes: two cursors of a member that owns all that a group can have.
pub const POLL_BODY_BYTES_MAX: usize = 4 << 20;
/// Largest offset that JSON carries without loss.
pub const OFFSET_MAX: u64 = (1 << 53) - 1;
