//! Making tenants from outside of the API, and bounding them: what `dev` needs for its user, and
//! operators for theirs.

use super::store::{
    AuditRow, Change, KeyRow, Kind, Layer, MembershipRow, OrganizationRow, ProjectRow, QuotaRow,
    StoreError, UserRow,
};
use crate::{
    auth::{ApiKey, Role, Scope, encode_hex, hash_password, random_password, random_secret},
    quota::LimitsChange,
};

/// Why a tenant is not made.
#[derive(Debug)]
pub enum ProvisionError {
    /// What was asked for cannot be.
    Refused(String),
    /// The database failed.
    Failed(StoreError),
}

impl From<StoreError> for ProvisionError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl std::fmt::Display for ProvisionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(why) => f.write_str(why),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl Change {
    /// Makes sure that the organization and the project exist, and that the user is an owner. A new
    /// user becomes an operator of the service; their password is answered: `password`, or a random
    /// one.
    ///
    /// # Errors
    /// The project is in another organization, or the database failed.
    pub async fn provision(
        &mut self,
        organization: &str,
        project: &str,
        email: &str,
        password: Option<&str>,
    ) -> Result<Option<String>, ProvisionError> {
        let created_at = self.at_ms();
        let row = OrganizationRow {
            id: organization.into(),
            name: organization.into(),
            version: 1,
            created_at,
        };
        row.insert(self, None).await?;
        if OrganizationRow::get(self, organization).await?.is_none() {
            return Err(ProvisionError::Refused(format!(
                "organization {organization} was deleted, and its id is never given again"
            )));
        }
        let row = ProjectRow {
            id: project.into(),
            organization_id: organization.into(),
            name: project.into(),
            cursor_secret: encode_hex(&random_secret()),
            version: 1,
            created_at,
        };
        row.insert(self).await?;
        let existing = ProjectRow::get(self, project).await?;
        if existing.is_none_or(|existing| existing.organization_id != organization) {
            return Err(ProvisionError::Refused(format!(
                "project {project} is or was in another organization"
            )));
        }
        let password = password.map_or_else(random_password, str::to_owned);
        let row = UserRow {
            email: email.into(),
            password_hash: hash_password(&password),
            operator: 1,
            verified_at: None,
            created_at,
        };
        let is_new = row.insert(self).await?;
        let member = MembershipRow::get(self, organization, email).await?;
        let row = MembershipRow {
            organization_id: organization.into(),
            email: email.into(),
            role: Role::Owner.name().into(),
            version: member.map_or(1, |member| member.version + 1),
            created_at,
        };
        row.put(self).await?;
        self.touch(Kind::Organization, organization).await?;
        self.touch(Kind::Project, project).await?;
        self.touch(Kind::User, email).await?;
        Ok(is_new.then_some(password))
    }

    /// Gives an organization these ceilings; what it had set itself gives way.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_ceilings(
        &mut self,
        organization: &str,
        wanted: &LimitsChange,
    ) -> Result<(), StoreError> {
        self.set_limits(Layer::Service, organization, wanted)
            .await?;
        for (resource, _) in wanted.named() {
            let own = Layer::Organization;
            QuotaRow::set(self, own, organization, resource.name(), None).await?;
        }
        Ok(())
    }

    /// Sets the limits of one layer.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_limits(
        &mut self,
        layer: Layer,
        id: &str,
        wanted: &LimitsChange,
    ) -> Result<(), StoreError> {
        for (resource, limit) in wanted.named() {
            let amount = limit.map(|limit| i64::try_from(limit).unwrap_or(i64::MAX));
            QuotaRow::set(self, layer, id, resource.name(), amount).await?;
        }
        QuotaRow::changed(self, layer, id).await
    }

    /// Writes what an operator did at the database itself into an organization's audit log.
    ///
    /// # Errors
    /// The database failed.
    pub async fn write_down_operator(
        &mut self,
        organization: &str,
        action: &str,
        target: &str,
    ) -> Result<(), StoreError> {
        let row = AuditRow {
            id: format!("{:013}-{:016x}", self.at_ms(), self.number()),
            organization_id: organization.into(),
            at: self.at_ms(),
            actor: "headwater admin".into(),
            action: action.into(),
            target: target.into(),
            outcome: "allowed".into(),
            source_ip: String::new(),
            request_id: String::new(),
        };
        row.insert(self).await
    }

    /// Adds a key of the project that may do everything its maker may.
    ///
    /// # Errors
    /// The key's name is taken, or the database failed.
    pub async fn add_full_key(
        &mut self,
        project: &str,
        name: &str,
        key: &ApiKey<'_>,
        created_by: &str,
    ) -> Result<(), StoreError> {
        let scopes = serde_json::to_string(&Scope::everything());
        let row = KeyRow {
            id: key.id.into(),
            project_id: project.into(),
            name: name.into(),
            secret_sha256: encode_hex(&key.secret_sha256()),
            created_by: created_by.into(),
            scopes: scopes.map_err(|error| StoreError(error.to_string()))?,
            quotas: "{}".into(),
            version: 1,
            created_at: self.at_ms(),
            expires_at: None,
            last_used_at: None,
        };
        if !row.insert(self).await? {
            return Err(StoreError(format!(
                "project {project} has a key {name} already"
            )));
        }
        self.touch(Kind::Key, key.id).await
    }
}
