//! A metadata database that is away, or hangs.

use std::time::{Duration, Instant};

use super::tenant;
use crate::harness::{Server, eventually};
use crate::postgres::Postgres;

const RECORD: &str = r#"{"records":[{"value":1}]}"#;

/// The longest that any call may take while the database hangs.
const BOUND: Duration = Duration::from_secs(15);

#[tokio::test]
async fn the_data_plane_goes_on_while_the_database_is_down_or_hangs() {
    let mut postgres = Postgres::start();
    let server = Server::start_on(&postgres.database()).await;
    let api = tenant(&server, "acme", "acme-main").await;
    api.topic("orders", 1).await;

    for hang in [true, false] {
        if hang {
            postgres.freeze();
        } else {
            postgres.kill9();
        }
        for _ in 0..20 {
            let started = Instant::now();
            api.produce("/topics/orders", RECORD).await;
            api.get("/topics/orders/records").await.expect(200);
            assert!(started.elapsed() < BOUND);
        }
        let started = Instant::now();
        let refused = api
            .send("PUT", "/topics/later", r#"{"partitions":1}"#)
            .await;
        println!("a change was refused after {:?}", started.elapsed());
        assert!(started.elapsed() < BOUND, "{:?}", started.elapsed());
        assert!(matches!(refused.status, 503 | 504), "{}", refused.text);
        let health = server.root() + "/readyz";
        let ready = crate::client::reply(api.anonymous("GET", &health)).await;
        assert_eq!(ready.status, 503);
        assert!(started.elapsed() < 2 * BOUND);

        if hang {
            postgres.thaw();
        } else {
            postgres.launch();
        }
        eventually("changes are taken again", async || {
            let change = api
                .send("PUT", "/topics/later", r#"{"partitions":1}"#)
                .await;
            matches!(change.status, 200 | 201)
        })
        .await;
        api.send("DELETE", "/topics/later", "").await.expect(204);
    }
}
