//! Copies that will not come back: an operator has another one lead, and says that the loss is accepted.

use std::fs;

use serde_json::{Value, json};

use super::brokers::Cluster;
use crate::{client::Api, harness::eventually};

const TOPIC: &str = "/topics/orders";

async fn write(api: &Api, values: std::ops::Range<u32>) {
    let records: Vec<_> = values.map(|n| json!({"value": n})).collect();
    api.produce(TOPIC, json!({"records": records}).to_string())
        .await;
}

/// Waits until a strong read is served, and answers its values.
async fn values(api: &Api) -> Vec<u32> {
    let path = format!("{TOPIC}/partitions/0/records?consistency=strong&max_records=1000");
    let served = async || api.get(&path).await.status == 200;
    eventually("a strong read is served", served).await;
    let rows = api.get(&path).await.expect(200).rows();
    rows.iter()
        .map(|row| row.value.parse().expect("a number"))
        .collect()
}

/// The call of one partition.
struct Election {
    operator: Api,
    path: String,
}

impl Election {
    async fn ask(&self, dry_run: bool, body: Value) -> crate::client::Reply {
        let path = format!("{}?dry_run={dry_run}", self.path);
        self.operator.manage("POST", &path, body).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_was_not_in_sync_leads_once_the_loss_is_accepted() {
    let mut cluster = Cluster::start(3).await;
    cluster.topic("orders", 1, 3).await;
    let leader = cluster.leader(0);
    let (second, late) = ((leader + 1) % 3, (leader + 2) % 3);
    let number = |broker: usize| broker as u64 + 1;
    write(&cluster.api(leader), 0..10).await;
    cluster.whole().await;
    let topic = cluster.api(leader).get(TOPIC).await.expect(200).json();
    let topic = topic["topic_id"].as_str().expect("an id").to_owned();
    let path = format!("/cluster/partitions/{topic}/0/elect");
    let election = Election {
        operator: cluster.operator(late).await,
        path: path.clone(),
    };
    // Nobody has to lose anything.
    for dry_run in [true, false] {
        let body = json!({"broker": number(late), "accept_loss": true});
        let refused = election.ask(dry_run, body).await;
        refused.problem(409, "in_sync_copy_lives");
    }
    // One copy falls behind; then those that have everything are gone.
    cluster.brokers[late].kill9();
    cluster.smaller().await;
    write(&cluster.api(leader), 10..15).await;
    // With these the other one hears that those before are committed, and notes it when it stops.
    write(&cluster.api(leader), 15..20).await;
    cluster.brokers[leader].kill9();
    cluster.brokers[second].stop().await;
    fs::remove_dir_all(cluster.brokers[leader].data_dir()).expect("emptied");
    cluster.brokers[late].restart().await;

    let election = Election {
        operator: cluster.operator(late).await,
        path,
    };
    let known = async || election.ask(true, Value::Null).await.status == 200;
    eventually("the others are known to be gone", known).await;
    let found = election.ask(true, Value::Null).await.expect(200).json();
    let epoch = found["leader_epoch"].as_u64().expect("a term");
    let lost = json!({"from_offset": 10, "known_to_offset": 10});
    let candidate = json!({"broker": number(late), "log_start": 0, "log_end": 10,
                           "last_epoch": 1, "lost": lost});
    assert_eq!(found["candidates"], json!([candidate]));
    assert_eq!(
        (&found["broker"], &found["silent"]),
        (&Value::Null, &json!([]))
    );
    let mut given_up = [number(leader), number(second)];
    given_up.sort_unstable();
    let mut said: Vec<_> = found["given_up"].as_array().expect("brokers").clone();
    said.sort_unstable_by_key(Value::as_u64);
    assert_eq!(said, given_up);

    for broker in [number(second), 9] {
        let body = json!({"broker": broker, "accept_loss": true});
        election.ask(false, body).await.problem(409, "cannot_lead");
    }
    let unnamed = election.ask(false, json!({"accept_loss": true})).await;
    unnamed.problem(422, "invalid_setting");
    let body = json!({"broker": number(late)});
    let problem = election.ask(false, body).await;
    let problem = problem.problem(422, "invalid_setting");
    assert_eq!(problem["errors"][0]["pointer"], "/accept_loss");
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.contains("offsets from 10 on are lost"), "{detail}");

    let body = json!({"broker": number(late), "accept_loss": true});
    let elected = election.ask(false, body.clone()).await.expect(200).json();
    assert_eq!(elected["leader_epoch"], epoch);
    assert_eq!(elected["candidates"], json!([candidate]));
    assert_eq!(cluster.leader(0), late);
    // It is done: nobody does it twice.
    let again = election.ask(false, body).await;
    again.problem(409, "in_sync_copy_lives");
    let path = "/organizations/acme/audit-events?action=electLeader&outcome=allowed";
    let events = election.operator.see(path).await;
    let events = events["events"].as_array().expect("events");
    let target = format!(
        "cluster/partitions/{topic}/0: broker {} leads term {epoch}, offsets from 10 on are lost, \
         known to have gone to 10",
        number(late)
    );
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["target"], target);

    // One that begins anew makes the two of whom an acknowledgement is asked.
    cluster.brokers[leader].restart().await;
    let api = cluster.api(late);
    assert_eq!(values(&api).await, (0..10).collect::<Vec<_>>());
    write(&api, 100..115).await;
    // One that comes back with what was lost follows, and has it no more.
    cluster.brokers[second].restart().await;
    cluster.whole().await;
    let kept: Vec<_> = (0..10).chain(100..115).collect();
    for gateway in 0..3 {
        assert_eq!(values(&cluster.api(gateway)).await, kept);
    }
    cluster.stop_and_compare().await;
}
