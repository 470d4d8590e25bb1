//! Query parameters: every one is known, given once and well-formed, or the call is refused.

use std::{borrow::Cow, fmt::Display, str::FromStr, time::Duration};

use http::{HeaderMap, HeaderValue, Uri, header};

use crate::{
    gateway::{Form, JSON_PREFIX, JsonForm, OnOutOfRange, Position, ReadLimits, Start, TimePoint},
    limits::{FETCH_BYTES, FETCH_RECORDS, FETCH_WAIT_MAX, OFFSET_MAX, PAGE_SIZE},
    problem::Problem,
};

/// A page of a list. Its token is the name of the last thing on the page before it: it opens nothing
/// that the caller may not list, so it needs no signature.
#[derive(Debug, Clone)]
pub struct Page {
    /// What the page before ended with; empty for the first.
    pub after: String,
    /// How much is on a page.
    pub size: usize,
}

impl Page {
    /// The page that a caller asks for by a size that is in range, and a token.
    ///
    /// # Errors
    /// 400 if the token was made up.
    pub fn of(size: Option<u64>, token: Option<&str>) -> Result<Self, Problem> {
        let after = token.map(|token| {
            let bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(token).ok();
            let after = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            let after = after.filter(|after| !after.contains('\0'));
            after.ok_or_else(|| {
                Problem::invalid(
                    "page_token",
                    "invalid_value",
                    "send next_page_token back as it came",
                )
            })
        });
        Ok(Self {
            after: after.transpose()?.unwrap_or_default(),
            size: size.map_or(PAGE_SIZE.0, |size| size as usize),
        })
    }

    /// How many rows to read: one more than the page has, to see whether there is another.
    pub fn rows(&self) -> i64 {
        self.size as i64 + 1
    }

    /// Cuts what was read to the page, and answers the token of the next one.
    pub fn cut<T>(&self, rows: &mut Vec<T>, name: impl Fn(&T) -> &str) -> Option<String> {
        let more = rows.len() > self.size;
        rows.truncate(self.size);
        let last = rows.last().filter(|_| more)?;
        Some(base64_simd::URL_SAFE_NO_PAD.encode_to_string(name(last)))
    }
}

/// A number that a caller gave, within its range.
///
/// # Errors
/// 400 if it is outside.
pub fn in_range(name: &str, number: u64, least: u64, most: u64) -> Result<u64, Problem> {
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    Err(not_in_range(name, least, most))
}

fn not_in_range(name: &str, least: u64, most: u64) -> Problem {
    let message = format!("must be a whole number from {least} to {most}");
    Problem::invalid(name, "out_of_range", message)
}

/// The request's `If-Match`.
///
/// # Errors
/// 400 if it is not text.
pub fn if_match(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let text = |value: &HeaderValue| value.to_str().map(str::to_owned);
    let value = headers.get(header::IF_MATCH).map(text).transpose();
    value.map_err(|_| {
        Problem::invalid(
            "If-Match",
            "invalid_value",
            "must be an ETag as the service gave it",
        )
    })
}

/// Milliseconds since the epoch, as RFC 3339: always with three decimals, so that texts sort as
/// times do.
pub fn rfc3339(ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    format!("{at:.3}")
}

/// The parameters of one request.
pub struct Params<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Params<'a> {
    /// Reads the query.
    ///
    /// # Errors
    /// 400 for a parameter that is not in `known`, or that is repeated.
    pub fn parse(uri: &'a Uri, known: &[&str]) -> Result<Self, Problem> {
        let mut params: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::new();
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            if !known.contains(&&*name) {
                let message = if known.is_empty() {
                    "this call takes no parameters".to_owned()
                } else {
                    format!("this call takes {}", known.join(", "))
                };
                return Err(Problem::invalid(name, "unknown_parameter", message));
            }
            if params.iter().any(|(other, _)| *other == name) {
                return Err(Problem::invalid(
                    name,
                    "duplicate_parameter",
                    "give it once",
                ));
            }
            if value.contains('\0') {
                return Err(Problem::invalid(name, "invalid_value", "must not hold NUL"));
            }
            params.push((name, value));
        }
        Ok(Self(params))
    }

    /// The parameter's text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| &**value)
    }

    /// The parameter, read as `T`.
    ///
    /// # Errors
    /// 400 if it cannot be.
    pub fn get<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, Problem> {
        self.text(name)
            .map(|text| {
                text.parse().map_err(|error: T::Err| {
                    Problem::invalid(name, "invalid_value", error.to_string())
                })
            })
            .transpose()
    }

    /// A whole number within a range.
    ///
    /// # Errors
    /// 400 if it is none, or outside.
    pub fn number(&self, name: &str, least: u64, most: u64) -> Result<Option<u64>, Problem> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits => in_range(name, number, least, most).map(Some),
            _ => Err(not_in_range(name, least, most)),
        }
    }

    /// One of several words.
    ///
    /// # Errors
    /// 400 if it is another.
    pub fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let found = words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value);
        found.map(Some).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            Problem::invalid(
                name,
                "invalid_value",
                format!("must be {}", words.join(" or ")),
            )
        })
    }

    /// Whether something is asked for as bytes: `base64`, or `json`, which is the default.
    ///
    /// # Errors
    /// 400 if it is another word.
    pub fn is_base64(&self, name: &str) -> Result<bool, Problem> {
        let word = self.word(name, &[("base64", true), ("json", false)])?;
        Ok(word.unwrap_or(false))
    }

    /// `page_size` and `page_token`.
    ///
    /// # Errors
    /// 400 if one is malformed.
    pub fn page(&self) -> Result<Page, Problem> {
        let size = self.number("page_size", 1, PAGE_SIZE.1 as u64)?;
        Page::of(size, self.text("page_token"))
    }

    /// `offset`, `at` or `from`: at most one of them, and not beside a cursor.
    ///
    /// # Errors
    /// 400 if it is malformed, or there are several.
    pub fn position(&self) -> Result<Option<Position>, Problem> {
        let given: Vec<_> = ["offset", "at", "from", "cursor"]
            .into_iter()
            .filter(|name| self.text(name).is_some())
            .collect();
        if let [first, second, ..] = given[..] {
            return Err(Problem::invalid(
                second,
                "conflict",
                format!("say where to start once: by {first} or by {second}"),
            ));
        }
        if let Some(offset) = self.number("offset", 0, OFFSET_MAX)? {
            return Ok(Some(Position::Offset(offset)));
        }
        if let Some(at) = self.get::<TimePoint>("at")? {
            return Ok(Some(Position::At(at)));
        }
        Ok(self.get::<Start>("from")?.map(Position::Start))
    }

    /// `consistency`: whether the read is to have everything that was acknowledged before it.
    ///
    /// # Errors
    /// 400 if it is another word.
    pub fn is_strong(&self) -> Result<bool, Problem> {
        let words = [("committed", false), ("strong", true)];
        Ok(self.word("consistency", &words)?.unwrap_or(false))
    }

    /// `max_records`, `max_bytes`, `wait_ms`, `on_out_of_range` and `encoding`.
    ///
    /// # Errors
    /// 400 if one is out of range.
    pub fn read_limits(&self) -> Result<ReadLimits, Problem> {
        let records_max = self.number("max_records", 1, FETCH_RECORDS.1 as u64)?;
        let bytes_max = self.number("max_bytes", 1, FETCH_BYTES.1 as u64)?;
        let wait_ms = self.number("wait_ms", 0, FETCH_WAIT_MAX.as_millis() as u64)?;
        let on_out_of_range = self.word(
            "on_out_of_range",
            &[
                ("error", OnOutOfRange::Error),
                ("earliest", OnOutOfRange::Earliest),
                ("latest", OnOutOfRange::Latest),
            ],
        )?;
        Ok(ReadLimits {
            records_max: records_max.map_or(FETCH_RECORDS.0, |n| n as usize),
            bytes_max: bytes_max.map_or(FETCH_BYTES.0, |n| n as usize),
            wait: Duration::from_millis(wait_ms.unwrap_or(0)),
            on_out_of_range: on_out_of_range.unwrap_or_default(),
            form: Form::Json(JsonForm {
                base64: self.is_base64("encoding")?,
                single_line: false,
                prefix: JSON_PREFIX,
                separator: b',',
                with_topic: false,
            }),
        })
    }
}
