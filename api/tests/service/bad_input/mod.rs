//! Everything that a client can do wrong has its answer, and the next request works.

mod bodies;
mod bombs;
mod places;
mod records;
mod settings;
mod sockets;

use serde_json::Value;

use crate::client::{Api, Reply};

/// A request that is wrong in one way, and what it is told.
struct Wrong {
    what: &'static str,
    method: &'static str,
    /// Below the project; `{t}` is a topic of two partitions and ten records.
    path: String,
    body: Vec<u8>,
    status: u16,
    code: &'static str,
    /// One of the places that the problem must name, if it must.
    pointer: Option<&'static str>,
}

/// A wrong body for produce.
fn body(
    what: &'static str,
    body: impl Into<Vec<u8>>,
    (status, code): (u16, &'static str),
    pointer: impl Into<Option<&'static str>>,
) -> Wrong {
    let path = "{t}/records".to_owned();
    Wrong {
        what,
        method: "POST",
        path,
        body: body.into(),
        status,
        code,
        pointer: pointer.into(),
    }
}

/// A wrong query of a GET.
fn query(
    what: &'static str,
    path: &str,
    (status, code): (u16, &'static str),
    pointer: &'static str,
) -> Wrong {
    let pointer = (!pointer.is_empty()).then_some(pointer);
    Wrong {
        what,
        method: "GET",
        path: path.to_owned(),
        body: Vec::new(),
        status,
        code,
        pointer,
    }
}

const JSON: (u16, &str) = (400, "invalid_json");
const INVALID: (u16, &str) = (400, "invalid_request");
const LARGE: (u16, &str) = (413, "payload_too_large");

/// A topic of its own for a table: two partitions, ten records in the first.
async fn victim(api: &Api) -> String {
    let topic = api.topic(&crate::harness::unique("victim"), 2).await;
    let records: Vec<_> = (0..10)
        .map(|n| format!("{{\"partition\":0,\"value\":{n}}}"))
        .collect();
    api.produce(&topic, format!("{{\"records\":[{}]}}", records.join(",")))
        .await;
    topic
}

/// Sends every wrong request, checks its answer, and that the service is as it was.
async fn check(api: &Api, table: Vec<Wrong>) {
    let topic = victim(api).await;
    let mut failures = Vec::new();
    for wrong in table {
        let path = wrong.path.replace("{t}", &topic);
        let answer = api.send(wrong.method, &path, wrong.body.clone()).await;
        if let Err(why) = judge(&wrong, &answer) {
            failures.push(format!(
                "{}: {why}: {} {:.300}",
                wrong.what, answer.status, answer.text
            ));
        }
        let page = api
            .get(&format!("{topic}/partitions/0/records?offset=9"))
            .await;
        assert_eq!(
            page.expect(200).rows().len(),
            1,
            "the next request works after: {}",
            wrong.what
        );
    }
    assert!(
        failures.is_empty(),
        "{} wrong answers:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert_eq!(
        api.high_watermarks(&topic).await,
        [10, 0],
        "nothing was applied"
    );
}

fn judge(wrong: &Wrong, answer: &Reply) -> Result<(), String> {
    if answer.status != wrong.status {
        return Err(format!("{} expected", wrong.status));
    }
    let problem: Value = answer.any_problem();
    if problem["code"] != wrong.code {
        return Err(format!("{} expected", wrong.code));
    }
    if problem["outcome"] != "not_applied" {
        return Err("not_applied expected".to_owned());
    }
    let Some(pointer) = wrong.pointer else {
        return Ok(());
    };
    let errors = problem["errors"].as_array().ok_or("no errors")?;
    if !errors.iter().any(|error| error["pointer"] == pointer) {
        return Err(format!("{pointer} expected"));
    }
    let whole = |error: &Value| {
        ["code", "message"]
            .iter()
            .all(|name| error[name].is_string())
    };
    if errors.iter().all(whole) {
        Ok(())
    } else {
        Err("each error has code and message".to_owned())
    }
}
