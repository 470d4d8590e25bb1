//! The object store: whether a broker may do there what it has to.

use std::time::Duration;

use headwater_tiered::{Bounds, Store, StoreError, StoreErrorKind, StoreOptions};

use super::report::{Finding, Status};

const CHECK: &str = "object_store";
/// Somebody waits: a call that is not answered is given up sooner than by a broker.
const BOUNDS: Bounds = Bounds {
    attempt: Duration::from_secs(5),
    total: Duration::from_secs(8),
};

/// Tries the store of that URL out, and looks whose it is.
pub async fn check(url: &str, cluster_id: Option<&str>) -> Vec<Finding> {
    let options = StoreOptions {
        foreground: BOUNDS,
        background: BOUNDS,
        ..StoreOptions::default()
    };
    match Store::open(url, options) {
        Ok(store) => {
            let mut findings = vec![permissions(&store).await];
            // A store that does not answer does not say whose it is, either.
            if findings[0].status != Status::Failed {
                findings.push(owner(&store, cluster_id).await);
            }
            findings
        }
        Err(error) => vec![failed(error)],
    }
}

fn failed(error: StoreError) -> Finding {
    let advice = match error.kind() {
        StoreErrorKind::Denied => {
            "give the credentials that AWS_* name s3:GetObject, s3:PutObject, s3:DeleteObject on the \
             prefix, and s3:ListBucket on the bucket"
        }
        StoreErrorKind::Unavailable => {
            "check AWS_ENDPOINT (an http:// one also wants AWS_ALLOW_HTTP=true), AWS_REGION and the \
             network; until it answers nothing leaves the disks"
        }
        StoreErrorKind::NotFound | StoreErrorKind::Invalid => {
            "check --object-store: the bucket must exist, and lists what is in it"
        }
        StoreErrorKind::Corrupt => "it does not keep what is written to it: use another store",
    };
    Finding::failed(CHECK, error.to_string(), advice)
}

async fn permissions(store: &Store) -> Finding {
    let probe = match store.probe().await {
        Ok(probe) => probe,
        Err(error) => return failed(error),
    };
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    let (write_ms, read_ms) = (ms(probe.write_elapsed), ms(probe.read_elapsed));
    let found =
        format!("{store} writes in {write_ms:.1} ms, reads in {read_ms:.1} ms, lists and deletes");
    let finding = match probe.is_conditional {
        true => Finding::ok(CHECK, format!("{found}; conditional PUT works")),
        false => Finding::warning(
            CHECK,
            format!("{found}; conditional PUT does not work"),
            "keep other clusters off this prefix: two that start at the same time could both claim it",
        ),
    };
    finding.with("write_ms", write_ms).with("read_ms", read_ms)
}

async fn owner(store: &Store, cluster_id: Option<&str>) -> Finding {
    const CHECK: &str = "object_store_owner";
    match (store.claimed_by().await, cluster_id) {
        (Ok(None), _) => Finding::ok(CHECK, "nobody's yet: the first broker claims it"),
        (Ok(Some(owner)), Some(cluster_id)) if owner == cluster_id => {
            Finding::ok(CHECK, "this cluster's own")
        }
        (Ok(Some(owner)), Some(_)) => Finding::failed(
            CHECK,
            format!("it belongs to cluster {owner}"),
            "use another bucket or prefix, or the database of that cluster",
        ),
        (Ok(Some(owner)), None) => Finding::warning(
            CHECK,
            format!("it belongs to cluster {owner}, and the database is of none"),
            "use another bucket or prefix; if the database was lost, see `headwater bucket rebuild`",
        ),
        (Err(error), _) => failed(error),
    }
}
