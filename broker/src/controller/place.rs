//! Where the copies of new partitions go.

use std::fmt;

use crate::placement::BrokerId;

/// What a broker has to carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerLoad {
    /// The broker.
    pub id: BrokerId,
    /// Where it stands.
    pub rack: Option<String>,
    /// Partitions that it leads by preference.
    pub leaders: u64,
    /// Copies on it.
    pub replicas: u64,
    /// Bytes of them, as far as they are known.
    pub bytes: u64,
    /// Whether it may be given more.
    pub takes: bool,
}

/// There are not as many brokers as a partition is to have copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooFewBrokers {
    /// Brokers that may be given more.
    pub brokers: usize,
}

impl fmt::Display for TooFewBrokers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there are {} brokers that can hold a copy", self.brokers)
    }
}

impl std::error::Error for TooFewBrokers {}

/// Places so many new partitions: for each the brokers of its copies, the preferred leader first.
/// Leaders and copies are spread evenly over brokers, the copies of one partition over racks. The
/// load is counted on as partitions are placed.
///
/// # Errors
/// There are fewer brokers than copies.
pub fn place(
    brokers: &mut [BrokerLoad],
    partitions: usize,
    replication_factor: usize,
) -> Result<Vec<Vec<BrokerId>>, TooFewBrokers> {
    let takers = brokers.iter().filter(|broker| broker.takes).count();
    if takers < replication_factor {
        return Err(TooFewBrokers { brokers: takers });
    }
    let placed = (0..partitions).map(|_| {
        let mut replicas = Vec::with_capacity(replication_factor);
        while replicas.len() < replication_factor
            && let Some(broker) = pick(brokers, &replicas, replicas.is_empty())
        {
            let load = &mut brokers[broker];
            load.leaders += u64::from(replicas.is_empty());
            load.replicas += 1;
            replicas.push(load.id);
        }
        replicas
    });
    Ok(placed.collect())
}

/// The place in the list of the broker that should get a copy beside those of `members`; it `leads` by
/// preference, or does not. `None` if nobody is left who takes it.
pub(super) fn pick(brokers: &[BrokerLoad], members: &[BrokerId], leads: bool) -> Option<usize> {
    let free = |place: &usize| brokers[*place].takes && !members.contains(&brokers[*place].id);
    (0..brokers.len()).filter(free).min_by_key(|place| {
        let broker = &brokers[*place];
        let leaders = if leads { broker.leaders } else { 0 };
        let neighbours = neighbours(brokers, members, broker);
        (
            neighbours,
            leaders,
            broker.replicas,
            broker.bytes,
            broker.id,
        )
    })
}

/// How many of `members`, beside itself, stand in a broker's rack. Brokers that do not say where they
/// stand are in racks of their own.
pub(super) fn neighbours(brokers: &[BrokerLoad], members: &[BrokerId], of: &BrokerLoad) -> usize {
    let near = |other: &&BrokerLoad| {
        other.id != of.id && other.rack == of.rack && members.contains(&other.id)
    };
    match of.rack {
        Some(_) => brokers.iter().filter(near).count(),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(id: BrokerId, rack: Option<&str>) -> BrokerLoad {
        BrokerLoad {
            id,
            rack: rack.map(str::to_owned),
            leaders: 0,
            replicas: 0,
            bytes: 0,
            takes: true,
        }
    }

    #[test]
    fn leaders_and_copies_are_even() {
        let mut brokers: Vec<_> = (1..=4).map(|id| load(id, None)).collect();
        let placed = place(&mut brokers, 100, 3).expect("enough brokers");
        assert!(placed.iter().all(|replicas| replicas.len() == 3));
        for broker in &brokers {
            assert_eq!((broker.leaders, broker.replicas), (25, 75));
        }
    }

    #[test]
    fn copies_stand_in_racks_apart() {
        let racks = ["a", "a", "a", "b", "b", "c"];
        let mut brokers: Vec<_> = (1..)
            .zip(racks)
            .map(|(id, rack)| load(id, Some(rack)))
            .collect();
        let rack_of = |id: BrokerId| racks[id as usize - 1];
        for replicas in place(&mut brokers, 60, 3).expect("enough brokers") {
            let mut racks: Vec<_> = replicas.iter().map(|id| rack_of(*id)).collect();
            racks.sort_unstable();
            assert_eq!(racks, ["a", "b", "c"]);
        }
    }

    #[test]
    fn too_few_brokers_are_told() {
        let mut brokers = vec![load(1, None)];
        assert_eq!(place(&mut brokers, 1, 2), Err(TooFewBrokers { brokers: 1 }));
    }
}
