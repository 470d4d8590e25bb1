//! Issuers whose tokens an organization trusts.

use serde::Deserialize;

use super::{super::Gateway, not_found, too_many};
use crate::{
    auth::{Role, jwks},
    gateway::{
        Intent,
        changes::{check_absent, check_version, unavailable},
        check_name,
    },
    limits::ISSUERS_MAX,
    metadata::{Change, IssuerRule, Kind, store::IssuerRow},
    problem::{Code, Problem},
};

/// An issuer, and what its tokens are good for.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "issuer": "https://login.example.com", "audience": "headwater",
    "rules": [{"claim": "groups", "value": "data", "role": "developer"}],
}))]
pub struct IssuerSpec {
    /// Its URL, as in the claim `iss`; its keys are found by OpenID Connect discovery.
    #[schema(max_length = 2048)]
    pub issuer: String,
    /// What the claim `aud` must hold.
    #[schema(min_length = 1, max_length = 256)]
    pub audience: String,
    /// Which claims give which role; the highest counts.
    #[schema(max_items = 20)]
    pub rules: Vec<IssuerRule>,
}

impl IssuerSpec {
    fn check(&self, gateway: &Gateway) -> Result<(), Problem> {
        if self.rules.len() > ISSUERS_MAX {
            let message = format!("must be at most {ISSUERS_MAX}");
            return Err(Problem::invalid("/rules", "out_of_range", message));
        }
        let plain = !self.audience.chars().any(char::is_control);
        if !plain || !(1..=256).contains(&self.audience.len()) {
            let message = "must be 1 to 256 bytes on one line";
            return Err(Problem::invalid("/audience", "out_of_range", message));
        }
        jwks::check_issuer(gateway.reach, &self.issuer).map_err(|why| {
            Problem::new(Code::InvalidSetting, "").at("/issuer", "invalid_issuer", why)
        })?;
        Ok(())
    }
}

impl Gateway {
    /// An organization's issuers after `after`, by name, at most `most`.
    ///
    /// # Errors
    /// 503 if the database is away.
    pub async fn list_issuers(
        &self,
        organization: &str,
        after: &str,
        most: usize,
    ) -> Result<Vec<IssuerRow>, Problem> {
        let mut connection = self.connection().await?;
        let rows = IssuerRow::of_organization(&mut connection, organization).await;
        let mut rows = rows.map_err(unavailable)?;
        rows.retain(|row| row.name.as_str() > after);
        rows.truncate(most);
        Ok(rows)
    }

    /// Reads an issuer.
    ///
    /// # Errors
    /// 404 if there is none of that name.
    pub async fn read_issuer(&self, organization: &str, name: &str) -> Result<IssuerRow, Problem> {
        check_name("issuer", name).map_err(|_| not_found("issuer"))?;
        let mut connection = self.connection().await?;
        let row = IssuerRow::get(&mut connection, organization, name).await;
        row.map_err(unavailable)?.ok_or_else(|| not_found("issuer"))
    }

    /// Trusts an issuer, or changes what its tokens are good for; answers whether it is new.
    ///
    /// # Errors
    /// 403 where an owner is needed, 412 if it was changed meanwhile, 422 for a URL that the service
    /// will not fetch from.
    pub async fn put_issuer(
        &self,
        intent: &Intent,
        organization: &str,
        name: &str,
        wanted: IssuerSpec,
        if_match: Option<&str>,
    ) -> Result<(IssuerRow, bool), Problem> {
        check_name("issuer", name)?;
        wanted.check(self)?;
        let (mut change, by) = self.begin_with_role(intent).await?;
        check_owners_rules(&wanted.rules, by)?;
        let all = IssuerRow::of_organization(&mut change, organization).await;
        let all = all.map_err(unavailable)?;
        let existing = all.iter().find(|row| row.name == name);
        match existing {
            Some(existing) => {
                check_version(existing.version, if_match)?;
                check_owners_rules(&rules_of(existing)?, by)?;
            }
            None if all.len() >= ISSUERS_MAX => {
                return Err(too_many("issuers of an organization", ISSUERS_MAX as i64));
            }
            None => check_absent(if_match)?,
        }
        let rules = serde_json::to_string(&wanted.rules)
            .map_err(|error| Problem::internal("rules cannot be written", error))?;
        let row = IssuerRow {
            organization_id: organization.to_owned(),
            name: name.to_owned(),
            issuer: wanted.issuer,
            audience: wanted.audience,
            rules,
            version: existing.map_or(1, |existing| existing.version + 1),
            created_at: existing.map_or(change.at_ms(), |existing| existing.created_at),
        };
        row.put(&mut change).await.map_err(unavailable)?;
        let is_new = existing.is_none();
        self.finish_issuer(change, intent, organization, name)
            .await?;
        Ok((row, is_new))
    }

    /// Trusts an issuer no more.
    ///
    /// # Errors
    /// 404 if there is none of that name, 412 if it was changed meanwhile.
    pub async fn delete_issuer(
        &self,
        intent: &Intent,
        organization: &str,
        name: &str,
        if_match: Option<&str>,
    ) -> Result<(), Problem> {
        check_name("issuer", name).map_err(|_| not_found("issuer"))?;
        let (mut change, by) = self.begin_with_role(intent).await?;
        let row = IssuerRow::get(&mut change, organization, name).await;
        let row = row
            .map_err(unavailable)?
            .ok_or_else(|| not_found("issuer"))?;
        check_version(row.version, if_match)?;
        check_owners_rules(&rules_of(&row)?, by)?;
        let deleted = IssuerRow::delete(&mut change, organization, name).await;
        deleted.map_err(unavailable)?;
        self.finish_issuer(change, intent, organization, name).await
    }

    async fn finish_issuer(
        &self,
        change: Change,
        intent: &Intent,
        organization: &str,
        name: &str,
    ) -> Result<(), Problem> {
        let target = format!("organizations/{organization}/issuers/{name}");
        self.conclude(
            change,
            intent,
            (Kind::Organization, organization),
            organization,
            &target,
        )
        .await
    }
}

fn rules_of(row: &IssuerRow) -> Result<Vec<IssuerRule>, Problem> {
    serde_json::from_str(&row.rules)
        .map_err(|error| Problem::internal("an issuer's rules cannot be read", error))
}

/// An issuer that makes owners is the business of owners.
fn check_owners_rules(rules: &[IssuerRule], by: Option<Role>) -> Result<(), Problem> {
    if by < Some(Role::Owner) && rules.iter().any(|rule| rule.role == Role::Owner) {
        return Err(Problem::new(
            Code::Forbidden,
            "owners are made by owners, by rules too",
        ));
    }
    Ok(())
}
