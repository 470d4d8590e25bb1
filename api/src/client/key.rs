//! Takes the key of a record out of a field of its value.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Appends the key as a JSON string: the text of the top-level `field` of the object `line`. A
/// string keeps its escapes as they are, a number, true or false is its JSON text. Anything else
/// cannot be a key, and a record without one would land anywhere, so that is an error.
pub fn push_key(out: &mut Vec<u8>, line: &str, field: &str) -> Result<(), String> {
    let mut json = serde_json::Deserializer::from_str(line);
    let found = json.deserialize_map(FieldOf { field }).map_err(|error| {
        if line.starts_with('{') {
            error.to_string()
        } else {
            "not a JSON object".to_owned()
        }
    })?;
    json.end().map_err(|error| error.to_string())?;
    let raw = found.ok_or_else(|| format!("there is no field `{field}` to take the key from"))?;
    match raw.get().as_bytes().first() {
        Some(b'"') => out.extend_from_slice(raw.get().as_bytes()),
        Some(b'{' | b'[' | b'n') | None => {
            return Err(format!(
                "field `{field}` is not a string, a number, true or false"
            ));
        }
        Some(_) => {
            out.push(b'"');
            out.extend_from_slice(raw.get().as_bytes());
            out.push(b'"');
        }
    }
    Ok(())
}

struct FieldOf<'f> {
    field: &'f str,
}

impl<'de> Visitor<'de> for FieldOf<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
            if name == self.field {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// A member's name, borrowed unless it has escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn key(line: &str, field: &str) -> Result<String, String> {
        let mut out = Vec::new();
        push_key(&mut out, line, field).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn keys_are_the_text_of_the_field() {
        let line =
            r#"{"a":{"id":9},"id":"u\u00e9\n1","n":12.50,"t":true,"big":12345678901234567890}"#;
        assert_eq!(key(line, "id").as_deref(), Ok(r#""u\u00e9\n1""#));
        assert_eq!(key(line, "n").as_deref(), Ok(r#""12.50""#));
        assert_eq!(key(line, "t").as_deref(), Ok(r#""true""#));
        assert_eq!(key(line, "big").as_deref(), Ok(r#""12345678901234567890""#));
        assert_eq!(key(r#"{"i\u0064":1}"#, "id").as_deref(), Ok(r#""1""#));
    }

    #[test]
    fn what_cannot_be_a_key_is_refused() {
        for line in [
            r#"{"x":1}"#,
            r#"{"id":null}"#,
            r#"{"id":{}}"#,
            r#"{"id":[1]}"#,
            r#"[1]"#,
            r#""id""#,
            r#"{"id":1} {"id":2}"#,
            r#"{"id":1"#,
        ] {
            assert!(key(line, "id").is_err(), "{line}");
        }
    }
}
