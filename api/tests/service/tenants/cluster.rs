//! The cluster: what operators see and do, where topics are placed, and who leads after a restart.

use serde_json::{Value, json};

use super::people::{Engine, Tenant, on_both_engines};
use super::schema::Database;
use crate::client::Api;
use crate::harness::{Server, eventually};

on_both_engines!(
    operators_see_the_cluster,
    a_broker_drains_and_takes_part_again,
    a_restart_elects_anew_and_keeps_everything,
    more_replicas_than_brokers_are_refused,
    copies_go_to_brokers_that_live,
    in_sync_copies_are_asked_for_by_the_topic,
    a_tombstone_waits_for_all_that_have_copies,
    copies_move_when_an_operator_says_so,
    a_broker_is_removed_once_it_holds_nothing,
);

/// One server for a test alone, with its database.
async fn alone(engine: Engine) -> (Server, Tenant, Database) {
    let server = engine.own().await;
    let tenant = Tenant::on(&server).await;
    let database = Database::open(&server.database()).await;
    (server, tenant, database)
}

/// Brokers that nobody is, which live by the word of the database.
async fn make_up(database: &Database, brokers: &[u32]) {
    for id in brokers {
        let row = format!(
            "INSERT INTO brokers (id, incarnation, data_dir, renewals, lease_until, fenced, \
             draining, address, registered_at, last_seen) VALUES \
             ({id}, {id}0, '{id}', 0, 9000000000000, 0, 0, 'host-{id}:7070', 1, 1)"
        );
        database.run(&row).await;
    }
    database.tell("broker", "SELECT '2' AS id").await;
}

/// What the rows of a topic's partitions say, in their order.
async fn places(database: &Database, api: &Api, topic: &str) -> Vec<String> {
    let id = api.get(&format!("/topics/{topic}")).await.expect(200);
    let id = id.json()["topic_id"].as_str().expect("an id").to_owned();
    let sql = format!(
        "SELECT CAST(leader AS TEXT) || '.' || CAST(leader_incarnation AS TEXT) || ' of ' || \
         replicas || ' in sync ' || in_sync || ' at ' || CAST(leader_epoch AS TEXT) || '.' || \
         CAST(partition_epoch AS TEXT) FROM partitions WHERE topic_id = '{id}' ORDER BY partition"
    );
    database.text(&sql).await
}

async fn operators_see_the_cluster(engine: Engine) {
    let (mut server, tenant, _) = alone(engine).await;
    tenant.key.topic("seen", 3).await;
    let api = &tenant.owner.api;
    let cluster = api.see("/cluster").await;
    assert_eq!(cluster["cluster_id"].as_str().expect("a name").len(), 32);
    assert_eq!(cluster["under_replicated"], 0);
    assert_eq!(
        (&cluster["offline"], &cluster["moves"]),
        (&json!(0), &json!([]))
    );
    let broker = &cluster["brokers"][0];
    assert_eq!(
        (&broker["id"], &broker["state"]),
        (&json!(1), &json!("live"))
    );
    assert_eq!(
        (&broker["leaders"], &broker["replicas"]),
        (&json!(3), &json!(3))
    );
    assert_eq!(
        (&broker["rack"], &broker["hot_bytes"]),
        (&Value::Null, &json!(0))
    );
    assert!(broker["last_seen"].as_str().expect("a time").ends_with('Z'));
    let brokers = api.see("/cluster/brokers").await;
    assert_eq!(brokers["brokers"], cluster["brokers"]);
    let rebalance = api.manage("POST", "/cluster/rebalance", Value::Null);
    assert_eq!(rebalance.await.expect(200).json(), json!({"moves": []}));
    server.stop().await;
    server.restart().await;
    let again = api.see("/cluster").await;
    assert_eq!(again["cluster_id"], cluster["cluster_id"]);
    assert_eq!(again["brokers"].as_array().map(Vec::len), Some(1));
}

async fn a_broker_drains_and_takes_part_again(engine: Engine) {
    let (_server, tenant, _) = alone(engine).await;
    let api = &tenant.owner.api;
    let drain = async |path: &str, body: Value| api.manage("POST", path, body).await;
    let state = async || api.see("/cluster").await["brokers"][0]["state"].clone();
    for path in ["/cluster/brokers/7/drain", "/cluster/brokers/x/drain"] {
        drain(path, json!({})).await.problem(404, "not_found");
    }
    let path = "/cluster/brokers/1/drain";
    let unknown = drain(path, json!({"drain": true})).await;
    unknown.problem(400, "invalid_request");
    let dry = drain("/cluster/brokers/1/drain?dry_run=true", json!({})).await;
    assert_eq!(dry.header("headwater-dry-run"), Some("true"));
    assert_eq!(dry.expect(200).json()["state"], "draining");
    assert_eq!(state().await, "live");
    let drained = drain(path, Value::Null).await.expect(200).json();
    assert_eq!(
        (&drained["id"], &drained["state"]),
        (&json!(1), &json!("draining"))
    );
    assert_eq!(state().await, "draining");
    let refused = tenant.key.send("PUT", "/topics/nowhere", "{}").await;
    refused.problem(422, "invalid_setting");
    let back = drain(path, json!({"draining": false})).await.expect(200);
    assert_eq!(back.json()["state"], "live");
    tenant.key.topic("somewhere", 1).await;
    let events = tenant.path("/audit-events?action=drainBroker");
    let events = api.see(&events).await;
    let events = events["events"].as_array().expect("events");
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[0]["target"], "cluster/brokers/1");
    assert_eq!(events[0]["actor"], tenant.owner.email);
}

async fn a_restart_elects_anew_and_keeps_everything(engine: Engine) {
    let (mut server, tenant, database) = alone(engine).await;
    let path = tenant.key.topic("led", 2).await;
    assert_eq!(
        places(&database, &tenant.key, "led").await,
        vec!["1.1 of 1 in sync 1 at 1.1"; 2]
    );
    for life in 2..4 {
        let record = format!(r#"{{"records":[{{"partition":1,"value":{life}}}]}}"#);
        tenant.key.produce(&path, record).await;
        match life {
            2 => server.kill9(),
            _ => server.stop().await,
        }
        server.restart().await;
        let expected = format!("1.{life} of 1 in sync 1 at {life}.{life}");
        assert_eq!(
            places(&database, &tenant.key, "led").await,
            vec![expected; 2]
        );
    }
    let partitions = tenant.key.get(&format!("{path}/partitions")).await;
    for partition in partitions.expect(200).json()["partitions"]
        .as_array()
        .expect("some")
    {
        assert_eq!(
            (&partition["leader"], &partition["epoch"]),
            (&json!(1), &json!(3))
        );
        assert_eq!(partition["replicas"], json!([1]));
        assert_eq!(partition["in_sync"], json!([1]));
    }
    assert_eq!(tenant.key.high_watermarks(&path).await, [0, 2]);
    let grown = tenant.key.send("PATCH", &path, r#"{"partitions":3}"#).await;
    assert_eq!(grown.expect(200).json()["partitions"], 3);
    let places = places(&database, &tenant.key, "led").await;
    assert_eq!(places[2], "1.3 of 1 in sync 1 at 1.1");
}

async fn more_replicas_than_brokers_are_refused(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let put = async |body: Value| {
        tenant
            .key
            .send("PUT", "/topics/many", body.to_string())
            .await
    };
    let refused = put(json!({"replication_factor": 2})).await;
    let problem = refused.problem(422, "invalid_setting");
    let error = &problem["errors"][0];
    assert_eq!(error["pointer"], "/replication_factor", "{problem}");
    assert_eq!(error["code"], "not_enough_brokers", "{problem}");
    let refused = put(json!({"replication_factor": 10})).await;
    refused.problem(400, "invalid_request");
    let refused = put(json!({"config": {"min_insync_replicas": 2}})).await;
    let problem = refused.problem(422, "invalid_setting");
    let error = &problem["errors"][0];
    assert_eq!(error["pointer"], "/config/min_insync_replicas", "{problem}");
    tenant
        .key
        .get("/topics/many")
        .await
        .problem(404, "topic_not_found");
    let made = put(json!({"replication_factor": 1}))
        .await
        .expect(201)
        .json();
    assert_eq!(made["replication_factor"], 1);
    assert_eq!(made["config"]["min_insync_replicas"], 1);
    let change = json!({"replication_factor": 2}).to_string();
    let refused = tenant.key.send("PATCH", "/topics/many", change).await;
    refused.problem(422, "invalid_setting");
}

async fn copies_go_to_brokers_that_live(engine: Engine) {
    let (_server, tenant, database) = alone(engine).await;
    let key = &tenant.key;
    make_up(&database, &[2, 3, 4]).await;
    key.topic("spread", 4).await;
    let rows = places(&database, key, "spread").await;
    for broker in 1..=4 {
        let incarnation = if broker == 1 { 1 } else { broker * 10 };
        let led = format!("{broker}.{incarnation} of {broker},");
        assert_eq!(
            rows.iter().filter(|row| row.starts_with(&led)).count(),
            1,
            "{rows:?}"
        );
        let copies = rows.iter().filter(|row| {
            let replicas = row.split(' ').nth(2).expect("replicas");
            replicas.split(',').any(|id| id == broker.to_string())
        });
        assert_eq!(copies.count(), 3, "{rows:?}");
    }
    let topic = key.get("/topics/spread").await.expect(200).json();
    assert_eq!(topic["replication_factor"], 3);
    assert_eq!(topic["config"]["min_insync_replicas"], 2);
    assert_eq!(topic["config_sources"]["min_insync_replicas"], "default");
    database
        .run("UPDATE brokers SET fenced = 1 WHERE id = 4")
        .await;
    database
        .run("UPDATE brokers SET draining = 1 WHERE id = 3")
        .await;
    database.tell("broker", "SELECT '3' AS id").await;
    // Who is away may come back; who leaves does not.
    let put = async |name: &str, factor: u32| {
        let body = json!({"replication_factor": factor}).to_string();
        key.send("PUT", &format!("/topics/{name}"), body).await
    };
    put("five", 5).await.problem(422, "invalid_setting");
    put("four", 4).await.problem(422, "invalid_setting");
    put("three", 3).await.problem(503, "unavailable");
    let two = put("two", 2).await.expect(201).json();
    assert_eq!(two["config"]["min_insync_replicas"], 2);
    let row = places(&database, key, "two").await.remove(0);
    assert!(
        row.contains(" of 1,2 in sync 1,2 at 1.1") || row.contains(" of 2,1 in"),
        "{row}"
    );
    let again = key.send("PUT", "/topics/two", r#"{"partitions":1}"#).await;
    again.expect(200);
    let more = key
        .send("PATCH", "/topics/spread", r#"{"partitions":5}"#)
        .await;
    more.problem(503, "unavailable");
}

async fn in_sync_copies_are_asked_for_by_the_topic(engine: Engine) {
    let (_server, tenant, database) = alone(engine).await;
    let key = &tenant.key;
    make_up(&database, &[2, 3]).await;
    let body = json!({"config": {"min_insync_replicas": 3}}).to_string();
    key.send("PUT", "/topics/asked", body).await.expect(201);
    let patch = async |least: u32| {
        let body = json!({"config": {"min_insync_replicas": least}}).to_string();
        key.send("PATCH", "/topics/asked", body).await
    };
    patch(4).await.problem(422, "invalid_setting");
    let changed = patch(1).await.expect(200).json();
    assert_eq!(changed["config"]["min_insync_replicas"], 1);
    let row = places(&database, key, "asked").await.remove(0);
    // Broker 1 soon finds out that there are no others.
    assert!(
        !row.ends_with(" at 1.1"),
        "who leads learns it from the row: {row}"
    );
    // What no row needs to know writes none; this one has nobody else to wait for.
    let body = json!({"replication_factor": 1, "config": {"min_insync_replicas": 1}}).to_string();
    key.send("PUT", "/topics/sole", body).await.expect(201);
    let row = places(&database, key, "sole").await;
    key.send("PATCH", "/topics/sole", r#"{"description":"same"}"#)
        .await
        .expect(200);
    assert_eq!(places(&database, key, "sole").await, row);
}

async fn a_tombstone_waits_for_all_that_have_copies(engine: Engine) {
    let (mut server, tenant, database) = alone(engine).await;
    let key = &tenant.key;
    key.topic("mine", 2).await;
    make_up(&database, &[2]).await;
    key.topic("ours", 2).await;
    let left = "SELECT name || ' on ' || replicas FROM partitions \
                INNER JOIN topics ON topics.id = topic_id ORDER BY 1";
    for name in ["mine", "ours"] {
        let path = format!("/topics/{name}");
        key.send("DELETE", &path, "").await.expect(204);
    }
    assert_eq!(database.text(left).await, ["ours on 2", "ours on 2"]);
    assert_eq!(database.text("SELECT name FROM topics").await, ["ours"]);
    // It is found again at every start, and is nobody's business here any more.
    server.kill9();
    server.restart().await;
    assert_eq!(database.text(left).await, ["ours on 2", "ours on 2"]);
    key.topic("ours", 1).await;
}

async fn copies_move_when_an_operator_says_so(engine: Engine) {
    let (_server, tenant, database) = alone(engine).await;
    let (key, api) = (&tenant.key, &tenant.owner.api);
    let path = key.topic("heavy", 4).await;
    key.produce(&path, r#"{"records":[{"partition":2,"value":"here"}]}"#)
        .await;
    make_up(&database, &[2]).await;
    let rebalance = async |query: &str| {
        let path = format!("/cluster/rebalance{query}");
        let answer = api.manage("POST", &path, Value::Null).await;
        answer.expect(200).json()["moves"].clone()
    };
    let unknown = api.manage("POST", "/cluster/rebalance?dry_run=2", Value::Null);
    unknown.await.problem(400, "invalid_request");
    let refused = key.manage("POST", "/cluster/rebalance", Value::Null).await;
    refused.problem(403, "forbidden");
    let planned = rebalance("?dry_run=true").await;
    let planned = planned.as_array().expect("moves");
    assert_eq!(planned.len(), 2, "{planned:?}");
    for moving in planned {
        assert_eq!(
            (&moving["replicas"], &moving["target"]),
            (&json!([1]), &json!([2]))
        );
        assert_eq!(moving["copied_offset"], Value::Null);
    }
    assert_eq!(api.see("/cluster").await["moves"], json!([]));
    let moves = rebalance("").await;
    assert_eq!(moves.as_array().map(Vec::len), Some(2), "{moves}");
    let cluster = api.see("/cluster").await;
    let moving = cluster["moves"].as_array().expect("moves");
    assert_eq!(moving.len(), 2, "{cluster}");
    for moving in moving {
        assert_eq!(
            (&moving["replicas"], &moving["target"]),
            (&json!([1, 2]), &json!([2]))
        );
        assert_eq!(moving["copied_offset"], 0, "nobody is broker 2");
    }
    // Nothing lacks: what was asked for is there.
    assert_eq!(cluster["under_replicated"], 0, "{cluster}");
    assert_eq!(rebalance("").await, json!([]));
    key.produce(&path, r#"{"records":[{"partition":2,"value":"still"}]}"#)
        .await;
    // Who was to take them leaves: they stay where they are.
    let leave = api.manage("POST", "/cluster/brokers/2/drain", Value::Null);
    leave.await.expect(200);
    let stay = async || {
        let cluster = api.see("/cluster").await;
        cluster["moves"] == json!([]) && cluster["brokers"][1]["replicas"] == 0
    };
    eventually("they stay", stay).await;
    assert_eq!(key.high_watermarks(&path).await, [0, 0, 2, 0]);
    let events = tenant.path("/audit-events?action=rebalanceCluster&outcome=allowed");
    let events = api.see(&events).await;
    assert_eq!(
        events["events"].as_array().map(Vec::len),
        Some(1),
        "{events}"
    );
    assert_eq!(events["events"][0]["target"], "cluster");
}

async fn a_broker_is_removed_once_it_holds_nothing(engine: Engine) {
    let (_server, tenant, database) = alone(engine).await;
    let (key, api) = (&tenant.key, &tenant.owner.api);
    make_up(&database, &[2]).await;
    key.topic("gone", 2).await;
    key.topic("kept", 2).await;
    let remove = async |broker: &str| {
        let path = format!("/cluster/brokers/{broker}");
        api.manage("DELETE", &path, Value::Null).await
    };
    for nobody in ["7", "x"] {
        remove(nobody).await.problem(404, "not_found");
    }
    remove("1").await.problem(409, "broker_in_use");
    remove("2").await.problem(409, "broker_in_use");
    key.send("DELETE", "/topics/gone", "").await.expect(204);
    database
        .run("UPDATE brokers SET fenced = 1 WHERE id = 2")
        .await;
    database.tell("broker", "SELECT '2' AS id").await;
    remove("2").await.problem(409, "broker_in_use");
    let drain = api.manage("POST", "/cluster/brokers/2/drain", Value::Null);
    assert_eq!(drain.await.expect(200).json()["state"], "fenced");
    // There is nobody to take its copies.
    remove("2").await.problem(409, "broker_in_use");
    key.send("DELETE", "/topics/kept", "").await.expect(204);
    let dry = remove("2?dry_run=true").await;
    assert_eq!(dry.header("headwater-dry-run"), Some("true"));
    assert_eq!(api.see("/cluster/brokers").await["brokers"][1]["id"], 2);
    remove("2").await.expect(204);
    let brokers = api.see("/cluster/brokers").await;
    assert_eq!(
        brokers["brokers"].as_array().map(Vec::len),
        Some(1),
        "{brokers}"
    );
    remove("2").await.problem(404, "not_found");
    // Nobody waits for it to delete what it had.
    assert_eq!(
        database.text("SELECT topic_id FROM partitions").await,
        [""; 0]
    );
    key.topic("kept", 1).await;
}
