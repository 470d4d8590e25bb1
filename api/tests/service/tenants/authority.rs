//! Authority is what one has when a change begins, not what one had when its request was begun; and what
//! one tenant does badly costs no other anything.

use std::time::Duration;

use futures_util::stream;
use serde_json::{Value, json};

use super::people::{Engine, Person, Tenant, accept, everything, on_both_engines, sign_in};
use crate::client::{Api, Reply, reply};
use crate::harness::{eventually, unique};

on_both_engines!(
    a_slow_body_carries_no_lost_authority,
    a_slow_body_carries_no_key_that_expired,
    nothing_is_made_in_what_was_deleted,
    an_odd_refusal_keeps_no_others_out_of_the_log,
    made_up_cookies_are_counted,
    guesses_at_once_are_as_many_as_one_after_another,
    a_key_does_not_lift_its_own_quota,
    an_owners_invitation_is_the_business_of_owners,
    nul_is_refused_as_bad_input,
);

/// A call whose body comes after `meanwhile` has been done.
async fn slowly(
    api: &Api,
    method: &str,
    path: &str,
    body: &Value,
    meanwhile: impl Future<Output = ()>,
) -> Reply {
    let (send, receive) = tokio::sync::oneshot::channel::<String>();
    let chunks = stream::once(async move { receive.await.map_err(std::io::Error::other) });
    let request = api
        .managing(method, path, Value::Null)
        .header("content-type", "application/json")
        .body(reqwest::Body::wrap_stream(chunks));
    let answer = tokio::spawn(reply(request));
    // Its head is read by then; if it is not, the call is refused all the more.
    tokio::time::sleep(Duration::from_millis(300)).await;
    meanwhile.await;
    send.send(body.to_string()).expect("it is waited for");
    answer.await.expect("no panic")
}

async fn a_slow_body_carries_no_lost_authority(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let scopes = json!({"scopes": everything()});
    let gone = tenant.person("admin").await;
    let member = tenant.path("/members/late@example.com");
    let admin = json!({"role": "admin"});
    let late = slowly(
        &gone.api,
        "PUT",
        &member,
        &admin,
        tenant.remove(&gone.email),
    )
    .await;
    late.problem(404, "not_found");
    let demoted = tenant.person("admin").await;
    let demote = async || {
        tenant
            .put_member(&demoted.email, "viewer")
            .await
            .expect(200);
    };
    let key = tenant.in_project("/keys/late");
    let late = slowly(&demoted.api, "PUT", &key, &scopes, demote()).await;
    late.problem(403, "forbidden");
    let writer = tenant.key_with(everything()).await;
    let path = tenant.key.topic("slow", 1).await;
    let name = writer.see("/me").await["key_name"]
        .as_str()
        .expect("a name")
        .to_owned();
    let records = format!("/projects/{}{path}/records", tenant.project);
    let record = json!({"records": [{"value": 1}]});
    let delete = async || {
        let key = tenant.in_project(&format!("/keys/{name}"));
        let deleted = tenant.owner.api.manage("DELETE", &key, Value::Null).await;
        deleted.expect(204);
    };
    let late = slowly(&writer, "POST", &records, &record, delete()).await;
    late.problem(401, "unauthenticated");
    assert_eq!(tenant.key.high_watermarks(&path).await, [0]);
    let members = tenant
        .owner
        .api
        .see(&tenant.path("/members"))
        .await
        .to_string();
    assert!(!members.contains("late@example.com"), "{members}");
}

async fn a_slow_body_carries_no_key_that_expired(engine: Engine) {
    // On its own: no metadata changes while the body comes.
    let server = engine.own().await;
    let tenant = Tenant::on(&server).await;
    let path = tenant.key.topic("slow", 1).await;
    let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    let wanted = json!({"scopes": everything(), "expires_at": expires.to_string()});
    let key = tenant.in_project("/keys/brief");
    let made = tenant.owner.api.manage("PUT", &key, wanted).await;
    let key = tenant.key.with_key(&made.expect(201).json_member("secret"));
    key.get("/topics").await.expect(200);
    let records = format!("/projects/{}{path}/records", tenant.project);
    let record = json!({"records": [{"value": 1}]});
    let expiry = tokio::time::sleep(Duration::from_millis(2_500));
    let late = slowly(&key, "POST", &records, &record, expiry).await;
    late.problem(401, "unauthenticated");
    assert_eq!(tenant.key.high_watermarks(&path).await, [0]);
}

async fn nothing_is_made_in_what_was_deleted(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let project = tenant.another_project().await;
    let api = &tenant.owner.api;
    let delete = async |path: String| {
        api.manage("DELETE", &path, Value::Null).await.expect(204);
    };
    let key = format!("/projects/{project}/keys/late");
    let scopes = json!({"scopes": everything()});
    let deleted = delete(format!("/projects/{project}"));
    slowly(api, "PUT", &key, &scopes, deleted)
        .await
        .problem(404, "not_found");
    let again = json!({"id": project});
    api.manage("POST", &tenant.path("/projects"), again)
        .await
        .expect(201);
    let keys = api.see(&format!("/projects/{project}/keys")).await;
    assert_eq!(
        keys["keys"],
        json!([]),
        "a project that is made again is empty"
    );
    let late = json!({"id": unique("late")});
    let projects = tenant.path("/projects");
    let deleted = delete(tenant.path(""));
    slowly(api, "POST", &projects, &late, deleted)
        .await
        .problem(404, "not_found");
}

async fn an_odd_refusal_keeps_no_others_out_of_the_log(engine: Engine) {
    let (tenant, other) = (Tenant::new(engine).await, Tenant::new(engine).await);
    let viewer = tenant.person("viewer").await;
    let refused = async |api: &Api, path: &str, id: &str| {
        let request = api
            .managing("DELETE", path, Value::Null)
            .header("x-request-id", id);
        let status = reply(request).await.status;
        assert!([403, 404].contains(&status), "{path}: {status}");
    };
    let ids = [unique("odd"), unique("long"), unique("plain")];
    let long = format!("/projects/{}", "x".repeat(6_000));
    refused(&other.owner.api, "/projects/%00%0a", &ids[0]).await;
    refused(&other.owner.api, &long, &ids[1]).await;
    refused(&viewer.api, &tenant.in_project(""), &ids[2]).await;
    for (api, tenant, ids) in [
        (&tenant.owner.api, &tenant, &ids[2..]),
        (&other.owner.api, &other, &ids[..2]),
    ] {
        eventually("the refusals are written down", async || {
            let log = api
                .see(&tenant.path("/audit-events?outcome=denied"))
                .await
                .to_string();
            assert!(log.len() < 100_000, "{}", log.len());
            ids.iter().all(|id| log.contains(id))
        })
        .await;
    }
    // What a member does elsewhere is no business of their other organization.
    let both = tenant.person("viewer").await;
    let token = other.invite(&both.email, "viewer").await;
    accept(&both.api, &token, None).await.expect(200);
    let id = unique("elsewhere");
    refused(&both.api, &other.path("/members/secret@example.com"), &id).await;
    eventually("it is written down where it was", async || {
        let log = other
            .owner
            .api
            .see(&other.path("/audit-events?outcome=denied"))
            .await;
        log.to_string().contains(&id)
    })
    .await;
    let log = tenant
        .owner
        .api
        .see(&tenant.path("/audit-events?outcome=denied"))
        .await;
    assert!(!log.to_string().contains(&id), "{log}");
}

async fn made_up_cookies_are_counted(engine: Engine) {
    let server = engine.own().await;
    let here = Api::stranger(server.root());
    for n in 0..2_000 {
        let answer = super::people::refresh(&here, &format!("hwr_{n:064x}")).await;
        if answer.status == 429 {
            answer.problem(429, "too_many_attempts");
            return;
        }
        answer.problem(401, "unauthenticated");
    }
    panic!("never stopped");
}

async fn guesses_at_once_are_as_many_as_one_after_another(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let here = Api::stranger(tenant.owner.api.root.clone());
    let guesses = (0..60).map(|n| {
        let (here, email) = (here.clone(), tenant.owner.email.clone());
        tokio::spawn(async move {
            let guess = format!("guess number {n}");
            super::people::try_sign_in(&here, &email, &guess)
                .await
                .status
        })
    });
    let mut wrong = 0;
    for guess in guesses.collect::<Vec<_>>() {
        wrong += usize::from(guess.await.expect("no panic") == 401);
    }
    assert!((1..=12).contains(&wrong), "{wrong} were tried");
}

async fn a_key_does_not_lift_its_own_quota(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let path = tenant.in_project("/keys/bounded");
    let bounded = json!({"scopes": everything(), "quotas": {"requests_per_second": 100}});
    let made = tenant.owner.api.manage("PUT", &path, bounded.clone()).await;
    let key = tenant
        .owner
        .api
        .with_key(made.expect(201).json()["secret"].as_str().unwrap());
    let lifted = json!({"scopes": everything()});
    key.manage("PUT", &path, lifted.clone())
        .await
        .problem(403, "forbidden");
    let other = tenant.in_project("/keys/free");
    key.manage("PUT", &other, lifted)
        .await
        .problem(403, "forbidden");
    key.manage("PUT", &path, bounded).await.expect(200);
}

async fn an_owners_invitation_is_the_business_of_owners(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let admin = tenant.person("admin").await;
    let email = format!("{}@example.com", unique("heir"));
    let token = tenant.invite(&email, "owner").await;
    let member = tenant.path(&format!("/members/{email}"));
    let viewer = json!({"role": "viewer"});
    admin
        .api
        .manage("PUT", &member, viewer)
        .await
        .problem(403, "forbidden");
    let guest = tenant.stranger();
    accept(&guest, &token, Some("a long password"))
        .await
        .expect(200);
    let Person { api, .. } = sign_in(&guest, &email, "a long password").await;
    assert_eq!(api.see(&tenant.path("")).await["role"], "owner");
    // One leaves however one writes one's own address.
    let itself = tenant.path(&format!("/members/{}", email.to_uppercase()));
    api.manage("DELETE", &itself, Value::Null).await.expect(204);
}

async fn nul_is_refused_as_bad_input(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let api = &tenant.owner.api;
    for (path, status) in [
        (tenant.path("/members?page_token=AA"), 400),
        (tenant.path("/audit-events?actor=%00"), 400),
        (tenant.in_project("/keys/%00"), 404),
        (tenant.path("/issuers/%00"), 404),
    ] {
        api.manage("GET", &path, Value::Null)
            .await
            .any_problem_of(status);
    }
    let body = json!({"email": "a\u{0}@example.com", "password": "whatever it is"});
    let signed_in = tenant.stranger().manage("POST", "/sessions", body).await;
    signed_in.problem(401, "unauthenticated");
    let body = r#"{"description":"a\u0000b"}"#;
    let topic = tenant.key.send("PUT", "/topics/described", body).await;
    topic.any_problem_of(400);
}
