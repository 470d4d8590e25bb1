//! What goes wrong in a run, and how often.

use headwater_broker::replica::Rule;

use crate::{dice::Dice, store::Micros};

/// A thousandth of a second.
pub const MILLI: Micros = 1_000;
/// A second.
pub const SECOND: Micros = 1_000_000;

/// Something that happens to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A process is killed; the page cache stays.
    Kill,
    /// The power of one machine goes.
    PowerCut,
    /// The power of all goes at once.
    PowerCutAll,
    /// A process stands still for longer than its lease.
    Pause,
    /// One broker does not reach another, one way.
    CutOneWay,
    /// Two brokers do not reach each other.
    CutBothWays,
    /// One broker reaches no other.
    Isolate,
    /// One broker does not reach the metadata.
    CutFromStore,
    /// Nobody reaches the metadata.
    StoreDown,
    /// The metadata answers late.
    StoreStall,
    /// A disk is slow.
    SlowDisk,
    /// A sync fails, and the process ends.
    SyncFails,
    /// A broker is fenced, healthy or not.
    Fence,
    /// Another member of the in-sync set is elected for no reason.
    Elect,
    /// A copy is to move.
    Move,
    /// A broker believes to be the controller.
    Delusion,
    /// A disk is replaced by an empty one.
    DiskReplaced,
    /// A disk is replaced by an older copy of itself.
    DiskRestored,
    /// The oldest part of a log goes.
    Trim,
    /// Nobody reaches the object store.
    ObjectsDown,
    /// Who has a segment on its way is killed.
    KillUploader,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::Kill,
        Self::PowerCut,
        Self::PowerCutAll,
        Self::Pause,
        Self::CutOneWay,
        Self::CutBothWays,
        Self::Isolate,
        Self::CutFromStore,
        Self::StoreDown,
        Self::StoreStall,
        Self::SlowDisk,
        Self::SyncFails,
        Self::Fence,
        Self::Elect,
        Self::Move,
        Self::Delusion,
        Self::DiskReplaced,
        Self::DiskRestored,
        Self::Trim,
        Self::ObjectsDown,
        Self::KillUploader,
    ];
}

/// How a run goes. Chances are out of 10 000.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Faults and their weights.
    pub faults: Vec<(Fault, u64)>,
    /// The longest time between two of them.
    pub fault_gap: Micros,
    /// For how long things go wrong.
    pub faulty_for: Micros,
    /// A message between brokers is lost, and its connection with it.
    pub message_lost: u32,
    /// It comes twice.
    pub message_twice: u32,
    /// It is late by up to [`Profile::late_max`].
    pub message_late: u32,
    /// How late a message may be.
    pub late_max: Micros,
    /// A call to the metadata is lost.
    pub call_lost: u32,
    /// Its answer is lost.
    pub answer_lost: u32,
    /// It is late, and may be done after nobody waits for it any more.
    pub call_late: u32,
    /// A read of the metadata tells the past.
    pub stale_read: u32,
    /// A change of a row is told late, or to be found by the next poll.
    pub feed_late: u32,
    /// The object store fails a call.
    pub object_fails: u32,
    /// It stores an object, and the answer is lost.
    pub object_unheard: u32,
    /// It does not answer in time; what was to be stored may be stored later.
    pub object_hangs: u32,
    /// It says that an object is stored, and lacks the end of it.
    pub object_torn: u32,
    /// How long an object takes to be stored at most.
    pub put_max: Micros,
    /// How long a sync takes at most on a good disk.
    pub sync_max: Micros,
    /// How long a broker that went is away at most.
    pub down_max: Micros,
    /// The pause between a producer's batches at most.
    pub produce_gap: Micros,
}

impl Profile {
    /// One that differs from seed to seed: every run leaves some faults out, so that what they would
    /// cover up is seen as well.
    pub fn mixed(dice: &mut Dice) -> Self {
        let mut faults = Vec::new();
        for fault in Fault::ALL {
            let rare = matches!(
                fault,
                Fault::PowerCutAll | Fault::StoreDown | Fault::StoreStall
            );
            let most = if rare { 4 } else { 10 };
            if dice.chance(6_500) {
                faults.push((fault, dice.between(1, most)));
            }
        }
        if faults.is_empty() {
            faults.push((Fault::PowerCut, 1));
        }
        let mut often = |most: u64| match dice.chance(5_000) {
            true => dice.below(most) as u32,
            false => 0,
        };
        let (message_lost, message_twice, message_late) = (often(150), often(300), often(400));
        let (call_lost, answer_lost, call_late) = (often(600), often(600), often(800));
        let (stale_read, feed_late) = (often(3_000), often(5_000));
        let (object_fails, object_unheard) = (often(1_000), often(1_000));
        let (object_hangs, object_torn) = (often(1_000), often(1_000));
        Self {
            faults,
            fault_gap: dice.between(300, 2_500) * MILLI,
            faulty_for: dice.between(10, 25) * SECOND,
            message_lost,
            message_twice,
            message_late,
            late_max: dice.between(100, 6_000) * MILLI,
            call_lost,
            answer_lost,
            call_late,
            stale_read,
            feed_late,
            object_fails,
            object_unheard,
            object_hangs,
            object_torn,
            put_max: dice.between(10, 1_000) * MILLI,
            sync_max: dice.between(1, 40) * MILLI,
            down_max: dice.between(200, 5_000) * MILLI,
            produce_gap: dice.between(20, 200) * MILLI,
        }
    }

    /// One in which a rule's absence shows more often than it would by chance.
    pub fn against(rule: Rule, dice: &mut Dice) -> Self {
        let mut profile = Self::mixed(dice);
        let more: &[Fault] = match rule {
            // Two leaders of different terms, and messages that outlive a term.
            Rule::Epoch => {
                profile.message_late = 600;
                profile.feed_late = 5_000;
                &[Fault::Elect, Fault::CutFromStore, Fault::SlowDisk]
            }
            Rule::Echo => {
                (profile.message_late, profile.message_twice) = (600, 600);
                &[Fault::Elect, Fault::PowerCut, Fault::CutOneWay]
            }
            // Messages that outlive a process whose disk is lost.
            Rule::FollowerIncarnation => {
                (profile.message_late, profile.late_max) = (600, 4 * SECOND);
                profile.down_max = 300 * MILLI;
                &[Fault::DiskReplaced, Fault::DiskRestored, Fault::PowerCut]
            }
            Rule::SeenEpoch => {
                profile.stale_read = 5_000;
                &[Fault::Elect, Fault::Kill]
            }
            Rule::JoinAtEpochStart => &[
                Fault::Elect,
                Fault::SlowDisk,
                Fault::CutBothWays,
                Fault::Move,
            ],
            // A publish that comes late: after an election, or after another look.
            Rule::SegmentInTerm | Rule::SegmentIsNext => {
                (profile.call_late, profile.put_max) = (1_500, 300 * MILLI);
                &[Fault::Elect, Fault::StoreStall]
            }
            Rule::SegmentVerified => {
                profile.object_torn = 1_000;
                &[]
            }
            Rule::IntentsAbandoned => &[Fault::KillUploader, Fault::Elect],
            // A leader that hears late that it was replaced.
            Rule::ConfirmedReads => {
                profile.feed_late = 5_000;
                &[Fault::Elect, Fault::CutFromStore, Fault::Isolate]
            }
            Rule::ElectInSync => &[Fault::Fence, Fault::Isolate, Fault::Pause],
            _ => &[],
        };
        profile.faults.extend(more.iter().map(|fault| (*fault, 12)));
        profile
    }
}
