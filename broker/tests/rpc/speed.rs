//! Figures, for a person: `cargo test --release -p headwater-broker --test rpc -- --ignored --nocapture`

#![allow(clippy::print_stdout, reason = "a person reads it")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use headwater_broker::{
    Acks, LeaderMessage, Network, PartitionId,
    replica::{Answer, AnswerBody, Starts},
};

use crate::world::{Caller, Server, TOPIC, batch};

const LENGTH: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures"]
async fn speed() {
    let mut server = Server::start().await;
    let caller = Caller::of(server.address);
    for in_flight in [1, 64] {
        let started = Instant::now();
        let callers = (0..in_flight).map(|seed| {
            let broker = caller.client.broker(1).unwrap();
            tokio::spawn(async move {
                let mut calls = 0;
                while started.elapsed() < LENGTH {
                    let batches = vec![batch(seed, 1_024, seed.into())];
                    assert!(broker.produce(TOPIC, batches, Acks::Quorum).await[0].is_ok());
                    calls += 1;
                }
                calls
            })
        });
        let mut calls = 0;
        for caller in callers.collect::<Vec<_>>() {
            calls += caller.await.unwrap();
        }
        let rate = f64::from(calls) / started.elapsed().as_secs_f64();
        println!("produce of 1 KiB, {in_flight} in flight: {rate:.0} a second");
        server.broker.partitions.lock().clear();
    }

    let mut follower = caller.client.follow(1).await.unwrap();
    let leader = server.sessions.recv().await.unwrap();
    let sending = tokio::spawn(async move {
        let records = Bytes::from(vec![1; 1 << 20]);
        loop {
            let id = PartitionId {
                topic: TOPIC,
                partition: 0,
            };
            let answer = Answer {
                epoch: 0,
                request: 0,
                offset: 0,
                last_epoch: None,
                body: AnswerBody::Records {
                    batches: vec![records.clone()],
                    high_watermark: 0,
                    starts: Starts::default(),
                },
            };
            let message = LeaderMessage {
                answers: vec![(id, answer)],
                watermarks: Vec::new(),
            };
            if leader.outgoing.send(message).await.is_err() {
                return;
            }
        }
    });
    let (started, mut messages) = (Instant::now(), 0);
    while started.elapsed() < LENGTH {
        follower.incoming.recv().await.unwrap();
        messages += 1;
    }
    let rate = f64::from(messages) / started.elapsed().as_secs_f64();
    println!("answers of 1 MiB in a session: {rate:.0} MiB a second");
    drop(follower);
    sending.await.unwrap();
}
