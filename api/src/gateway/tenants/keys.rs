//! API keys: what people and other keys let programs do.

use serde::{Deserialize, Serialize};

use super::{super::Gateway, not_found, too_many};
use crate::{
    auth::{Access, ApiKey, Caller, Role, Scope, encode_hex, generate_api_key, permissions::Grant},
    gateway::{
        Intent,
        changes::{check_absent, check_version, unavailable},
        check_name,
    },
    limits::{KEYS_MAX, OFFSET_MAX, SCOPES_MAX},
    metadata::{Change, KeyRow, Kind, not_null},
    problem::{Code, Problem},
    quota::Resource,
};

/// What a key shall be.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"scopes": [{"operations": ["produce", "fetch"], "topic": "orders-*"}]}))]
pub struct KeySpec {
    /// What it may do: 1 to 64 scopes. None implies another.
    #[schema(min_items = 1, max_items = 64)]
    pub scopes: Vec<Scope>,
    /// When it ends, as RFC 3339; null is never.
    #[schema(value_type = Option<String>, example = "2030-01-01T00:00:00Z")]
    #[serde(default)]
    pub expires_at: Option<jiff::Timestamp>,
    /// Limits of this key alone, beside those of its project and organization.
    #[schema(value_type = KeyQuotas)]
    #[serde(default, deserialize_with = "not_null")]
    pub quotas: Option<KeyQuotas>,
}

/// Limits of one key; null is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KeyQuotas {
    /// Requests a second.
    pub requests_per_second: Option<u64>,
    /// Bytes a second written.
    pub ingress_bytes_per_second: Option<u64>,
    /// Bytes a second read.
    pub egress_bytes_per_second: Option<u64>,
}

impl KeyQuotas {
    fn named(&self) -> [(Resource, Option<u64>); 3] {
        [
            (Resource::RequestsPerSecond, self.requests_per_second),
            (
                Resource::IngressBytesPerSecond,
                self.ingress_bytes_per_second,
            ),
            (Resource::EgressBytesPerSecond, self.egress_bytes_per_second),
        ]
    }
}

impl KeySpec {
    fn check(&self, now_ms: i64) -> Result<(), Problem> {
        if self.scopes.is_empty() || self.scopes.len() > SCOPES_MAX {
            let message = format!("must be 1 to {SCOPES_MAX} scopes");
            return Err(Problem::invalid("/scopes", "out_of_range", message));
        }
        for (resource, limit) in self.quotas.unwrap_or_default().named() {
            if limit.is_some_and(|limit| limit > OFFSET_MAX) {
                let pointer = format!("/quotas/{}", resource.name());
                let message = format!("must be 0 to {OFFSET_MAX}, or null");
                return Err(Problem::invalid(pointer, "out_of_range", message));
            }
        }
        for (nth, scope) in self.scopes.iter().enumerate() {
            check_scope(&format!("/scopes/{nth}"), scope)?;
        }
        match self.expires_at {
            Some(at) if at.as_millisecond() <= now_ms => Err(Problem::new(
                Code::InvalidSetting,
                "",
            )
            .at("/expires_at", "in_the_past", "must be in the future")),
            _ => Ok(()),
        }
    }
}

fn check_scope(pointer: &str, scope: &Scope) -> Result<(), Problem> {
    let repeats = (1..scope.operations.len())
        .any(|nth| scope.operations[..nth].contains(&scope.operations[nth]));
    if scope.operations.is_empty() || repeats {
        let pointer = format!("{pointer}/operations");
        return Err(Problem::invalid(
            pointer,
            "invalid_value",
            "name each operation once",
        ));
    }
    let (field, pattern) = match (&scope.topic, &scope.group) {
        (Some(topic), None) => ("topic", topic),
        (None, Some(group)) => ("group", group),
        _ => {
            let message = "name either a topic or a group";
            return Err(Problem::invalid(pointer, "invalid_value", message));
        }
    };
    if field == "group" && scope.operations.iter().any(|o| *o != Grant::Consume) {
        let message = "of groups there is only consume";
        return Err(Problem::invalid(pointer, "invalid_value", message));
    }
    let prefix = pattern.strip_suffix('*');
    // What may be in front of a `*` may be the beginning of any name.
    let good = match prefix {
        Some("") => true,
        Some(prefix) => check_name("", &format!("{prefix}x")).is_ok(),
        None => check_name("", pattern).is_ok(),
    };
    if good {
        return Ok(());
    }
    Err(Problem::invalid(
        format!("{pointer}/{field}"),
        "invalid_value",
        "must be a name, the beginning of one followed by *, or *",
    ))
}

impl Gateway {
    /// The project's keys after `after` that the caller may see, by name, at most `most`.
    ///
    /// # Errors
    /// 503 if the database is away.
    pub async fn list_keys(
        &self,
        access: &Access,
        after: &str,
        most: i64,
    ) -> Result<Vec<KeyRow>, Problem> {
        let own = (access.role < Role::Admin).then(|| access.caller.email().unwrap_or("?"));
        let mut connection = self.connection().await?;
        let rows = KeyRow::page(&mut connection, &access.project.id, own, after, most).await;
        rows.map_err(unavailable)
    }

    /// Reads a key.
    ///
    /// # Errors
    /// 404 if there is none of that name, 403 if it is another's.
    pub async fn read_key(&self, access: &Access, name: &str) -> Result<KeyRow, Problem> {
        check_name("key", name).map_err(|_| not_found("key"))?;
        let mut connection = self.connection().await?;
        let row = KeyRow::named(&mut connection, &access.project.id, name).await;
        let row = row.map_err(unavailable)?.ok_or_else(|| not_found("key"))?;
        check_whose(access, &row)?;
        Ok(row)
    }

    /// Makes a key and answers its text, or changes what one may do.
    ///
    /// # Errors
    /// 400 and 422 for bad scopes or times; 403 beyond what the caller has, or for another's key; 412
    /// if it was changed meanwhile.
    pub async fn put_key(
        &self,
        intent: &Intent,
        name: &str,
        wanted: KeySpec,
        if_match: Option<&str>,
    ) -> Result<(KeyRow, Option<String>), Problem> {
        check_name("key", name)?;
        let (mut change, access) = self.begin_in_project(intent).await?;
        wanted.check(change.at_ms())?;
        let maker = access.caller.email().ok_or_else(|| {
            Problem::new(Code::Forbidden, "keys are made by users who signed in here")
        })?;
        let expires_at = wanted.expires_at.map(|at| at.as_millisecond());
        check_within(&access, &wanted.scopes, expires_at)?;
        check_quotas(&access, &wanted.quotas.unwrap_or_default())?;
        let scopes = to_json(&wanted.scopes)?;
        let quotas = to_json(&wanted.quotas.unwrap_or_default())?;
        let existing = KeyRow::named(&mut change, &access.project.id, name).await;
        if let Some(row) = existing.map_err(unavailable)? {
            check_version(row.version, if_match)?;
            check_mastery(&access, &row)?;
            let row = KeyRow {
                scopes,
                quotas,
                expires_at,
                version: row.version + 1,
                ..row
            };
            row.update(&mut change).await.map_err(unavailable)?;
            self.finish_key(change, intent, &access, &row).await?;
            return Ok((row, None));
        }
        check_absent(if_match)?;
        let count = KeyRow::count(&mut change, &access.project.id).await;
        if count.map_err(unavailable)? >= KEYS_MAX {
            return Err(too_many("keys in a project", KEYS_MAX));
        }
        let text = generate_api_key();
        let (id, secret_sha256) = parts(&text)?;
        let row = KeyRow {
            id,
            project_id: access.project.id.clone(),
            name: name.to_owned(),
            secret_sha256,
            created_by: maker.to_owned(),
            scopes,
            quotas,
            version: 1,
            created_at: change.at_ms(),
            expires_at,
            last_used_at: None,
        };
        if !row.insert(&mut change).await.map_err(unavailable)? {
            return Err(Problem::new(Code::Unavailable, "try again"));
        }
        self.finish_key(change, intent, &access, &row).await?;
        Ok((row, Some(text)))
    }

    /// Gives a key another secret, and answers its text; the old one is dead.
    ///
    /// # Errors
    /// 403 for a key that can more than the caller, 404 if there is none, 412 if it was changed
    /// meanwhile.
    pub async fn rotate_key(
        &self,
        intent: &Intent,
        name: &str,
        if_match: Option<&str>,
    ) -> Result<(KeyRow, String), Problem> {
        let (mut change, access) = self.begin_in_project(intent).await?;
        let row = stored(&mut change, &access, name, if_match).await?;
        let text = generate_api_key();
        let (id, secret_sha256) = parts(&text)?;
        let touched = change.touch(Kind::Key, &row.id).await;
        touched.map_err(unavailable)?;
        let row = KeyRow {
            id,
            secret_sha256,
            version: row.version + 1,
            ..row
        };
        row.update(&mut change).await.map_err(unavailable)?;
        self.finish_key(change, intent, &access, &row).await?;
        Ok((row, text))
    }

    /// Deletes a key.
    ///
    /// # Errors
    /// As [`Gateway::rotate_key`].
    pub async fn delete_key(
        &self,
        intent: &Intent,
        name: &str,
        if_match: Option<&str>,
    ) -> Result<(), Problem> {
        let (mut change, access) = self.begin_in_project(intent).await?;
        let row = stored(&mut change, &access, name, if_match).await?;
        let deleted = KeyRow::delete(&mut change, &row.id).await;
        deleted.map_err(unavailable)?;
        self.finish_key(change, intent, &access, &row).await
    }

    async fn finish_key(
        &self,
        change: Change,
        intent: &Intent,
        access: &Access,
        row: &KeyRow,
    ) -> Result<(), Problem> {
        let project = &access.project;
        let target = format!("projects/{}/keys/{}", project.id, row.name);
        self.conclude(
            change,
            intent,
            (Kind::Key, &row.id),
            &project.organization,
            &target,
        )
        .await
    }
}

async fn stored(
    change: &mut Change,
    access: &Access,
    name: &str,
    if_match: Option<&str>,
) -> Result<KeyRow, Problem> {
    check_name("key", name).map_err(|_| not_found("key"))?;
    let row = KeyRow::named(change, &access.project.id, name).await;
    let row = row.map_err(unavailable)?.ok_or_else(|| not_found("key"))?;
    check_version(row.version, if_match)?;
    check_mastery(access, &row)?;
    Ok(row)
}

/// Below admins everybody has to do with their own keys only.
fn check_whose(access: &Access, row: &KeyRow) -> Result<(), Problem> {
    if access.role >= Role::Admin || access.caller.email() == Some(&row.created_by) {
        return Ok(());
    }
    Err(Problem::new(
        Code::Forbidden,
        "somebody else made this key: it is for them and for admins",
    ))
}

/// Whoever changes a key, or gets a new secret of it, could do all that it can.
fn check_mastery(access: &Access, row: &KeyRow) -> Result<(), Problem> {
    check_whose(access, row)?;
    let scopes: Vec<Scope> = serde_json::from_str(&row.scopes)
        .map_err(|error| Problem::internal("a key's scopes cannot be read", error))?;
    check_within(access, &scopes, row.expires_at)
}

/// A key makes keys that can no more and live no longer than itself.
fn check_within(access: &Access, scopes: &[Scope], until_ms: Option<i64>) -> Result<(), Problem> {
    let Caller::Key(key) = &access.caller else {
        return Ok(());
    };
    let outlives = match (key.expires_at_ms, until_ms) {
        (Some(own_ms), Some(until_ms)) => until_ms > own_ms,
        (Some(_), None) => true,
        (None, _) => false,
    };
    let exceeds = scopes.iter().any(|scope| !scope.is_within(&key.scopes));
    if !outlives && !exceeds {
        return Ok(());
    }
    Err(Problem::new(
        Code::Forbidden,
        "an API key has to do with keys within its own scopes and expiry only",
    ))
}

/// A key gives no more than its own quotas, to itself neither.
fn check_quotas(access: &Access, wanted: &KeyQuotas) -> Result<(), Problem> {
    let Caller::Key(key) = &access.caller else {
        return Ok(());
    };
    for (resource, wanted) in wanted.named() {
        let own = key.allowance.limit(resource);
        if own.is_some_and(|own| wanted.is_none_or(|wanted| wanted > own)) {
            return Err(Problem::new(
                Code::Forbidden,
                format!("the API key's own quota of {} is less", resource.name()),
            ));
        }
    }
    Ok(())
}

fn parts(text: &str) -> Result<(String, String), Problem> {
    let key = ApiKey::parse(text)
        .ok_or_else(|| Problem::internal("a new key is not one", "generated badly"))?;
    Ok((key.id.to_owned(), encode_hex(&key.secret_sha256())))
}

fn to_json(value: &impl Serialize) -> Result<String, Problem> {
    serde_json::to_string(value)
        .map_err(|error| Problem::internal("a key cannot be written", error))
}
