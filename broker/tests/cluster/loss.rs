//! Copies that had everything and were given up: what is left of them when they come back.

use headwater_broker::Broker;

use crate::{
    brokers::{Brokers, partition},
    numbered,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_after_an_accepted_loss_removes_what_was_lost() {
    let brokers = Brokers::start(&[1, 2, 3]).await;
    let (whole, trimmed) = (partition(1, 0), partition(1, 1));
    for id in [whole, trimmed] {
        brokers.metadata.create(id, &[1, 2, 3], 2);
    }
    let write = async |at, values: std::ops::Range<u32>| {
        for value in numbered(values) {
            brokers.write(at, whole, &value).await;
            brokers.write(at, trimmed, &value).await;
        }
    };
    write(1, 0..5).await;
    brokers.cut_off(3).await;
    write(1, 5..15).await;
    // One log begins after the end of the one that will lead.
    assert_eq!(brokers.node(1).trim(trimmed, 12).await, Ok(12));
    for gone in [1, 2] {
        // They know, and have noted, that more was committed than will be kept.
        assert_eq!(brokers.node(gone).copy(whole).await.unwrap().end, 15);
        brokers.stop(gone).await;
        brokers.metadata.fence(gone);
    }
    brokers.heal();
    for id in [whole, trimmed] {
        let waits = async || brokers.metadata.row(id).leader.is_none();
        brokers.until("nobody leads", waits).await;
        brokers.metadata.accept_loss(id, 3);
    }
    brokers.add(1).await;
    for id in [whole, trimmed] {
        brokers.until_in_sync(id, 2).await;
    }
    write(3, 20..25).await;
    brokers.add(2).await;
    let kept: Vec<_> = numbered(0..5).into_iter().chain(numbered(20..25)).collect();
    for id in [whole, trimmed] {
        brokers.until_in_sync(id, 3).await;
        // Whoever lost something leads again, by preference.
        let home = async || brokers.metadata.row(id).leader.map(|l| l.broker) == Some(1);
        brokers.until("home", home).await;
        assert_eq!(brokers.values(1, id).await, kept);
        let leads = brokers.node(1).copy(id).await.unwrap();
        for follower in [2, 3] {
            assert_eq!(brokers.node(follower).copy(id).await, Ok(leads.clone()));
        }
    }
}
