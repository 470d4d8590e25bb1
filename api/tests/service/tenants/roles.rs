//! What roles do to each other: owners, admins, leaving, and keys that follow their maker.

use serde_json::{Value, json};

use super::people::{Engine, Tenant, everything, make_key, on_both_engines, takes_effect};
use crate::harness::unique;

on_both_engines!(
    the_last_owner_stays,
    two_owners_cannot_both_go_at_once,
    admins_do_not_touch_owners,
    developers_have_their_own_keys_only,
    viewers_read_and_no_more,
    members_may_leave,
    keys_follow_their_maker,
    a_role_acts_on_the_tokens_that_are_out,
    me_says_who_one_is,
);

async fn the_last_owner_stays(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let own = tenant.path(&format!("/members/{}", tenant.owner.email));
    let api = &tenant.owner.api;
    let removed = api.manage("DELETE", &own, Value::Null).await;
    removed.problem(409, "last_owner");
    for role in ["admin", "developer", "viewer"] {
        let changed = api.manage("PUT", &own, json!({ "role": role })).await;
        changed.problem(409, "last_owner");
    }
    let kept = api.manage("PUT", &own, json!({"role": "owner"})).await;
    assert_eq!(kept.expect(200).json()["role"], "owner");
    // An invited owner is none yet.
    tenant
        .invite(&format!("{}@example.com", unique("invited")), "owner")
        .await;
    let removed = api.manage("DELETE", &own, Value::Null).await;
    removed.problem(409, "last_owner");

    let second = tenant.person("owner").await;
    api.manage("DELETE", &own, Value::Null).await.expect(204);
    let theirs = tenant.path(&format!("/members/{}", second.email));
    let removed = second.api.manage("DELETE", &theirs, Value::Null).await;
    removed.problem(409, "last_owner");
}

async fn two_owners_cannot_both_go_at_once(engine: Engine) {
    for _ in 0..5 {
        let tenant = Tenant::new(engine).await;
        let second = tenant.person("owner").await;
        let first_path = tenant.path(&format!("/members/{}", tenant.owner.email));
        let second_path = tenant.path(&format!("/members/{}", second.email));
        let (one, two) = tokio::join!(
            tenant.owner.api.manage("DELETE", &second_path, Value::Null),
            second.api.manage("DELETE", &first_path, Value::Null),
        );
        let statuses = [one.status, two.status];
        assert_eq!(
            statuses.iter().filter(|status| **status == 204).count(),
            1,
            "{one:?} {two:?}"
        );
        let left = if one.status == 204 {
            &tenant.owner
        } else {
            &second
        };
        let members = left.api.see(&tenant.path("/members")).await;
        let owners = members["members"].as_array().expect("members").iter();
        assert_eq!(owners.filter(|member| member["role"] == "owner").count(), 1);
    }
}

async fn admins_do_not_touch_owners(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let admin = tenant.person("admin").await;
    let other = tenant.person("owner").await;
    let developer = tenant.person("developer").await;
    let owner_path = tenant.path(&format!("/members/{}", other.email));
    for (method, body) in [("PUT", json!({"role": "viewer"})), ("DELETE", Value::Null)] {
        let answer = admin.api.manage(method, &owner_path, body).await;
        answer.problem(403, "forbidden");
    }
    for email in [&developer.email, &admin.email, "new-owner@example.com"] {
        let path = tenant.path(&format!("/members/{email}"));
        let answer = admin
            .api
            .manage("PUT", &path, json!({"role": "owner"}))
            .await;
        answer.problem(403, "forbidden");
    }
    let rules = json!([{"claim": "team", "value": "data", "role": "owner"}]);
    let issuer = json!({"issuer": "https://a.example.com", "audience": "x", "rules": rules});
    let path = tenant.path("/issuers/becoming-owner");
    let answer = admin.api.manage("PUT", &path, issuer.clone()).await;
    answer.problem(403, "forbidden");
    tenant
        .owner
        .api
        .manage("PUT", &path, issuer)
        .await
        .expect(201);
    // The rest of the organization is an admin's to run.
    let path = tenant.path(&format!("/members/{}", developer.email));
    let changed = admin
        .api
        .manage("PUT", &path, json!({"role": "admin"}))
        .await;
    assert_eq!(changed.expect(200).json()["role"], "admin");
    admin
        .api
        .manage("DELETE", &path, Value::Null)
        .await
        .expect(204);
    let removed = admin
        .api
        .manage("DELETE", &tenant.path(""), Value::Null)
        .await;
    removed.problem(403, "forbidden");
    assert_eq!(other.api.see(&owner_path).await["role"], "owner");
}

async fn developers_have_their_own_keys_only(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let developer = tenant.person("developer").await;
    let colleague = tenant.person("developer").await;
    let path = |name: &str| tenant.in_project(&format!("/keys/{name}"));
    make_key(&developer.api, &path("mine"), everything()).await;
    make_key(&colleague.api, &path("theirs"), everything()).await;
    let listed = developer.api.see(&tenant.in_project("/keys")).await;
    let names: Vec<_> = listed["keys"].as_array().expect("keys").iter().collect();
    assert_eq!(names.len(), 1, "{listed}");
    assert_eq!(
        (&names[0]["name"], &names[0]["created_by"]),
        (&json!("mine"), &json!(developer.email))
    );

    let scopes = json!({"scopes": [{"operations": ["fetch"], "topic": "*"}]});
    for (method, path, body) in [
        ("PUT", path("theirs"), scopes.clone()),
        ("DELETE", path("theirs"), Value::Null),
        ("POST", format!("{}/rotate", path("theirs")), Value::Null),
    ] {
        let answer = developer.api.manage(method, &path, body).await;
        answer.problem(403, "forbidden");
    }
    developer
        .api
        .manage("PUT", &path("mine"), scopes)
        .await
        .expect(200);
    developer
        .api
        .manage("POST", &format!("{}/rotate", path("mine")), Value::Null)
        .await
        .expect(200);
    developer
        .api
        .manage("DELETE", &path("mine"), Value::Null)
        .await
        .expect(204);
    // An admin sees all of them.
    let admin = tenant.person("admin").await;
    let listed = admin.api.see(&tenant.in_project("/keys")).await;
    assert!(listed.to_string().contains(&colleague.email), "{listed}");
}

async fn viewers_read_and_no_more(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let viewer = tenant.person("viewer").await;
    let path = tenant.key.topic("read", 1).await;
    tenant
        .key
        .produce(&path, r#"{"records":[{"value":"seen"}]}"#)
        .await;
    let page = viewer.api.get(&format!("{path}/records")).await.expect(200);
    assert_eq!(page.rows()[0].value, r#""seen""#);
    assert_eq!(viewer.api.see(&tenant.path("")).await["role"], "viewer");
    let record = r#"{"records":[{"value":1}]}"#;
    viewer
        .api
        .send("POST", &format!("{path}/records"), record)
        .await
        .problem(403, "forbidden");
    viewer
        .api
        .send("DELETE", &path, "")
        .await
        .problem(403, "forbidden");
    let key = tenant.in_project("/keys/made-by-a-viewer");
    let made = viewer
        .api
        .manage("PUT", &key, json!({"scopes": everything()}))
        .await;
    made.problem(403, "forbidden");
    assert_eq!(tenant.key.high_watermarks(&path).await, [1]);
}

async fn members_may_leave(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    for role in ["viewer", "developer", "admin", "owner"] {
        let person = tenant.person(role).await;
        let own = tenant.path(&format!("/members/{}", person.email));
        person
            .api
            .manage("DELETE", &own, Value::Null)
            .await
            .expect(204);
        takes_effect("a member who left sees nothing", async || {
            let answer = person
                .api
                .manage("GET", &tenant.path(""), Value::Null)
                .await;
            answer.status == 404
        })
        .await;
        person.api.get("/topics").await.problem(404, "not_found");
        let left = person.api.see("/organizations").await;
        assert_eq!(
            left["organizations"],
            json!([]),
            "the account stays, the membership does not"
        );
        let again = tenant.owner.api.manage("GET", &own, Value::Null).await;
        again.problem(404, "not_found");
    }
}

async fn keys_follow_their_maker(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let path = tenant.key.topic("followed", 1).await;
    let maker = tenant.person("developer").await;
    let key = make_key(
        &maker.api,
        &tenant.in_project("/keys/follows"),
        everything(),
    )
    .await;
    let record = r#"{"records":[{"value":1}]}"#;
    let records = format!("{path}/records");
    key.send("POST", &records, record).await.expect(200);

    tenant.put_member(&maker.email, "viewer").await.expect(200);
    takes_effect("a demoted maker's key no longer writes", async || {
        key.send("POST", &records, record).await.status == 403
    })
    .await;
    key.get(&records).await.expect(200);
    key.get("/topics").await.expect(200);
    key.send("PUT", "/topics/more", "{}")
        .await
        .problem(403, "forbidden");

    tenant
        .put_member(&maker.email, "developer")
        .await
        .expect(200);
    takes_effect("a promoted maker's key writes again", async || {
        key.send("POST", &records, record).await.status == 200
    })
    .await;

    tenant.remove(&maker.email).await;
    takes_effect("the key of one who was removed", async || {
        key.get("/topics").await.status == 401
    })
    .await;
    key.get("/topics").await.problem(401, "unauthenticated");
    tenant.key.get(&records).await.expect(200);
}

async fn a_role_acts_on_the_tokens_that_are_out(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let path = tenant.key.topic("acted", 1).await;
    let person = tenant.person("developer").await;
    let records = format!("{path}/records");
    let record = r#"{"records":[{"value":1}]}"#;
    person.api.send("POST", &records, record).await.expect(200);
    tenant.put_member(&person.email, "viewer").await.expect(200);
    takes_effect("a demoted person no longer writes", async || {
        person.api.send("POST", &records, record).await.status == 403
    })
    .await;
    person.api.get(&records).await.expect(200);
    tenant.put_member(&person.email, "admin").await.expect(200);
    takes_effect("a promoted person makes projects", async || {
        let path = tenant.path("/projects?dry_run=true");
        let body = json!({"id": "not-made-at-all"});
        person.api.manage("POST", &path, body).await.status == 201
    })
    .await;
}

async fn me_says_who_one_is(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let developer = tenant.person("developer").await;
    let me = developer.api.see("/me").await;
    assert_eq!(
        (&me["kind"], &me["email"], &me["operator"]),
        (&json!("user"), &json!(developer.email), &json!(false))
    );
    assert_eq!(me["organizations"][0]["id"], tenant.organization);
    assert_eq!(me["organizations"][0]["role"], "developer");
    assert_eq!(me["projects"][0]["id"], tenant.project);
    let permissions = me["permissions"].as_array().expect("permissions");
    assert!(permissions.contains(&json!("produceRecords")), "{me}");
    assert!(!permissions.contains(&json!("updateProject")), "{me}");
    assert_eq!(
        tenant.owner.api.see("/me").await["operator"],
        true,
        "bootstrap makes operators"
    );

    let key = tenant.key_for("fetch").await;
    let me = key.see("/me").await;
    assert_eq!(me["kind"], "key");
    assert_eq!(me["projects"][0]["id"], tenant.project);
    assert_eq!(
        me["scopes"],
        json!([{"operations": ["fetch"], "topic": "*"}])
    );
    assert!(
        me["key_name"].is_string() && me["key_id"].is_string(),
        "{me}"
    );
    assert!(me.get("email").is_none(), "a key is nobody's mailbox: {me}");
    let permissions = me["permissions"].as_array().expect("permissions");
    assert!(permissions.contains(&json!("fetchTopic")), "{me}");
    assert!(!permissions.contains(&json!("produceRecords")), "{me}");
}
