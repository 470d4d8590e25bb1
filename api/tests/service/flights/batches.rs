//! By JSON batches with idempotency keys, over twenty kills.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::{FLIGHTS, Flight, KILLS, assert_all_in_order_per_key, assert_offsets_without_holes};
use super::{flights, kill_while_loading, read_by_fetch, record};
use crate::client::{Api, reply, try_reply};
use crate::harness::Server;

const PARTITIONS: u32 = 6;
const WORKERS: usize = 4;
const BATCH_RECORDS: usize = 200;

/// A record that the service acknowledged: where, and which.
struct Acknowledged {
    partition: usize,
    offset: usize,
    value: &'static str,
}

/// Sends one batch until it is acknowledged, as a client that trusts the contract would.
async fn deliver(
    api: &Api,
    topic: &str,
    key: &str,
    batch: &[&'static Flight],
) -> Vec<Acknowledged> {
    let records: Vec<_> = batch.iter().map(|flight| record(flight)).collect();
    let body = format!("{{\"records\":[{}]}}", records.join(","));
    for attempt in 0.. {
        assert!(attempt < 2_000, "batch {key} is never acknowledged");
        let request = api
            .request("POST", &format!("{topic}/records"))
            .header("idempotency-key", key);
        let answer = try_reply(request.timeout(Duration::from_secs(60)).body(body.clone())).await;
        match answer {
            Ok(answer) if answer.status == 200 => {
                let answer: Value = answer.json();
                let results = answer["results"].as_array().expect("results");
                assert_eq!(results.len(), batch.len());
                let place = |result: &Value, name: &str| {
                    usize::try_from(result[name].as_u64().expect("a number"))
                        .expect("a small number")
                };
                return results
                    .iter()
                    .zip(batch)
                    .map(|(result, flight)| Acknowledged {
                        partition: place(result, "partition"),
                        offset: place(result, "offset"),
                        value: flight.value,
                    })
                    .collect();
            }
            Ok(answer) => {
                if answer.status != 207 {
                    let problem = answer.any_problem();
                    assert_eq!(problem["retryable"], true, "{problem}");
                }
            }
            // The connection broke: the outcome is unknown, the key makes repeating safe.
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    unreachable!("the loop returns or fails")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_batches_survive_twenty_kills() {
    let mut server = Server::start().await;
    let topic = server.api().topic("flights", PARTITIONS).await;
    // A key belongs to one worker, so that one worker's order is the key's order.
    let mut shares: Vec<Vec<&'static Flight>> = (0..WORKERS).map(|_| Vec::new()).collect();
    for flight in flights() {
        let distance: usize = flight.key.parse().expect("a distance");
        shares[distance % WORKERS].push(flight);
    }
    let working = Arc::new(AtomicUsize::new(WORKERS));
    let workers: Vec<_> = shares
        .into_iter()
        .enumerate()
        .map(|(worker, share)| {
            let (api, topic, working) = (server.api(), topic.clone(), working.clone());
            tokio::spawn(async move {
                let mut acknowledged = Vec::with_capacity(share.len());
                for (n, batch) in share.chunks(BATCH_RECORDS).enumerate() {
                    acknowledged
                        .extend(deliver(&api, &topic, &format!("w{worker}-{n}"), batch).await);
                }
                working.fetch_sub(1, Ordering::Relaxed);
                acknowledged
            })
        })
        .collect();
    let kills = kill_while_loading(&mut server, &topic, || {
        working.load(Ordering::Relaxed) > 0 && workers.iter().any(|worker| !worker.is_finished())
    })
    .await;
    assert!(
        kills >= KILLS,
        "{kills} kills are too few to prove anything"
    );

    let mut acknowledged = Vec::with_capacity(FLIGHTS);
    for worker in workers {
        acknowledged.extend(worker.await.expect("the worker delivered everything"));
    }
    server.kill9();
    server.restart().await;
    let api = server.api();
    let rows = read_by_fetch(&api, &topic, PARTITIONS).await;
    assert_offsets_without_holes(&rows);
    assert_all_in_order_per_key(&rows);
    let mut stored: Vec<Vec<&str>> = vec![Vec::new(); PARTITIONS as usize];
    for row in &rows {
        stored[row.partition as usize].push(&row.value);
    }
    for one in &acknowledged {
        assert_eq!(
            stored[one.partition][one.offset], one.value,
            "at the acknowledged offset"
        );
    }
    let by_cursor = api.read_by_cursor(&topic).await;
    assert_all_in_order_per_key(&by_cursor);

    // Long after, a repeat is still known.
    let share: Vec<_> = flights()
        .iter()
        .filter(|f| f.key.parse::<usize>().expect("a distance") % WORKERS == 0)
        .collect();
    let records: Vec<_> = share[..BATCH_RECORDS]
        .iter()
        .map(|flight| record(flight))
        .collect();
    let request = api
        .request("POST", &format!("{topic}/records"))
        .header("idempotency-key", "w0-0");
    let again = reply(request.body(format!("{{\"records\":[{}]}}", records.join(","))))
        .await
        .expect(200)
        .json();
    assert_eq!(again["duplicate"], true);
    assert_eq!(again["results"][0]["offset"], acknowledged[0].offset);
}
