use std::time::Duration;

use bytes::Bytes;
use headwater_broker::{
    FollowerMessage, FollowerSession, LeaderMessage, LeaderSession, Network, PartitionId,
    replica::{Answer, AnswerBody, Beginning, FollowerFetch, Progress, Refusal, Starts, Watermark},
};

use crate::world::{Caller, Server, TOPIC};

const MESSAGES: u64 = 100_000;

const ID: PartitionId = PartitionId {
    topic: TOPIC,
    partition: 5,
};

async fn session(server: &mut Server, caller: &Caller) -> (FollowerSession, LeaderSession) {
    let follower = caller.client.follow(1).await.unwrap();
    let leader = server.sessions.recv().await.unwrap();
    assert_eq!((leader.follower, leader.incarnation), (2, 42));
    (follower, leader)
}

fn fetch(request: u64) -> FollowerFetch {
    FollowerFetch {
        epoch: 3,
        request,
        offset: request * 10,
        last_epoch: request.is_multiple_of(2).then_some(2),
        durable: request * 9,
    }
}

fn answer(request: u64, body: AnswerBody) -> Answer {
    Answer {
        epoch: 3,
        request,
        offset: request * 10,
        last_epoch: request.is_multiple_of(2).then_some(2),
        body,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_messages_arrive_in_order_both_ways() {
    let mut server = Server::start().await;
    let caller = Caller::of(server.address);
    let (follower, mut leader) = session(&mut server, &caller).await;
    let FollowerSession {
        outgoing,
        mut incoming,
    } = follower;
    let asking = tokio::spawn(async move {
        for request in 0..MESSAGES {
            let progress = Progress {
                epoch: 3,
                durable: request,
                confirms: request.is_multiple_of(3).then_some(request),
            };
            let message = FollowerMessage {
                fetches: vec![(ID, fetch(request))],
                progress: vec![(ID, progress)],
            };
            outgoing.send(message).await.unwrap();
        }
        outgoing
    });
    let answering = tokio::spawn(async move {
        for request in 0..MESSAGES {
            let message = leader.incoming.recv().await.unwrap();
            assert_eq!(message.fetches, [(ID, fetch(request))]);
            assert_eq!(message.progress[0].1.durable, request);
            let body = out_of_range(request);
            let message = LeaderMessage {
                answers: vec![(ID, answer(request, body))],
                watermarks: Vec::new(),
            };
            leader.outgoing.send(message).await.unwrap();
        }
        leader
    });
    for request in 0..MESSAGES {
        let message = incoming.recv().await.unwrap();
        let body = out_of_range(request);
        assert_eq!(message.answers, [(ID, answer(request, body))]);
    }
    let (_outgoing, _leader) = (asking.await.unwrap(), answering.await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_arrives_as_it_was() {
    let mut server = Server::start().await;
    let caller = Caller::of(server.address);
    let (mut follower, mut leader) = session(&mut server, &caller).await;
    // Heartbeats, both ways.
    follower
        .outgoing
        .send(FollowerMessage::default())
        .await
        .unwrap();
    assert_eq!(
        leader.incoming.recv().await.unwrap(),
        FollowerMessage::default()
    );
    leader
        .outgoing
        .send(LeaderMessage::default())
        .await
        .unwrap();
    assert_eq!(
        follower.incoming.recv().await.unwrap(),
        LeaderMessage::default()
    );
    let refusals = [
        Refusal::NotLeader,
        Refusal::OldEpoch,
        Refusal::NewEpoch,
        Refusal::NotReplica,
        Refusal::OldIncarnation,
    ];
    let bodies = refusals.map(AnswerBody::Refused).into_iter().chain([
        AnswerBody::Records {
            batches: vec![Bytes::from(vec![9; 5 << 20]), Bytes::from_static(b"x")],
            high_watermark: 1 << 52,
            starts: Starts { log: 1, local: 5 },
        },
        AnswerBody::Records {
            batches: Vec::new(),
            high_watermark: 0,
            starts: Starts::default(),
        },
        AnswerBody::Diverging {
            epoch: Some(2),
            end: 77,
        },
        AnswerBody::Diverging {
            epoch: None,
            end: 0,
        },
        out_of_range(0),
    ]);
    let watermark = Watermark {
        epoch: 4,
        high_watermark: 6,
        starts: Starts { log: 3, local: 4 },
        asks: Some(5),
    };
    let message = LeaderMessage {
        answers: bodies.map(|body| (ID, answer(8, body))).collect(),
        watermarks: vec![(ID, watermark)],
    };
    leader.outgoing.send(message.clone()).await.unwrap();
    assert!(follower.incoming.recv().await.unwrap() == message);
}

async fn follower_ended(mut session: FollowerSession) {
    let ended = async {
        while session.incoming.recv().await.is_some() {}
        session.outgoing.closed().await;
    };
    tokio::time::timeout(Duration::from_secs(2), ended)
        .await
        .unwrap();
}

async fn leader_ended(mut session: LeaderSession) {
    let ended = async {
        while session.incoming.recv().await.is_some() {}
        session.outgoing.closed().await;
    };
    tokio::time::timeout(Duration::from_secs(2), ended)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_at_both_ends() {
    let mut server = Server::start().await;
    let caller = Caller::of(server.address);
    // Whichever half somebody drops, all four close.
    let (follower, leader) = session(&mut server, &caller).await;
    drop(follower);
    leader_ended(leader).await;

    let (mut follower, leader) = session(&mut server, &caller).await;
    drop(follower.outgoing);
    leader_ended(leader).await;
    assert!(follower.incoming.recv().await.is_none());

    let (follower, leader) = session(&mut server, &caller).await;
    drop(follower.incoming);
    leader_ended(leader).await;
    follower.outgoing.closed().await;

    let (follower, leader) = session(&mut server, &caller).await;
    drop(leader);
    follower_ended(follower).await;

    let (follower, leader) = session(&mut server, &caller).await;
    drop(leader.incoming);
    follower_ended(follower).await;
    leader.outgoing.closed().await;

    // The leader's last words are heard.
    let (mut follower, leader) = session(&mut server, &caller).await;
    for _ in 0..5 {
        leader
            .outgoing
            .send(LeaderMessage::default())
            .await
            .unwrap();
    }
    // While it still listens: who stops listening ends the session at once.
    drop(leader.outgoing);
    for _ in 0..5 {
        assert!(follower.incoming.recv().await.is_some());
    }
    follower_ended(follower).await;
    drop(leader.incoming);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_session_closes_its_channels_too() {
    let mut server = Server::start().await;
    let caller = Caller::of(server.address);
    let (follower, leader) = session(&mut server, &caller).await;
    // Nobody reads at the follower: the window fills up behind the leader's channel.
    let filled = async {
        loop {
            let body = AnswerBody::Records {
                batches: vec![Bytes::from(vec![0; 1 << 20])],
                high_watermark: 0,
                starts: Starts::default(),
            };
            let message = LeaderMessage {
                answers: vec![(ID, answer(0, body))],
                watermarks: Vec::new(),
            };
            leader.outgoing.send(message).await.unwrap();
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(1), filled)
            .await
            .is_err()
    );
    drop(follower);
    leader_ended(leader).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_connection_ends_both_channels() {
    let mut server = Server::start().await;
    let caller = Caller::of(server.address);
    let (follower, leader) = session(&mut server, &caller).await;
    let address = server.kill().await;
    follower_ended(follower).await;
    leader_ended(leader).await;
    assert!(caller.client.follow(1).await.is_err());

    // A stop lets go of sessions.
    let again = crate::world::identity(1, "c");
    let mut server = Server::with(address, again, crate::world::secret("s")).await;
    let (follower, leader) = session(&mut server, &caller).await;
    server.stop.cancel();
    follower_ended(follower).await;
    leader_ended(leader).await;
}

fn out_of_range(log: u64) -> AnswerBody {
    let local = log + 10;
    AnswerBody::OutOfRange(Beginning {
        starts: Starts { log, local },
        epochs: vec![(0, log), (7, log + 5)],
    })
}
