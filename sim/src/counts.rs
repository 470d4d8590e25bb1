//! What was reached: a run in which nothing happened proves nothing.

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident: $text:literal,)*) => {
        /// How often what happened.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counts {
            /// Each with its name.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$(($text, self.$name),)*]
            }

            /// Adds those of another run.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counts! {
    /// Events.
    events: "events",
    /// Terms that began.
    elections: "elections",
    /// Members that left an in-sync set by their leader's word.
    shrinks: "in-sync sets made smaller",
    /// Members that joined one.
    expansions: "in-sync sets made larger",
    /// Changes of an in-sync set of which nobody knew whether they were made.
    changes_unknown: "changes of in-sync sets with unknown outcome",
    /// Followers that removed records.
    truncations: "truncations of records",
    /// Followers that began anew where their leader's log begins.
    restarts: "logs begun anew",
    /// Processes that were killed.
    kills: "processes killed",
    /// Power cuts.
    power_cuts: "power cuts",
    /// Power cuts in which records were lost.
    power_cuts_with_loss: "power cuts that lost unsynced records",
    /// Disks that were replaced by an empty one.
    disks_replaced: "disks replaced",
    /// Disks that were replaced by an older copy.
    disks_restored: "disks replaced by older copies",
    /// Acknowledgements.
    acks: "acknowledgements",
    /// Batches that came again and were in the log already.
    duplicates: "duplicates answered",
    /// Tries of which the producer did not hear.
    unknown: "produces with unknown outcome",
    /// Batches given up after a definite refusal.
    refused: "produces refused for good",
    /// Sessions given up with batches that nobody knows of.
    abandoned: "producers that gave up",
    /// Reads that were answered.
    reads: "reads answered",
    /// Strong reads that were answered,
    strong_reads: "strong reads answered",
    /// and those whose leader was none any more before they were confirmed.
    strong_reads_refused: "strong reads refused",
    /// Moves that were begun.
    moves: "moves of copies begun",
    /// Moves that were done.
    moved: "moves of copies done",
    /// Copies that were deleted after they had moved away.
    deleted: "copies deleted",
    /// Answers that a follower did not take.
    stale_answers: "answers not taken",
    /// Rows that were older than what a replica knew.
    stale_rows: "rows not taken",
    /// Logs that were trimmed.
    trims: "logs trimmed",
    /// Segments that went live.
    offloads: "segments live in the store",
    /// Publishes that came after their term, or after their intent was given up.
    publishes_fenced: "publishes fenced",
    /// Publishes of which nobody knew whether they were done.
    publishes_unknown: "publishes with unknown outcome",
    /// Other steps that came after their term.
    steps_fenced: "other steps of segments fenced",
    /// Segments that did not begin where the last one ended.
    not_next: "segments that were not next",
    /// Intents that were given up.
    abandoned_intents: "intents abandoned",
    /// Objects that were written while another leader wrote one of the same partition.
    puts_at_once: "objects written by two leaders at once",
    /// Objects that were not written.
    puts_failed: "objects not written",
    /// Objects that were, and the answer was lost.
    puts_unheard: "objects written without an answer",
    /// Objects of which the store said nothing in time.
    puts_hung: "objects given up while they were written",
    /// Objects of which the store kept a part.
    puts_torn: "objects written in part",
    /// Objects that were not what was written, when they were read back.
    puts_refuted: "objects refuted when read back",
    /// Processes that ended while a name was noted,
    ends_at_intent: "leaders ended at an intent",
    /// while an object was written,
    ends_at_put: "leaders ended while they wrote an object",
    /// while it was read back,
    ends_at_verify: "leaders ended while they read it back",
    /// while a row was to go live,
    ends_at_publish: "leaders ended at a publish",
    /// and while what was live was on the disk still.
    ends_before_drop: "leaders ended before what is live left the disk",
    /// Rows that compaction put into the place of others.
    compactions: "segments compacted",
    /// Batches that compaction left out.
    batches_compacted: "batches left out by compaction",
    /// Reads of what compaction had left out.
    compacted_reads: "reads of what was compacted",
    /// Processes that ended while a compaction looked what there is,
    ends_at_plan: "leaders ended while they planned a compaction",
    /// while it noted a name,
    ends_at_compaction_intent: "leaders ended at the intent of a compaction",
    /// while it wrote an object,
    ends_at_compaction_put: "leaders ended while they wrote a compacted object",
    /// while it read that back,
    ends_at_compaction_verify: "leaders ended while they read a compacted object back",
    /// while rows were to be replaced,
    ends_at_replace: "leaders ended while they replaced rows",
    /// and while objects were to be deleted.
    ends_at_delete: "controllers ended while they deleted objects",
    /// Times a leader's disk let go of what is live.
    drops: "local parts dropped by leaders",
    /// Times a follower's did.
    drops_following: "local parts dropped by followers",
    /// Logs begun where the leader's disk begins, behind its log's start.
    restarts_behind: "logs begun anew behind what is in the store",
    /// Terms of leaders that have not all of the log on their disk.
    elections_behind: "elections of disks that begin behind the log's start",
    /// Records that were read from the store.
    cold_reads: "records read from the store",
    /// Records that could not be read from there for a while.
    cold_reads_failed: "cold reads that failed",
    /// Reads of what another leader had trimmed.
    trimmed_reads: "reads of what was trimmed elsewhere",
    /// Leaders that learnt from rows where their log starts.
    starts_learnt: "log starts learnt from rows",
    /// Rows of trimmed records that were doomed.
    retired: "segments retired",
    /// Objects that were deleted.
    objects_deleted: "objects deleted",
    /// Objects that no row knows of at the end of a run.
    strays: "strays left for a sweep",
    /// Times the controller was believed to be two.
    delusions: "second controllers",
}
