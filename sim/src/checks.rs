//! What must hold across copies and metadata, whenever it could have changed.

use headwater_broker::{
    BrokerId,
    replica::{Assignment, ReplicaLog, Rule},
};

use crate::{
    profile::SECOND,
    truth::broken,
    world::{World, note},
};

impl World {
    /// A replica's high watermark moved.
    pub(crate) fn check_watermark(&mut self, id: BrokerId, partition: usize, to: u64, leads: bool) {
        let log = &self.brokers[id as usize - 1].disk.parts[partition].log;
        let synced = log.synced_end();
        if to > synced {
            let what =
                format!("b{id} p{partition} has {synced} on its disk, and says {to} is committed");
            self.check(Err(broken("high watermark, durable end, end", what)));
        }
        let log = &self.brokers[id as usize - 1].disk.parts[partition].log;
        if !leads {
            // What a leader of it has committed may be news only to the truth's chain, never other.
            let (own, known) = (
                log.memory().chain_at(to),
                self.truths[partition].chain_at(to),
            );
            if own != known {
                let what = format!("b{id} p{partition} follows, and holds another log below {to}");
                self.check(Err(broken("one value per offset", what)));
            }
            return;
        }
        let kept = self.truths[partition].committed(log.memory(), to);
        self.check(kept);
        self.check_copies(partition);
        self.check_members(partition);
    }

    /// What is committed has been synced on as many disks as was promised. Disks that were lost since
    /// do not count against it.
    fn check_copies(&mut self, partition: usize) {
        let truth = &self.truths[partition];
        let (end, chain) = (truth.end(), truth.chain());
        let least = self.store.rows()[partition].min_insync_replicas;
        let now = self.now;
        let copies = self.brokers.iter().filter(|broker| {
            let lost = broker.lost_at.is_some_and(|at| now - at < 15 * SECOND);
            lost || broker.disk.parts[partition].log.survives(end, chain)
        });
        let copies = copies.count();
        if copies < least {
            let what =
                format!("p{partition} is committed up to {end} on {copies} disks, of {least}");
            self.check(Err(broken("enough copies", what)));
        }
    }

    /// Every member of the in-sync set, as the metadata has it, has everything that is committed on its
    /// disk.
    pub(crate) fn check_members(&mut self, partition: usize) {
        let truth = &self.truths[partition];
        let (end, chain) = (truth.end(), truth.chain());
        let row = &self.store.rows()[partition];
        let lacks = row.in_sync.iter().find(|member| {
            let broker = &self.brokers[**member as usize - 1];
            let log = &broker.disk.parts[partition].log;
            !broker.lost_until_registered && !log.survives(end, chain)
        });
        if let Some(member) = lacks {
            let synced = self.brokers[*member as usize - 1].disk.parts[partition]
                .log
                .synced_end();
            let what = format!(
                "b{member} is in sync in p{partition}, where {end} is committed, and has {synced} on its disk: {row:?}"
            );
            self.check(Err(broken("members have what is committed", what)));
        }
    }

    /// A row was written.
    pub(crate) fn check_row(&mut self, partition: usize, before: &Assignment) {
        let row = self.store.rows()[partition].clone();
        note!(self, "p{partition} row {row:?}");
        if row.epoch < before.epoch || row.partition_epoch <= before.partition_epoch {
            let what = format!("p{partition}: {before:?} became {row:?}");
            self.check(Err(broken("epochs never fall", what)));
        }
        let led = row.leader.is_none_or(|l| row.in_sync.contains(&l.broker));
        if !led {
            let what = format!("p{partition} is led by one that is not in sync: {row:?}");
            self.check(Err(broken("the leader is in sync", what)));
        }
        if row.target.is_none() && before.target.is_some() {
            self.counts.moved += 1;
        }
        self.check_members(partition);
    }

    /// Whether a rule is left out.
    pub(crate) fn lacks(&self, rule: Rule) -> bool {
        !self.rules.hold(rule)
    }

    /// What is not well yet.
    pub(crate) fn ailment(&mut self) -> Option<String> {
        for partition in 0..self.truths.len() {
            if let Some(what) = self.partition_ailment(partition) {
                return Some(format!("p{partition}: {what}"));
            }
        }
        let waits = self
            .clients
            .iter()
            .position(|client| !client.ops.is_empty());
        waits.map(|client| format!("producer {client} waits: {:?}", self.clients[client].ops))
    }

    fn partition_ailment(&mut self, partition: usize) -> Option<String> {
        let row = self.store.rows()[partition].clone();
        let Some(leader) = row.leader else {
            return Some(format!("nobody leads: {row:?}"));
        };
        let mut members = row.in_sync.clone();
        let mut replicas = row.replicas.clone();
        members.sort_unstable();
        replicas.sort_unstable();
        if members != replicas || row.target.is_some() {
            return Some(format!("not all are in sync: {row:?}"));
        }
        let (part, disk) = self.broker(leader.broker).part(partition)?;
        let settled = part.replica.is_settled(&disk.log);
        let leads = part.replica.leads_in();
        let start = disk.log.starts().log;
        let (hw, end, chain) = (
            part.replica.high_watermark(),
            disk.log.end(),
            disk.log.memory().chain_at(disk.log.end()),
        );
        if leads != Some(row.epoch) || !settled || hw != end {
            return Some(format!(
                "the leader b{} leads {leads:?}, settled {settled}, hw {hw} of {end}: {row:?}",
                leader.broker
            ));
        }
        for id in replicas {
            let Some((part, disk)) = self.broker(id).part(partition) else {
                return Some(format!("b{id} is away"));
            };
            let own = (
                disk.log.end(),
                disk.log.memory().chain_at(end),
                part.replica.high_watermark(),
            );
            if own != (end, chain, hw) {
                let own = (own.0, own.2);
                return Some(format!("b{id} has (end, hw) {own:?} of {:?}", (end, hw)));
            }
            // It may have forgotten more, by the word of an earlier leader.
            let own = disk.log.starts().log;
            if own < start {
                return Some(format!("b{id} begins at {own}, its leader at {start}"));
            }
        }
        self.tiers_ailment(leader.broker, partition)
    }
}
