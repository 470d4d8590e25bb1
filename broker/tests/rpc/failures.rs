use std::{
    sync::{Arc, OnceLock, atomic::Ordering},
    time::{Duration, Instant},
};

use headwater_broker::{
    Acks, FetchError, Network, ProduceError,
    rpc::{Deadlines, RemoteBroker},
};

use crate::{
    calls::fetch_of,
    proxy::Proxy,
    world::{Caller, Server, TOPIC, batch, identity, secret},
};

async fn produce(caller: &Caller) -> Result<u64, ProduceError> {
    let broker = caller.client.broker(1).unwrap();
    let answers = broker.produce(TOPIC, vec![batch(0, 100, 0)], Acks::Quorum);
    answers.await.remove(0).map(|produced| produced.base_offset)
}

/// Nothing was written, and reads say whom they did not reach.
async fn assert_unreachable(caller: &Caller) {
    assert_eq!(produce(caller).await, Err(ProduceError::Unreachable));
    let broker = caller.client.broker(1).unwrap();
    let fetched = broker.fetch(fetch_of(0, Duration::ZERO)).await;
    assert!(
        matches!(&fetched[0], Err(FetchError::Unreachable(_))),
        "{fetched:?}"
    );
    let state = broker.partition_states(TOPIC, vec![0]).await;
    assert!(matches!(&state[0], Err(FetchError::Unreachable(_))));
    assert!(caller.client.follow(1).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_broker_is_definitely_not_reached() {
    let address = Server::start().await.kill().await;
    let caller = Caller::of(address);
    let started = Instant::now();
    for _ in 0..20 {
        assert_eq!(produce(&caller).await, Err(ProduceError::Unreachable));
    }
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_unreachable(&caller).await;
    assert!(caller.client.broker(9).is_none());
    assert!(caller.client.follow(9).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn other_secrets_and_none_are_definitely_refused() {
    let server = Server::start().await;
    for other in [secret("another"), None] {
        let deadlines = Deadlines::default();
        let caller = Caller::with(server.address, identity(2, "c"), other, deadlines);
        assert_unreachable(&caller).await;
    }
    let lax = Server::with(([127, 0, 0, 1], 0).into(), identity(1, "c"), None).await;
    assert_unreachable(&Caller::of(lax.address)).await;
    for server in [server, lax] {
        assert_eq!(server.broker.received.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_meant_definitely_refuses() {
    let others = [
        identity(3, "c"),
        identity(1, "another"),
        // Not registered yet.
        Arc::new(OnceLock::new()),
    ];
    for other in others {
        let server = Server::with(([127, 0, 0, 1], 0).into(), other, secret("s")).await;
        assert_unreachable(&Caller::of(server.address)).await;
        assert_eq!(server.broker.received.load(Ordering::SeqCst), 0);
    }
    let server = Server::start().await;
    let unregistered = Arc::new(OnceLock::new());
    let deadlines = Deadlines::default();
    let caller = Caller::with(server.address, unregistered, secret("s"), deadlines);
    assert_unreachable(&caller).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_calls_and_follows_nobody() {
    let server = Server::start().await;
    let deadlines = Deadlines::default();
    let caller = Caller::with(server.address, identity(0, "c"), secret("s"), deadlines);
    assert_eq!(produce(&caller).await, Ok(0));
    let refused = caller.client.follow(1).await.unwrap_err();
    assert!(refused.0.contains("gateway"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_dies_after_it_received_leaves_the_outcome_unknown() {
    let server = Server::start().await;
    let caller = Caller::of(server.address);
    let memory = server.broker.clone();
    *memory.answer.lock() = Some(None);
    let produced = produce(&caller);
    let killed = async {
        while memory.received.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.kill().await
    };
    let (produced, _) = tokio::join!(produced, killed);
    assert_eq!(produced, Err(ProduceError::Unknown));
    assert_eq!(memory.partitions.lock().len(), 1, "it was written indeed");
    assert_eq!(produce(&caller).await, Err(ProduceError::Unreachable));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_broker_is_reached_again() {
    let server = Server::start().await;
    let caller = Caller::of(server.address);
    let before = caller.client.peer(1).unwrap();
    assert_eq!(produce(&caller).await, Ok(0));
    let address = server.kill().await;
    assert_eq!(produce(&caller).await, Err(ProduceError::Unreachable));
    let server = Server::with(address, identity(1, "c"), secret("s")).await;
    let started = Instant::now();
    while produce(&caller).await != Ok(0) {
        assert!(started.elapsed() < Duration::from_secs(2));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let same = |other: &Arc<RemoteBroker>| Arc::ptr_eq(other, &caller.client.peer(1).unwrap());
    assert!(same(&before));
    // Its new life is heard of: new connections.
    caller.directory.set(1, address, 42);
    assert!(!same(&before));
    assert_eq!(produce(&caller).await, Ok(1));
    // It moved.
    let moved = Server::start().await;
    caller.directory.set(1, moved.address, 42);
    assert_eq!(produce(&caller).await, Ok(0));
    assert_eq!(server.broker.received.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_broker_is_given_up_at_the_deadline_and_by_its_pings() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.address).await;
    let deadlines = Deadlines {
        produce: Duration::from_millis(300),
        fetch: Duration::from_millis(300),
        other: Duration::from_millis(300),
    };
    let caller = Caller::with(proxy.address, identity(2, "c"), secret("s"), deadlines);
    assert_eq!(produce(&caller).await, Ok(0));
    let mut session = caller.client.follow(1).await.unwrap();
    proxy.frozen.send_replace(true);
    let frozen = Instant::now();
    assert_eq!(produce(&caller).await, Err(ProduceError::Unknown));
    assert!(frozen.elapsed() < Duration::from_secs(1));
    let broker = caller.client.broker(1).unwrap();
    let fetched = broker.fetch(fetch_of(0, Duration::ZERO)).await;
    assert!(matches!(&fetched[0], Err(FetchError::Unreachable(_))));
    // The session has no deadline; pings notice.
    assert!(session.incoming.recv().await.is_none());
    assert!(
        frozen.elapsed() < Duration::from_secs(9),
        "{:?}",
        frozen.elapsed()
    );
    session.outgoing.closed().await;
    proxy.frozen.send_replace(false);
    let thawed = Instant::now();
    while produce(&caller).await.is_err() {
        assert!(thawed.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_in_flight_is_definitely_not_sent() {
    let server = Server::start().await;
    let caller = Caller::of(server.address);
    let broker = caller.client.broker(1).unwrap();
    *server.broker.answer.lock() = Some(None);
    let hung = tokio::spawn({
        let broker = broker.clone();
        async move {
            let batches = vec![batch(0, 40 << 20, 0)];
            broker.produce(TOPIC, batches, Acks::Quorum).await
        }
    });
    while server.broker.received.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    *server.broker.answer.lock() = None;
    // A small one still fits.
    assert_eq!(produce(&caller).await, Ok(1));
    let started = Instant::now();
    let batches = vec![batch(0, 40 << 20, 0)];
    let answers = broker.produce(TOPIC, batches, Acks::Quorum).await;
    assert_eq!(answers[0].as_ref().err(), Some(&ProduceError::Overloaded));
    assert!(started.elapsed() < Duration::from_secs(4));
    assert_eq!(server.broker.received.load(Ordering::SeqCst), 2);
    // Whoever gives up makes room.
    hung.abort();
    let batches = vec![batch(0, 40 << 20, 0)];
    assert!(broker.produce(TOPIC, batches, Acks::Quorum).await[0].is_ok());
}
