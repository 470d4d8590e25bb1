//! Who may come in, and what a stranger can learn.

use crate::client::reply;
use crate::harness::shared;

const CALLS: &[(&str, &str)] = &[
    ("GET", "/topics"),
    ("PUT", "/topics/t"),
    ("GET", "/topics/t"),
    ("PATCH", "/topics/t"),
    ("DELETE", "/topics/t"),
    ("GET", "/topics/t/partitions"),
    ("POST", "/topics/t/records"),
    ("POST", "/topics/t/raw"),
    ("POST", "/topics/t/records/bulk"),
    ("GET", "/topics/t/partitions/0/records"),
    ("GET", "/topics/t/records"),
    ("GET", "/topics/t/tail"),
    ("GET", "/topics/t/tail.ndjson"),
    ("GET", "/topics/t/offsets?at=0"),
    ("POST", "/topics/t/trim"),
    ("GET", "/groups"),
    ("PUT", "/groups/g"),
];

#[tokio::test]
async fn every_call_needs_a_good_credential() {
    let api = shared().await;
    let key = &api.key;
    let mut wrong_secret = key.clone();
    let last = wrong_secret.pop().unwrap();
    wrong_secret.push(if last == 'x' { 'y' } else { 'x' });
    let swapped: String = {
        // Another place than the last character, whose low bits an encoding may ignore.
        let mut bytes = key.clone().into_bytes();
        let at = bytes.len() - 10;
        bytes[at] = if bytes[at] == b'a' { b'b' } else { b'a' };
        String::from_utf8(bytes).unwrap()
    };
    let long = "x".repeat(4_000);
    let credentials = [
        None,
        Some(String::new()),
        Some("Bearer".to_owned()),
        Some("Bearer ".to_owned()),
        Some("Bearer hw_".to_owned()),
        Some("Bearer nonsense".to_owned()),
        Some(format!("Bearer {long}")),
        Some(format!("Bearer {wrong_secret}")),
        Some(format!("Bearer {swapped}")),
        Some(format!("Bearer {key}{key}")),
        Some(format!("Basic {key}")),
        Some(key.clone()),
    ];
    for (n, (method, path)) in CALLS.iter().enumerate() {
        for (m, credential) in credentials.iter().enumerate() {
            // Every call with none, the rest in turn: the check is one, the calls are many.
            if m != 0 && n != 0 && (n + m) % 5 != 0 {
                continue;
            }
            let mut request = api.anonymous(method, &format!("{}{path}", api.base));
            if let Some(credential) = credential {
                request = request.header("authorization", credential);
            }
            let answer = reply(request).await;
            answer.problem(401, "unauthenticated");
            assert!(
                answer
                    .header("www-authenticate")
                    .is_some_and(|scheme| scheme.starts_with("Bearer"))
            );
        }
    }
}

#[tokio::test]
async fn a_refused_body_is_not_read_to_its_end() {
    let api = shared().await.with_key("hw_wrong");
    let (lines, body) = crate::lines::open_body();
    let request = api.request("POST", "/topics/t/records/bulk").body(body);
    lines.send("{\"value\":1}\n".to_owned()).await.unwrap();
    let answer = crate::harness::soon("401 while the body is open", reply(request)).await;
    answer.problem(401, "unauthenticated");
    drop(lines);
}
