//! The pages that problems name as their `type`: files of `docs/errors/`, held in the program.

use axum::{
    Json,
    extract::Path,
    response::{Html, IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, header};
use pulldown_cmark::Parser;
use serde::Serialize;

use super::ops;
use crate::problem::{Code, Problem};

/// All error codes.
pub async fn index() -> Html<String> {
    let rows: String = Code::ALL
        .iter()
        .map(|code| {
            format!(
                "<tr><td>{}</td><td><a href=\"/errors/{code}\">{code}</a></td><td>{}</td></tr>",
                code.status(),
                code.help(),
                code = code.as_str(),
            )
        })
        .collect();
    ops::page("Errors", &format!("<h1>Errors</h1><table>{rows}</table>"))
}

/// A page for programs.
#[derive(Serialize)]
struct Page {
    code: &'static str,
    title: &'static str,
    answers: Vec<Answer>,
    markdown: &'static str,
}

/// How the code is sent. One may come with two statuses, which say whether it is worth trying again.
#[derive(Serialize)]
struct Answer {
    status: u16,
    retryable: bool,
}

/// The page of one code: HTML for who asks for it, as browsers do, JSON for who asks for that, and
/// Markdown for everybody else.
pub async fn page(Path(wanted): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let codes = Code::ALL.iter().filter(|code| code.as_str() == wanted);
    let code = codes.clone().next();
    let code = code.ok_or_else(|| Problem::new(Code::NotFound, "there is no such error code"))?;
    let accepts = |kind: &str| {
        let accepted = headers.get_all(header::ACCEPT).iter();
        let mut texts = accepted.filter_map(|value| value.to_str().ok());
        texts.any(|text| text.contains(kind))
    };
    let mut response = if accepts("text/html") {
        let mut body = String::new();
        pulldown_cmark::html::push_html(&mut body, Parser::new(code.page()));
        body.push_str("<p><a href=\"/errors\">All errors</a></p>");
        ops::page(code.title(), &body).into_response()
    } else if accepts("json") {
        let answers = codes.map(|code| Answer {
            status: code.status(),
            retryable: code.retryable(),
        });
        let page = Page {
            code: code.as_str(),
            title: code.title(),
            answers: answers.collect(),
            markdown: code.page(),
        };
        Json(page).into_response()
    } else {
        let kind = HeaderValue::from_static("text/markdown; charset=utf-8");
        ([(header::CONTENT_TYPE, kind)], code.page()).into_response()
    };
    let vary = HeaderValue::from_static("accept");
    response.headers_mut().append(header::VARY, vary);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_begin_with_what_the_catalogue_has() {
        for code in Code::ALL {
            let alike = Code::ALL.iter().filter(|one| one.as_str() == code.as_str());
            let statuses: Vec<_> = alike.map(|one| one.status().to_string()).collect();
            let head = format!(
                "# {}\n\n`{}`, HTTP status {}\n\n",
                code.title(),
                code.as_str(),
                statuses.join(" or ")
            );
            let page = code.page();
            assert!(page.starts_with(&head), "{head}{page}");
            for heading in ["\n## What to do\n\n", "\n## Trying again\n\n"] {
                assert_eq!(page.matches(heading).count(), 1, "{page}");
            }
        }
    }

    #[test]
    fn every_page_is_of_a_code() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors");
        let files = std::fs::read_dir(directory).unwrap();
        let mut pages: Vec<_> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        let codes = Code::ALL.iter().map(|code| format!("{}.md", code.as_str()));
        let mut codes: Vec<_> = codes.collect();
        pages.sort();
        codes.sort();
        codes.dedup();
        assert_eq!(pages, codes);
    }
}
