//! The rules that promises rest on, by name: of replicas, and of segments in the object store.

use std::time::Duration;

/// A rule of which some promise is lost if it is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// A leader compares the epoch of the follower's last batch, and where it ended, with its own
    /// history before it counts anything or sends anything.
    Divergence,
    /// Messages of another epoch than the receiver's are refused, both ways.
    Epoch,
    /// A follower drops answers that are not of its last fetch, or no longer fit its log.
    Echo,
    /// A follower that becomes one keeps its log until a leader says where they part; it does not cut
    /// it at its high watermark.
    NoTruncationByWatermark,
    /// What is on stable storage counts, not what is in memory.
    Durable,
    /// The high watermark counts members that are being added, before the metadata says so.
    PendingAdditions,
    /// The high watermark counts members that are being removed, until the metadata says so.
    RemovalsOnceSeen,
    /// A follower joins the in-sync set only if it has everything that is committed,
    JoinAtHighWatermark,
    /// and everything that the leader had when its term began.
    JoinAtEpochStart,
    /// Nothing is appended, committed or removed from the in-sync set below `min_insync_replicas`.
    MinInSync,
    /// Progress of an earlier life of a follower does not count, and it is not added.
    FollowerIncarnation,
    /// A leader that was restarted does not go on in its old term.
    LeaderIncarnation,
    /// A broker refuses epochs below the highest that it has seen, also after a restart.
    SeenEpoch,
    /// A new leader answers no read before everything of earlier terms is committed.
    ReadAtEpochStart,
    /// A strong read waits until all who may lead by now have confirmed that they follow.
    ConfirmedReads,
    /// Only a member of the in-sync set is elected.
    ElectInSync,
    /// A broker whose disk is another, or an older copy, leaves all in-sync sets when it registers.
    LostDisk,
    /// What recovery keeps is synced before it is reported or served.
    SyncOnRecovery,
    /// A batch that a producer sends again is found in the log, also by a new leader.
    ProducerWindow,
    /// Rows of segments are written while their writer's term lasts.
    SegmentInTerm,
    /// A segment begins where the last one ended.
    SegmentIsNext,
    /// Only what is committed is uploaded.
    SegmentCommitted,
    /// An object is read back before its row goes live.
    SegmentVerified,
    /// What was intended before is given up before anything is uploaded.
    IntentsAbandoned,
    /// Compaction leaves out only what a later record in the store supersedes.
    KeysInStore,
    /// Copies leave disks only once they are live in the store.
    DropOnceLive,
    /// A log starts no earlier than what is in one of the tiers.
    StartInTiers,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 27] = [
        Self::Divergence,
        Self::Epoch,
        Self::Echo,
        Self::NoTruncationByWatermark,
        Self::Durable,
        Self::PendingAdditions,
        Self::RemovalsOnceSeen,
        Self::JoinAtHighWatermark,
        Self::JoinAtEpochStart,
        Self::MinInSync,
        Self::FollowerIncarnation,
        Self::LeaderIncarnation,
        Self::SeenEpoch,
        Self::ReadAtEpochStart,
        Self::ConfirmedReads,
        Self::ElectInSync,
        Self::LostDisk,
        Self::SyncOnRecovery,
        Self::ProducerWindow,
        Self::SegmentInTerm,
        Self::SegmentIsNext,
        Self::SegmentCommitted,
        Self::SegmentVerified,
        Self::IntentsAbandoned,
        Self::KeysInStore,
        Self::DropOnceLive,
        Self::StartInTiers,
    ];
}

/// Which rules hold, and how patient a leader is.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// How long a member of the in-sync set may be behind, or silent, before it is asked to leave.
    pub lag_max: Duration,
    #[cfg(feature = "ablation")]
    ablated: Option<Rule>,
}

impl Rules {
    /// All rules.
    pub fn new(lag_max: Duration) -> Self {
        Self {
            lag_max,
            #[cfg(feature = "ablation")]
            ablated: None,
        }
    }

    /// All but one: to see whether anybody notices.
    #[cfg(feature = "ablation")]
    pub fn without(self, rule: Rule) -> Self {
        Self {
            ablated: Some(rule),
            ..self
        }
    }

    /// Whether a rule is to be kept. Outside of a simulation it always is.
    #[cfg(feature = "ablation")]
    pub fn hold(&self, rule: Rule) -> bool {
        self.ablated != Some(rule)
    }

    /// Whether a rule is to be kept. Outside of a simulation it always is.
    #[cfg(not(feature = "ablation"))]
    pub const fn hold(&self, _rule: Rule) -> bool {
        true
    }
}
