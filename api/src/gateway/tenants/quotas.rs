//! Quotas: reading and setting them, and counting what the database and the brokers know.

use sqlx::AnyConnection;

use super::{super::Gateway, not_found};
use crate::{
    gateway::{
        Intent,
        changes::{check_version, unavailable},
    },
    metadata::{
        Change, Kind, Organization, Project,
        store::{Layer, QuotaRow},
    },
    problem::{Code, Problem},
    quota::{Allowance, Limits, LimitsChange, Owner, Resource, Use, exceeded},
};

/// What somebody may use, and does.
pub struct Quotas {
    /// What they may.
    pub limits: Limits,
    /// What they do.
    pub used: Use,
    /// Grows with every change of the limits.
    pub version: i64,
}

impl Gateway {
    /// Reads what an organization may use and does.
    ///
    /// # Errors
    /// 503 if the database is away.
    pub async fn organization_quotas(
        &self,
        organization: &Organization,
    ) -> Result<Quotas, Problem> {
        let mut connection = self.connection().await?;
        self.quotas_of(&mut connection, &organization.allowance)
            .await
    }

    /// Reads what a project may use and does.
    ///
    /// # Errors
    /// 503 if the database is away.
    pub async fn project_quotas(&self, project: &Project) -> Result<Quotas, Problem> {
        let mut connection = self.connection().await?;
        self.quotas_of(&mut connection, &project.allowance).await
    }

    /// Changes what an organization may use. What operators set is its ceiling, under which others
    /// may set what they like; what others have set before gives way to it.
    ///
    /// # Errors
    /// 403 above the ceiling, 412 if they were changed meanwhile.
    pub async fn change_organization_quotas(
        &self,
        intent: &Intent,
        organization: &Organization,
        by_operator: bool,
        wanted: &LimitsChange,
        if_match: Option<&str>,
    ) -> Result<Quotas, Problem> {
        let mut change = self.begin(intent).await?;
        let version = version_of(&mut change, &organization.allowance).await?;
        check_version(version, if_match)?;
        if by_operator {
            let ceilings = change.set_ceilings(&organization.id, wanted).await;
            ceilings.map_err(unavailable)?;
        } else {
            let rows = QuotaRow::of(&mut change, &organization.id).await;
            let ceiling = Limits::of_rows(&rows.map_err(unavailable)?, Layer::Service);
            check_under(&ceiling, wanted)?;
            let set = change.set_limits(Layer::Organization, &organization.id, wanted);
            set.await.map_err(unavailable)?;
        }
        let quotas = self.quotas_of(&mut change, &organization.allowance).await?;
        let id = &organization.id;
        let target = format!("organizations/{id}/quotas");
        self.conclude(
            change,
            intent,
            (Kind::Organization, &organization.id),
            id,
            &target,
        )
        .await?;
        Ok(quotas)
    }

    /// Changes what a project may use.
    ///
    /// # Errors
    /// 412 if it was changed meanwhile.
    pub async fn change_project_quotas(
        &self,
        intent: &Intent,
        project: &Project,
        wanted: &LimitsChange,
        if_match: Option<&str>,
    ) -> Result<Quotas, Problem> {
        let mut change = self.begin(intent).await?;
        let version = version_of(&mut change, &project.allowance).await?;
        check_version(version, if_match)?;
        let set = change.set_limits(Layer::Project, &project.id, wanted);
        set.await.map_err(unavailable)?;
        let quotas = self.quotas_of(&mut change, &project.allowance).await?;
        let target = format!("projects/{}/quotas", project.id);
        self.conclude(
            change,
            intent,
            (Kind::Project, &project.id),
            &project.organization,
            &target,
        )
        .await?;
        Ok(quotas)
    }

    /// The limits of an organization or a project as the database has them, and what is used.
    async fn quotas_of(
        &self,
        connection: &mut AnyConnection,
        allowance: &Allowance,
    ) -> Result<Quotas, Problem> {
        // Before the limits: who reads it and changes those has read no older ones.
        let version = version_of(connection, allowance).await?;
        let limits = limits_of(connection, allowance).await?;
        let (topics, partitions) = counts_of(connection, allowance).await?;
        let used = Use {
            requests_per_second: allowance.in_last_second(Resource::RequestsPerSecond),
            ingress_bytes_per_second: allowance.in_last_second(Resource::IngressBytesPerSecond),
            egress_bytes_per_second: allowance.in_last_second(Resource::EgressBytesPerSecond),
            partitions,
            topics,
            storage_bytes: allowance.stored_bytes(self.stored_bytes(allowance)).await,
            connections: allowance.connections(),
            tails: allowance.tails(),
        };
        Ok(Quotas {
            limits,
            used,
            version,
        })
    }

    /// Whether a project and its organization may have as many of `grown` as `change` makes it.
    /// Changes do not overlap, so this is exact, and no two slip through one gap.
    ///
    /// # Errors
    /// 403 if one is over its quota.
    pub(in crate::gateway) async fn check_counts(
        &self,
        change: &mut Change,
        project: &Project,
        grown: &[Resource],
    ) -> Result<(), Problem> {
        for allowance in [&project.allowance, &project.organization_allowance] {
            let limits = limits_of(change, allowance).await?;
            if grown.iter().all(|resource| limits.get(*resource).is_none()) {
                continue;
            }
            let (topics, partitions) = counts_of(change, allowance).await?;
            for resource in grown {
                let count = match resource {
                    Resource::Topics => topics,
                    _ => partitions,
                };
                if let Some(limit) = limits.get(*resource).filter(|limit| count > *limit) {
                    return Err(exceeded(allowance, *resource, limit, None));
                }
            }
        }
        Ok(())
    }

    /// Bytes that an organization or a project stores, on the disks of those who lead.
    pub async fn stored_bytes(&self, allowance: &Allowance) -> u64 {
        let projects = match allowance.owner {
            Owner::Organization => {
                let projects = self.catalog.projects_of(&allowance.name);
                projects.iter().map(|project| project.id.clone()).collect()
            }
            Owner::Project => vec![allowance.name.clone()],
            // What is stored belongs to no key.
            Owner::Key => Vec::new(),
        };
        let mut bytes = 0;
        for project in projects {
            for topic in self.catalog.topics(&project, "", usize::MAX, |_| true) {
                bytes += self.bytes(&topic).await;
            }
        }
        bytes
    }
}

/// The limits as the database has them, which may be newer than what this node has heard.
async fn limits_of(
    connection: &mut AnyConnection,
    allowance: &Allowance,
) -> Result<Limits, Problem> {
    let rows = QuotaRow::of(connection, &allowance.name).await;
    let rows = rows.map_err(unavailable)?;
    Ok(match allowance.owner {
        Owner::Organization => Limits::of_organization(&rows),
        Owner::Project | Owner::Key => Limits::of_rows(&rows, Layer::Project),
    })
}

/// The version of somebody's limits.
///
/// # Errors
/// 404 if they went meanwhile.
async fn version_of(connection: &mut AnyConnection, allowance: &Allowance) -> Result<i64, Problem> {
    let (layer, what) = match allowance.owner {
        Owner::Organization => (Layer::Organization, "organization"),
        Owner::Project | Owner::Key => (Layer::Project, "project"),
    };
    let version = QuotaRow::version(connection, layer, &allowance.name).await;
    version.map_err(unavailable)?.ok_or_else(|| not_found(what))
}

/// Topics and partitions.
async fn counts_of(
    connection: &mut AnyConnection,
    allowance: &Allowance,
) -> Result<(u64, u64), Problem> {
    let name = &allowance.name;
    let counts = match allowance.owner {
        Owner::Organization => QuotaRow::count_in_organization(connection, name).await,
        Owner::Project | Owner::Key => QuotaRow::count_in_project(connection, name).await,
    };
    let (topics, partitions) = counts.map_err(unavailable)?;
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    Ok((count(topics), count(partitions)))
}

fn check_under(ceiling: &Limits, wanted: &LimitsChange) -> Result<(), Problem> {
    for (resource, limit) in wanted.named() {
        if let Some(ceiling) = ceiling.get(resource)
            && limit.is_none_or(|limit| limit > ceiling)
        {
            return Err(Problem::new(
                Code::Forbidden,
                format!(
                    "operators of the service gave the organization {} of {ceiling} at most",
                    resource.name()
                ),
            ));
        }
    }
    Ok(())
}
