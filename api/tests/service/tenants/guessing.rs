//! Guessing keys and passwords: it is slowed down, teaches nothing, and does not lock anybody out.

use std::time::{Duration, Instant};

use serde_json::json;

use super::people::{Engine, Tenant, on_both_engines, sign_in, try_sign_in};
use crate::client::{Api, Reply};
use crate::harness::{median, unique};

on_both_engines!(
    a_wrong_secret_is_like_an_unknown_id,
    guessing_keys_is_stopped_and_the_owner_is_not,
    guessing_a_password_is_stopped_and_the_owner_is_not,
    guessing_invitations_is_stopped,
);

/// The key with another secret, or with another id.
fn wrong(key: &str, part: usize) -> String {
    let mut parts: Vec<String> = key.split('_').map(str::to_owned).collect();
    let changed: String = parts[part]
        .chars()
        .rev()
        .map(|digit| if digit == '0' { '1' } else { '0' })
        .collect();
    parts[part] = changed;
    parts.join("_")
}

async fn a_wrong_secret_is_like_an_unknown_id(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let (mut secrets, mut ids) = (Vec::new(), Vec::new());
    for _ in 0..100 {
        // Few tries from each address: this is about answers, not about limits.
        let api = tenant.stranger();
        api.get("/topics").await.problem(401, "unauthenticated");
        let mut answers = Vec::new();
        for (part, times) in [(2, &mut secrets), (1, &mut ids)] {
            let guess = api.with_key(&wrong(&tenant.key.key, part));
            let started = Instant::now();
            let answer = guess.get("/topics").await;
            times.push(started.elapsed());
            answer.problem(401, "unauthenticated");
            assert!(!answer.text.contains(&guess.key), "{}", answer.text);
            answers.push(answer);
        }
        assert_eq!(answers[0].timeless(), answers[1].timeless());
        let names = |answer: &Reply| {
            let mut names: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
            names.sort();
            names
        };
        assert_eq!(names(&answers[0]), names(&answers[1]));
    }
    let (secret, id) = (median(secrets), median(ids));
    println!("wrong secret: {secret:?}, unknown id: {id:?}");
    // A look into the database for one of them only would be milliseconds.
    let difference = secret.abs_diff(id);
    assert!(
        difference < Duration::from_millis(2) || difference < secret.max(id) / 2,
        "{secret:?} {id:?}"
    );
}

/// Tries until it is told to stop; how many tries that took.
async fn until_stopped(limit: usize, guess: impl AsyncFn(usize) -> Reply) -> (usize, Reply) {
    for n in 1..=limit {
        let answer = guess(n).await;
        if answer.status == 429 {
            let problem = answer.problem(429, "too_many_attempts");
            assert_eq!(
                (&problem["retryable"], &problem["outcome"]),
                (&json!(true), &json!("not_applied"))
            );
            let seconds = answer.header("retry-after").expect("Retry-After");
            assert!(
                seconds.parse::<u64>().is_ok_and(|seconds| seconds > 0),
                "{seconds}"
            );
            println!("stopped after {n} tries for {seconds} s");
            return (n, answer);
        }
        assert!(
            [401, 404].contains(&answer.status),
            "{}: {}",
            answer.status,
            answer.text
        );
    }
    panic!("{limit} tries, and never stopped");
}

async fn guessing_keys_is_stopped_and_the_owner_is_not(engine: Engine) {
    let server = engine.own().await;
    let tenant = Tenant::on(&server).await;
    // The owner's key has been good from this very address, the guesser's never.
    let here = tenant.stranger();
    let good = here.with_key(&tenant.key.key);
    good.get("/topics").await.expect(200);
    let id = tenant.key.key.split('_').nth(1).unwrap().to_owned();
    until_stopped(2_000, async |n| {
        let guess = here.with_key(&format!("hw_{id}_{n:064x}"));
        guess.get("/topics").await
    })
    .await;
    for _ in 0..20 {
        good.get("/topics").await.expect(200);
    }
    // Elsewhere nobody notices.
    let elsewhere = tenant.stranger();
    elsewhere
        .with_key(&tenant.key.key)
        .get("/topics")
        .await
        .expect(200);
    elsewhere
        .with_key("hw_wrong")
        .get("/topics")
        .await
        .problem(401, "unauthenticated");
    // The right secret, found while it is closed, would be a lucky guess no more.
    let still = here
        .with_key(&format!("hw_{id}_{:064x}", 7))
        .get("/topics")
        .await;
    still.problem(429, "too_many_attempts");
}

async fn guessing_a_password_is_stopped_and_the_owner_is_not(engine: Engine) {
    let tenant = Tenant::new(engine).await;
    let victim = tenant.person("developer").await;
    let here = Api::stranger(victim.api.root.clone());
    let (tries, _) = until_stopped(30, async |n| {
        try_sign_in(&here, &victim.email, &format!("guess number {n}")).await
    })
    .await;
    assert!(
        (10..=12).contains(&tries),
        "ten wrong tries are allowed: {tries}"
    );
    // The right one does not help any more from there.
    try_sign_in(&here, &victim.email, &victim.password)
        .await
        .problem(429, "too_many_attempts");
    // The victim is elsewhere, and others may still sign in from here.
    sign_in(&victim.api, &victim.email, &victim.password).await;
    victim.api.get("/topics").await.expect(200);
    sign_in(&here, &tenant.owner.email, &tenant.owner.password).await;
    // An address that nobody has is stopped alike.
    let nobody = format!("{}@example.com", unique("nobody"));
    let (tries, _) = until_stopped(30, async |n| {
        try_sign_in(&Api::clone(&here), &nobody, &format!("guess number {n}")).await
    })
    .await;
    assert!((10..=12).contains(&tries), "{tries}");
}

async fn guessing_invitations_is_stopped(engine: Engine) {
    let server = engine.own().await;
    let tenant = Tenant::on(&server).await;
    let token = tenant
        .invite(&format!("{}@example.com", unique("guessed")), "viewer")
        .await;
    let here = Api::stranger(server.root());
    until_stopped(2_000, async |n| {
        super::people::accept(&here, &format!("hwi_{n:064x}"), Some("a long password")).await
    })
    .await;
    let elsewhere = Api::stranger(server.root());
    super::people::accept(&elsewhere, &token, Some("a long password"))
        .await
        .expect(200);
}
