//! Pages of errors: what a problem's `type` leads to.

use reqwest::header::ACCEPT;
use serde_json::Value;

use crate::client::{Api, reply};
use crate::harness::{repository, shared};

#[tokio::test]
async fn every_error_has_a_page_for_people_and_for_programs() {
    let api = shared().await;
    let index = reply(api.anonymous("GET", &format!("{}/errors", api.root)));
    let index = index.await.expect(200).text;
    let files = std::fs::read_dir(repository().join("docs/errors")).expect("pages");
    let mut count = 0;
    for file in files {
        let path = file.expect("a file").path();
        let markdown = std::fs::read_to_string(&path).expect("a page");
        let code = path.file_stem().and_then(|stem| stem.to_str());
        let code = code.expect("a code");
        let get = async |accept: &str| {
            let url = format!("{}/errors/{code}", api.root);
            let answer = reply(api.anonymous("GET", &url).header(ACCEPT, accept)).await;
            let answer = answer.expect(200);
            assert!(answer.header("vary").expect("vary").contains("accept"));
            answer
        };
        assert!(
            index.contains(&format!("href=\"/errors/{code}\"")),
            "{code}"
        );

        let plain = get("*/*").await;
        assert_eq!(
            plain.header("content-type"),
            Some("text/markdown; charset=utf-8")
        );
        assert_eq!(plain.text, markdown);

        let browser = get("text/html,application/xhtml+xml,*/*;q=0.8").await;
        assert!(
            browser
                .header("content-type")
                .expect("a type")
                .starts_with("text/html")
        );
        assert!(
            browser.text.contains("<h2>What to do</h2>"),
            "{}",
            browser.text
        );
        assert!(browser.text.contains(&format!("<code>{code}</code>")));

        let program = get("application/json").await.json();
        assert_eq!(program["code"], code);
        assert_eq!(program["markdown"], markdown);
        for answer in program["answers"].as_array().expect("answers") {
            let status = answer["status"].as_u64().expect("a status");
            assert!(markdown.contains(&status.to_string()), "{code}: {status}");
            assert!(answer["retryable"].is_boolean());
        }
        count += 1;
    }
    assert!(count > 40, "{count} pages");
    assert_eq!(
        index.matches("href=\"/errors/").count(),
        count + 2,
        "two have two statuses"
    );
}

#[tokio::test]
async fn what_the_service_answers_leads_to_a_page() {
    let api = shared().await;
    let stranger = Api::stranger(api.root.clone());
    let told = [
        api.get("/topics/there-is-none")
            .await
            .problem(404, "topic_not_found"),
        api.send("PUT", "/topics/x", "{")
            .await
            .problem(400, "invalid_json"),
        stranger
            .manage("GET", "/me", Value::Null)
            .await
            .problem(401, "unauthenticated"),
        api.get("/nothing").await.problem(404, "not_found"),
    ];
    for problem in told {
        let page = format!("{}{}", api.root, problem["type"].as_str().expect("a type"));
        let page = reply(api.anonymous("GET", &page)).await.expect(200).text;
        assert!(page.starts_with(&format!(
            "# {}\n",
            problem["title"].as_str().expect("a title")
        )));
    }
    let nonsense = reply(api.anonymous("GET", &format!("{}/errors/nonsense", api.root))).await;
    nonsense.problem(404, "not_found");
}
