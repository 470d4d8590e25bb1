//! Brokers: their lives, leases and disks.

use std::time::Duration;

use headwater_broker::{
    BrokerId, Incarnation, PartitionId, Placement, Registration, Registry, RegistryError, Renewal,
    Renewed, controller::BrokerState,
};

use super::{Database, broker, on_both_engines, place};
use crate::metadata::{Catalog, Store};

on_both_engines!(
    each_start_is_a_new_life,
    a_number_is_one_directorys_while_it_lives,
    another_disk_loses_its_place_in_sync,
    an_older_copy_of_the_disk_loses_it_too,
    damaged_partitions_alone_are_lost,
    a_lease_is_renewed_without_the_feed,
    a_lease_expires_by_the_databases_clock,
    one_broker_at_a_time_controls,
    draining_is_heard_of,
    of_registrations_at_once_each_is_a_life,
);

fn renewal(id: BrokerId, incarnation: Incarnation) -> Renewal {
    Renewal {
        id,
        incarnation,
        renewals: 1,
        lease: Duration::from_secs(60),
    }
}

async fn state(store: &Store, id: BrokerId) -> Option<BrokerState> {
    let catalog = Catalog::default();
    catalog.catch_up(store).await.expect("it catches up");
    Some(catalog.brokers().views.get(&id)?.state)
}

async fn each_start_is_a_new_life(database: Database) {
    let first = database.store.register(broker(1, 1)).await.expect("a life");
    let second = database.store.register(broker(1, 1)).await.expect("a life");
    assert_eq!((first.incarnation, second.incarnation), (1, 2));
    assert_eq!(first.cluster_id, second.cluster_id);
    assert!(!first.disk_replaced && !second.disk_replaced);
    let catalog = Catalog::default();
    catalog.catch_up(&database.store).await.expect("news");
    let brokers = catalog.brokers();
    assert_eq!(brokers.views[&1].incarnation, 2);
    assert_eq!(brokers.addresses[&1], "10.0.0.1:7070");
}

async fn a_number_is_one_directorys_while_it_lives(database: Database) {
    database.registered(1, 1).await;
    match database.store.register(broker(1, 2)).await {
        Err(RegistryError::Taken(by)) => assert!(by.contains("10.0.0.1:7070"), "{by}"),
        other => panic!("{other:?}"),
    }
    let lease = Duration::ZERO;
    let gone = Registration {
        lease,
        ..broker(1, 1)
    };
    database.store.register(gone).await.expect("the same disk");
    let other = database.store.register(broker(1, 2)).await.expect("free");
    assert!(other.disk_replaced);
    assert_eq!(other.incarnation, 3);
}

async fn another_disk_loses_its_place_in_sync(database: Database) {
    let lease = Duration::ZERO;
    let gone = Registration {
        lease,
        ..broker(1, 1)
    };
    database.store.register(gone).await.expect("a life");
    let alone = database.topic(1, 1, Some(&place(&[1]))).await;
    let shared = database.topic(2, 2, Some(&place(&[1, 2, 11]))).await;
    let led = database.topic(3, 1, Some(&place(&[11, 1]))).await;
    let others = database.topic(4, 1, Some(&place(&[11, 21]))).await;
    database.registered(1, 9).await;
    let alone = database.places(alone).await.remove(0);
    assert_eq!((alone.leader, alone.in_sync.len()), (None, 0));
    assert_eq!((alone.replicas, alone.partition_epoch), (vec![1], 2));
    for place in database.places(shared).await {
        assert_eq!((place.leader, place.in_sync), (None, vec![2, 11]));
        assert_eq!((place.epoch, place.partition_epoch), (1, 2));
    }
    let led = database.places(led).await.remove(0);
    assert_eq!(led.leader.map(|leader| leader.broker), Some(11));
    assert_eq!(led.in_sync, [11]);
    assert_eq!(database.places(others).await[0], place(&[11, 21]));
}

async fn an_older_copy_of_the_disk_loses_it_too(database: Database) {
    let incarnation = database.registered(1, 1).await;
    let topic = database.topic(1, 1, Some(&place(&[1]))).await;
    for renewals in [4, 5] {
        let renewal = Renewal {
            renewals,
            ..renewal(1, incarnation)
        };
        let renewed = database.store.renew(renewal).await;
        assert_eq!(renewed, Ok(Renewed::Renewed));
    }
    let register = async |renewals| {
        let broker = Registration {
            renewals,
            ..broker(1, 1)
        };
        let registered = database.store.register(broker).await.expect("a life");
        (registered.disk_replaced, registered.renewals)
    };
    assert_eq!(register(5).await, (false, 5));
    // Its last renewal was not heard of.
    assert_eq!(register(6).await, (false, 6));
    assert!(!database.places(topic).await[0].in_sync.is_empty());
    assert_eq!(register(5).await, (true, 7));
    assert!(database.places(topic).await[0].in_sync.is_empty());
    assert_eq!(register(7).await, (false, 7), "the copy is the disk now");
    assert_eq!(register(6).await, (true, 8), "the disk that was copied");
}

async fn damaged_partitions_alone_are_lost(database: Database) {
    database.registered(1, 1).await;
    let topic = database.topic(1, 3, Some(&place(&[1, 2]))).await;
    let damaged = vec![PartitionId {
        topic,
        partition: 1,
    }];
    let broker = Registration {
        damaged,
        ..broker(1, 1)
    };
    let registered = database.store.register(broker).await.expect("a life");
    assert!(!registered.disk_replaced);
    let places = database.places(topic).await;
    assert_eq!(places[0], place(&[1, 2]));
    assert_eq!((places[1].leader, &*places[1].in_sync), (None, &[2][..]));
    assert_eq!(places[2], place(&[1, 2]));
}

async fn a_lease_is_renewed_without_the_feed(database: Database) {
    let incarnation = database.registered(1, 1).await;
    let number = database.number().await;
    let store = &database.store;
    let renewed = store.renew(renewal(1, incarnation)).await;
    assert_eq!(renewed, Ok(Renewed::Renewed));
    assert_eq!(database.number().await, number);
    if database.url.starts_with("postgres") {
        let change = database.change().await;
        let renewed = store.renew(renewal(1, incarnation)).await;
        assert_eq!(renewed, Ok(Renewed::Renewed));
        drop(change);
    }
    for stranger in [renewal(1, incarnation - 1), renewal(2, 1)] {
        assert_eq!(store.renew(stranger).await, Ok(Renewed::Replaced));
    }
    database.registered(1, 1).await;
    let replaced = store.renew(renewal(1, incarnation)).await;
    assert_eq!(replaced, Ok(Renewed::Replaced));
}

async fn a_lease_expires_by_the_databases_clock(database: Database) {
    let store = &database.store;
    let lease = Duration::from_millis(300);
    let short = Registration {
        lease,
        ..broker(1, 1)
    };
    let incarnation = store.register(short).await.expect("a life").incarnation;
    database.registered(2, 2).await;
    let number = database.number().await;
    assert_eq!(store.fence_expired().await, Ok(vec![]));
    assert_eq!(database.number().await, number);
    tokio::time::sleep(lease + Duration::from_millis(50)).await;
    assert_eq!(state(store, 1).await, Some(BrokerState::Live));
    assert_eq!(store.fence_expired().await, Ok(vec![1]));
    assert_eq!(store.fence_expired().await, Ok(vec![]));
    assert_eq!(database.number().await, number + 1);
    assert_eq!(state(store, 1).await, Some(BrokerState::Fenced));
    let stale = store.renew(renewal(1, incarnation - 1)).await;
    assert_eq!(stale, Ok(Renewed::Replaced));
    let back = store.renew(renewal(1, incarnation)).await;
    assert_eq!(back, Ok(Renewed::Renewed));
    assert_eq!(state(store, 1).await, Some(BrokerState::Live));
    assert_eq!(store.fence_expired().await, Ok(vec![]));
}

async fn one_broker_at_a_time_controls(database: Database) {
    let store = &database.store;
    let long = Duration::from_secs(60);
    assert_eq!(store.control(1, 1, long).await, Ok(false), "nobody");
    let first = database.registered(1, 1).await;
    let other = database.registered(2, 2).await;
    assert_eq!(store.control(1, first, long).await, Ok(true));
    assert_eq!(store.control(1, first, long).await, Ok(true));
    assert_eq!(store.control(2, other, long).await, Ok(false));
    let catalog = Catalog::default();
    catalog.catch_up(store).await.expect("news");
    assert_eq!(catalog.brokers().controller, Some(1));
    let second = database.registered(1, 1).await;
    assert_eq!(store.control(1, first, long).await, Ok(false), "it is dead");
    let short = Duration::from_millis(100);
    assert_eq!(store.control(1, second, short).await, Ok(true));
    assert_eq!(store.control(2, other, long).await, Ok(false));
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(store.control(2, other, long).await, Ok(true));
    catalog.catch_up(store).await.expect("news");
    assert_eq!(catalog.brokers().controller, Some(2));
}

async fn draining_is_heard_of(database: Database) {
    let store = &database.store;
    database.registered(1, 1).await;
    assert_eq!(store.set_draining(7, true).await, Ok(false));
    assert_eq!(store.set_draining(1, true).await, Ok(true));
    assert_eq!(state(store, 1).await, Some(BrokerState::Draining));
    database.registered(1, 1).await;
    assert_eq!(state(store, 1).await, Some(BrokerState::Draining));
    assert_eq!(store.set_draining(1, false).await, Ok(true));
    assert_eq!(state(store, 1).await, Some(BrokerState::Live));
}

async fn of_registrations_at_once_each_is_a_life(database: Database) {
    let other = Store::open(&database.url).await.expect("it opens");
    let (a, b, c) = tokio::join!(
        database.store.register(broker(1, 1)),
        other.register(broker(1, 1)),
        other.register(broker(2, 2)),
    );
    let (a, b, c) = (a.expect("a"), b.expect("b"), c.expect("c"));
    let mut lives = [a.incarnation, b.incarnation];
    lives.sort_unstable();
    assert_eq!((lives, c.incarnation), ([1, 2], 1));
    assert_eq!(
        (&a.cluster_id, &b.cluster_id),
        (&c.cluster_id, &c.cluster_id)
    );
}
