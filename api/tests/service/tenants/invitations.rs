//! How people come in: an invitation is for one address, works once, and ends.

use serde_json::{Value, json};

use super::people::{Engine, Tenant, accept, on_both_engines, sign_in, try_sign_in};
use crate::harness::unique;

on_both_engines!(
    an_invitation_makes_an_account_once,
    an_account_joins_another_organization,
    an_invitation_is_for_its_address,
    a_new_invitation_ends_the_old_one,
    a_withdrawn_invitation_is_dead,
    tokens_are_shown_to_the_inviter_only,
    bad_invitations_are_refused,
    a_dry_run_invites_nobody,
    members_are_listed_in_pages,
);

fn address() -> String {
    format!("{}@example.com", unique("invited"))
}

const PASSWORD: &str = "correct horse battery";

async fn an_invitation_makes_an_account_once(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let email = address();
    let invited = tenant
        .put_member(&email, "developer")
        .await
        .expect(201)
        .json();
    assert_eq!(
        (&invited["email"], &invited["role"], &invited["state"]),
        (&json!(email), &json!("developer"), &json!("invited"))
    );
    let expires: jiff::Timestamp = invited["expires_at"].as_str().unwrap().parse().unwrap();
    assert!(expires > jiff::Timestamp::now());
    let token = invited["token"].as_str().expect("a token");
    assert!(token.starts_with("hwi_"), "{}", token.len());

    let guest = tenant.stranger();
    try_sign_in(&guest, &email, PASSWORD)
        .await
        .problem(401, "unauthenticated");
    let listed = tenant
        .owner
        .api
        .see(&tenant.path(&format!("/members/{email}")))
        .await;
    assert_eq!(listed["state"], "invited");
    accept(&guest, token, None).await.any_problem();
    accept(&guest, token, Some("too short"))
        .await
        .problem(422, "invalid_setting");
    accept(&guest, token, Some(PASSWORD)).await.expect(200);
    accept(&guest, token, Some(PASSWORD))
        .await
        .problem(404, "not_found");
    let person = sign_in(&guest, &email, PASSWORD).await;
    let member = tenant
        .owner
        .api
        .see(&tenant.path(&format!("/members/{email}")))
        .await;
    assert_eq!(
        (&member["state"], &member["role"]),
        (&json!("active"), &json!("developer"))
    );
    assert!(
        member.get("expires_at").is_none_or(Value::is_null),
        "{member}"
    );
    person.api.topic("made-by-the-new-one", 1).await;
}

async fn an_account_joins_another_organization(engine: Engine) {
    let first = Tenant::new(engine).await;
    let second = Tenant::new(engine).await;
    let person = first.person("viewer").await;
    let token = second.invite(&person.email, "admin").await;
    // Without a credential the password must be the account's.
    accept(&second.stranger(), &token, Some("some other password"))
        .await
        .any_problem();
    try_sign_in(&second.stranger(), &person.email, "some other password")
        .await
        .problem(401, "unauthenticated");
    accept(&person.api, &token, None).await.expect(200);
    let mine = person.api.see("/organizations").await;
    let mut mine: Vec<_> = mine["organizations"]
        .as_array()
        .expect("organizations")
        .iter()
        .map(|one| (one["id"].as_str().unwrap(), one["role"].as_str().unwrap()))
        .collect();
    mine.sort_unstable();
    let mut expected = [
        (first.organization.as_str(), "viewer"),
        (second.organization.as_str(), "admin"),
    ];
    expected.sort_unstable();
    assert_eq!(mine, expected);

    let third = Tenant::new(engine).await;
    let token = third.invite(&person.email, "viewer").await;
    accept(&third.stranger(), &token, Some(&person.password))
        .await
        .expect(200);
    person.api.see(&third.path("")).await;
}

async fn an_invitation_is_for_its_address(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let other = Tenant::new(engine).await;
    let (email, outsider) = (address(), other.person("developer").await);
    let token = tenant.invite(&email, "admin").await;
    accept(&outsider.api, &token, None)
        .await
        .problem(403, "forbidden");
    accept(&outsider.api, &token, Some(PASSWORD))
        .await
        .problem(403, "forbidden");
    accept(&other.key, &token, None).await.any_problem();
    let answer = outsider
        .api
        .manage("GET", &tenant.path(""), Value::Null)
        .await;
    answer.problem(404, "not_found");
    // It is still there for whom it was meant.
    accept(&tenant.stranger(), &token, Some(PASSWORD))
        .await
        .expect(200);
}

async fn a_new_invitation_ends_the_old_one(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let email = address();
    let old = tenant.invite(&email, "viewer").await;
    let again = tenant
        .put_member(&email, "developer")
        .await
        .expect(200)
        .json();
    let new = again["token"].as_str().expect("a new token");
    assert_ne!(new, old);
    let guest = tenant.stranger();
    accept(&guest, &old, Some(PASSWORD))
        .await
        .problem(404, "not_found");
    let joined = accept(&guest, new, Some(PASSWORD)).await.expect(200).json();
    assert_eq!(joined["role"], "developer");
}

async fn a_withdrawn_invitation_is_dead(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let email = address();
    let token = tenant.invite(&email, "viewer").await;
    tenant.remove(&email).await;
    let guest = tenant.stranger();
    let withdrawn = accept(&guest, &token, Some(PASSWORD)).await;
    withdrawn.problem(404, "not_found");
    let unknown = accept(&guest, &format!("hwi_{}", "0".repeat(64)), Some(PASSWORD)).await;
    assert_eq!(
        withdrawn.timeless().to_string().replace(&token, "T"),
        unknown
            .timeless()
            .to_string()
            .replace(&format!("hwi_{}", "0".repeat(64)), "T")
    );
    accept(&guest, "nonsense", Some(PASSWORD))
        .await
        .problem(404, "not_found");
    let member = tenant.path(&format!("/members/{email}"));
    tenant
        .owner
        .api
        .manage("GET", &member, Value::Null)
        .await
        .problem(404, "not_found");
    tenant
        .owner
        .api
        .manage("DELETE", &member, Value::Null)
        .await
        .problem(404, "not_found");

    // An organization takes its invitations with it.
    let token = tenant.invite(&email, "viewer").await;
    tenant
        .owner
        .api
        .manage("DELETE", &tenant.path(""), Value::Null)
        .await
        .expect(204);
    accept(&guest, &token, Some(PASSWORD))
        .await
        .problem(404, "not_found");
}

async fn tokens_are_shown_to_the_inviter_only(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let email = address();
    let token = tenant.invite(&email, "viewer").await;
    let secret = token.strip_prefix("hwi_").expect("a token");
    for path in [
        "/members".to_owned(),
        format!("/members/{email}"),
        "/audit-events".to_owned(),
    ] {
        let answer = tenant
            .owner
            .api
            .manage("GET", &tenant.path(&path), Value::Null)
            .await;
        let text = answer.expect(200).text;
        assert!(!text.contains(secret), "{path}");
    }
}

async fn bad_invitations_are_refused(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    for (email, body) in [
        ("somebody@example.com", json!({"role": "king"})),
        ("somebody@example.com", json!({})),
        ("somebody@example.com", json!({"role": null})),
        (
            "somebody@example.com",
            json!({"role": "viewer", "email": "x@example.com"}),
        ),
        ("no-address", json!({"role": "viewer"})),
        ("two@at@example.com", json!({"role": "viewer"})),
        ("line%0Abreak@example.com", json!({"role": "viewer"})),
    ] {
        let path = tenant.path(&format!("/members/{email}"));
        let answer = tenant.owner.api.manage("PUT", &path, body.clone()).await;
        assert!(
            [400, 422].contains(&answer.status),
            "{email} {body}: {}",
            answer.text
        );
        assert!(
            !answer.any_problem()["errors"]
                .as_array()
                .expect("errors")
                .is_empty()
        );
    }
    let members = tenant.owner.api.see(&tenant.path("/members")).await;
    assert_eq!(
        members["members"].as_array().map(Vec::len),
        Some(1),
        "{members}"
    );
    // One person, however the address is written.
    let email = address();
    tenant.invite(&email, "viewer").await;
    let again = tenant.put_member(&email.to_uppercase(), "viewer").await;
    again.expect(200);
}

async fn a_dry_run_invites_nobody(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let email = address();
    let path = tenant.path(&format!("/members/{email}?dry_run=true"));
    let answer = tenant
        .owner
        .api
        .manage("PUT", &path, json!({"role": "viewer"}))
        .await
        .expect(201);
    assert_eq!(answer.header("headwater-dry-run"), Some("true"));
    assert_eq!(answer.json()["token"], Value::Null);
    let path = tenant.path(&format!("/members/{email}"));
    tenant
        .owner
        .api
        .manage("GET", &path, Value::Null)
        .await
        .problem(404, "not_found");

    let token = tenant.invite(&email, "viewer").await;
    let dry = format!("{path}?dry_run=true");
    tenant
        .owner
        .api
        .manage("PUT", &dry, json!({"role": "admin"}))
        .await
        .expect(200);
    tenant
        .owner
        .api
        .manage("DELETE", &dry, Value::Null)
        .await
        .expect(204);
    let joined = accept(&tenant.stranger(), &token, Some(PASSWORD))
        .await
        .expect(200)
        .json();
    assert_eq!(joined["role"], "viewer", "neither changed nor withdrawn");
}

async fn members_are_listed_in_pages(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    for _ in 0..5 {
        tenant.invite(&address(), "viewer").await;
    }
    let mut emails = Vec::new();
    let mut token = String::new();
    loop {
        let page = tenant
            .owner
            .api
            .see(&tenant.path(&format!("/members?page_size=2{token}")))
            .await;
        let members = page["members"].as_array().expect("members");
        assert!(members.len() <= 2);
        emails.extend(
            members
                .iter()
                .map(|one| one["email"].as_str().unwrap().to_owned()),
        );
        match page["next_page_token"].as_str() {
            Some(next) => token = format!("&page_token={next}"),
            None => break,
        }
    }
    assert_eq!(emails.len(), 6);
    let mut sorted = emails.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(emails, sorted);
}
