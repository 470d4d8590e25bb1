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
    /// Times the controller was believed to be two.
    delusions: "second controllers",
}
