//! Where the copies of new partitions go.

use std::{collections::HashMap, fmt};

use crate::placement::BrokerId;

/// What a broker has to carry. Only those that may be given more are asked about.
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
    if brokers.len() < replication_factor {
        return Err(TooFewBrokers {
            brokers: brokers.len(),
        });
    }
    let placed = (0..partitions).map(|_| place_one(brokers, replication_factor));
    Ok(placed.collect())
}

fn place_one(brokers: &mut [BrokerLoad], copies: usize) -> Vec<BrokerId> {
    let mut chosen: Vec<BrokerId> = Vec::with_capacity(copies);
    let mut in_rack: HashMap<Option<String>, usize> = HashMap::new();
    while chosen.len() < copies {
        let leads = chosen.is_empty();
        let free = brokers.iter_mut().filter(|b| !chosen.contains(&b.id));
        let best = free.min_by_key(|broker| {
            // Brokers that do not say where they stand are in racks of their own.
            let neighbours = match broker.rack {
                Some(_) => in_rack.get(&broker.rack).copied().unwrap_or(0),
                None => 0,
            };
            let leaders = if leads { broker.leaders } else { 0 };
            (neighbours, leaders, broker.replicas, broker.id)
        });
        let Some(best) = best else {
            return chosen;
        };
        best.leaders += u64::from(leads);
        best.replicas += 1;
        *in_rack.entry(best.rack.clone()).or_default() += 1;
        chosen.push(best.id);
    }
    chosen
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
