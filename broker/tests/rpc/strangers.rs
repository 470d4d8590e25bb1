use std::time::{Duration, Instant};

use headwater_broker::{Acks, Network, rpc::MAGIC};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::world::{Caller, Server, TOPIC, batch};

/// Sends bytes, and answers what comes until the other end closes.
async fn say(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut heard = Vec::new();
    // Whoever is cut off in the middle of a word is reset.
    let _ = stream.read_to_end(&mut heard).await;
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_gets_nothing() {
    let server = Server::start().await;
    let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0";
    for garbage in [&[0; 40][..], &[0xff; 4_000], http2] {
        assert_eq!(say(&server, garbage).await, b"");
    }
    // The magic and a nonce are answered: with a proof that opens nothing.
    let mut hello = MAGIC.to_vec();
    hello.extend([7; 32]);
    for proof in [&[0; 32][..], http2] {
        let heard = say(&server, &[&hello, proof].concat()).await;
        assert_eq!(heard.len(), 64);
    }
    // It goes on serving.
    let caller = Caller::of(server.address);
    let broker = caller.client.broker(1).unwrap();
    let answers = broker
        .produce(TOPIC, vec![batch(0, 1, 0)], Acks::Quorum)
        .await;
    assert!(answers[0].is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_overheard_opens_nothing() {
    let server = Server::start().await;
    // Between the two, listening.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let caller = Caller::of(listener.local_addr().unwrap());
    let calling = tokio::spawn(async move { caller.client.follow(1).await });
    let (mut client, _) = listener.accept().await.unwrap();
    let mut upstream = TcpStream::connect(server.address).await.unwrap();
    let (mut hello, mut challenge, mut proof) = ([0; 40], [0; 64], [0; 32]);
    client.read_exact(&mut hello).await.unwrap();
    upstream.write_all(&hello).await.unwrap();
    upstream.read_exact(&mut challenge).await.unwrap();
    client.write_all(&challenge).await.unwrap();
    client.read_exact(&mut proof).await.unwrap();
    // The server's own proof sent back, and the client's to another connection.
    for replayed in [&challenge[32..], &proof[..]] {
        let heard = say(&server, &[&hello[..], replayed].concat()).await;
        assert_eq!(heard.len(), 64);
    }
    calling.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn half_and_slow_handshakes_are_cut_off() {
    let server = Server::start().await;
    let half = async {
        let started = Instant::now();
        assert_eq!(say(&server, &MAGIC[..]).await, b"");
        started.elapsed()
    };
    let slow = async {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let started = Instant::now();
        for byte in MAGIC.iter().chain(&[0; 32]) {
            if stream.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard).await;
        assert!(heard.is_empty());
        started.elapsed()
    };
    let (half, slow) = tokio::join!(half, slow);
    for elapsed in [half, slow] {
        assert!((4_500..7_000).contains(&elapsed.as_millis()), "{elapsed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_accepts_and_says_nothing_is_definitely_not_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let caller = Caller::of(listener.local_addr().unwrap());
    let broker = caller.client.broker(1).unwrap();
    let started = Instant::now();
    let answers = broker
        .produce(TOPIC, vec![batch(0, 1, 0)], Acks::Quorum)
        .await;
    assert_eq!(
        answers[0].as_ref().err(),
        Some(&headwater_broker::ProduceError::Unreachable)
    );
    assert!(started.elapsed() < Duration::from_secs(7));
}
