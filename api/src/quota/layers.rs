//! The allowances that one call counts against.

use std::{sync::Arc, time::Duration};

use super::{
    Allowance, Resource, now,
    slots::{Open, Slot},
    turns::Turn,
};
use crate::{
    limits::QUOTA_RETRY,
    problem::{Code, Problem},
};

/// The allowances of a call: of its key if it has one, of its project if it is about one, and of the
/// organization. Every one is charged, and each may refuse.
#[derive(Debug, Clone, Copy)]
pub struct Layers<'a> {
    key: Option<&'a Arc<Allowance>>,
    project: Option<&'a Arc<Allowance>>,
    organization: &'a Arc<Allowance>,
}

impl<'a> Layers<'a> {
    /// Of a call about an organization.
    pub fn of_organization(organization: &'a Arc<Allowance>) -> Self {
        Self {
            key: None,
            project: None,
            organization,
        }
    }

    /// Of a call about a project.
    pub fn of_project(project: &'a Arc<Allowance>, organization: &'a Arc<Allowance>) -> Self {
        Self {
            key: None,
            project: Some(project),
            organization,
        }
    }

    /// The same with a key.
    pub fn with_key(mut self, key: &'a Arc<Allowance>) -> Self {
        self.key = Some(key);
        self
    }

    /// From the tightest to the widest.
    fn all(self) -> impl DoubleEndedIterator<Item = &'a Arc<Allowance>> {
        self.key.into_iter().chain(self.tenants())
    }

    /// Project and organization: what is stored and open is theirs.
    pub fn tenants(self) -> impl DoubleEndedIterator<Item = &'a Arc<Allowance>> {
        self.project.into_iter().chain([self.organization])
    }

    /// Counts a request.
    ///
    /// # Errors
    /// 429 if one of the layers has none left now; then none is charged.
    pub fn take_request(self) -> Result<(), Problem> {
        let (requests, now) = (Resource::RequestsPerSecond, now());
        for (nth, allowance) in self.all().enumerate() {
            if let Err(wait) = allowance.take(requests, 1, now) {
                let taken = self.all().take(nth);
                taken.for_each(|allowance| allowance.give_back(requests, 1));
                return Err(refusal(allowance, requests, wait));
            }
        }
        self.organization.turns.note(now);
        Ok(())
    }

    /// Whether a call about quotas is let in although quotas are used up.
    pub fn take_quota_call(self) -> bool {
        self.organization.take_quota_call()
    }

    /// Whether no layer is in debt of a rate of bytes.
    ///
    /// # Errors
    /// 429 if one is.
    pub fn check(self, rate: Resource) -> Result<(), Problem> {
        let now = now();
        for allowance in self.all() {
            let checked = allowance.check(rate, now);
            checked.map_err(|wait| refusal(allowance, rate, wait))?;
        }
        Ok(())
    }

    /// Whether all layers let anything through of a rate of bytes, at some time.
    ///
    /// # Errors
    /// 429 if one does not.
    pub fn check_any(self, rate: Resource) -> Result<(), Problem> {
        let shut = self
            .all()
            .find(|allowance| allowance.limit(rate) == Some(0));
        shut.map_or(Ok(()), |allowance| Err(refusal(allowance, rate, None)))
    }

    /// How long it takes until no layer is in debt of a rate of bytes, if one is.
    pub fn debt(self, rate: Resource) -> Option<Duration> {
        let now = now();
        self.all()
            .filter_map(|allowance| allowance.check(rate, now).err())
            .map(|wait| wait.unwrap_or(QUOTA_RETRY))
            .max()
    }

    /// Counts bytes that were written or read.
    pub fn charge(self, rate: Resource, bytes: u64) {
        let now = now();
        self.all()
            .for_each(|allowance| allowance.charge(rate, bytes, now));
    }

    /// Waits for the organization's turn to do something of about so many bytes.
    ///
    /// # Errors
    /// 503 if it has too much under way.
    pub async fn turn(self, bytes: usize) -> Result<Turn, Problem> {
        self.organization.turns.take(bytes).await
    }

    /// Takes places for a tail.
    ///
    /// # Errors
    /// 429 if all are taken.
    pub fn take_tail(self) -> Result<Vec<Slot>, Problem> {
        self.tenants()
            .map(|allowance| Slot::take(allowance, Open::Tail))
            .collect()
    }

    /// Who may store only so much, and how much.
    pub fn storage_limits(self) -> impl Iterator<Item = (&'a Allowance, u64)> {
        self.tenants().filter_map(|allowance| {
            let limit = allowance.limit(Resource::StorageBytes)?;
            Some((&**allowance, limit))
        })
    }
}

/// Whether somebody who stores so much may store more.
///
/// # Errors
/// 403 if not.
pub fn check_stored(allowance: &Allowance, stored: u64, limit: u64) -> Result<(), Problem> {
    match stored < limit {
        true => Ok(()),
        false => Err(refusal(allowance, Resource::StorageBytes, None)),
    }
}

/// As [`exceeded`], by the limit that this node knows.
pub(super) fn refusal(
    allowance: &Allowance,
    resource: Resource,
    wait: Option<Duration>,
) -> Problem {
    let limit = allowance.limit(resource).unwrap_or_default();
    exceeded(allowance, resource, limit, wait)
}

/// What somebody is told who is over a quota; `wait` is how long, if that is known.
pub fn exceeded(
    allowance: &Allowance,
    resource: Resource,
    limit: u64,
    wait: Option<Duration>,
) -> Problem {
    over(Over {
        owner: allowance.owner.name(),
        name: &allowance.name,
        resource,
        limit,
        wait,
    })
}

/// Which limit somebody is over.
pub(super) struct Over<'a> {
    /// What kind of owner the limit has.
    pub owner: &'static str,
    /// The owner.
    pub name: &'a str,
    /// Of what.
    pub resource: Resource,
    /// How much.
    pub limit: u64,
    /// For how long, if that is known.
    pub wait: Option<Duration>,
}

/// What somebody is told who is over a limit.
pub(super) fn over(over: Over<'_>) -> Problem {
    let Over {
        owner,
        name,
        resource,
        limit,
        wait,
    } = over;
    let (is_rate, passes) = match resource {
        Resource::RequestsPerSecond
        | Resource::IngressBytesPerSecond
        | Resource::EgressBytesPerSecond => (true, true),
        Resource::Connections | Resource::Tails => (false, true),
        Resource::Partitions | Resource::Topics | Resource::StorageBytes => (false, false),
    };
    let detail = format!(
        "the quota {} of {owner} {name} ({limit}{})",
        resource.name(),
        if is_rate { " a second" } else { "" },
    );
    if !passes {
        return Problem::new(Code::QuotaExceeded, detail);
    }
    let never = is_rate && limit == 0;
    let wait = wait.unwrap_or(if never { QUOTA_RETRY } else { QUOTA_SLOT_RETRY });
    let mut problem = Problem::new(Code::RateExceeded, detail);
    let wait_ms = wait.as_nanos().div_ceil(1_000_000);
    problem.retry_after_ms = Some(u64::try_from(wait_ms).unwrap_or(u64::MAX).max(1));
    problem.rate_limit = Some(limit);
    problem
}

/// How long whoever finds all places taken is told to wait: nobody knows when one comes free.
const QUOTA_SLOT_RETRY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::{Connection, Limits, Owner};

    fn allowance(owner: Owner, limits: Limits) -> Arc<Allowance> {
        let allowance = Allowance::new(owner, "x");
        allowance.set(&limits);
        Arc::new(allowance)
    }

    fn requests(limit: u64) -> Limits {
        Limits {
            requests_per_second: Some(limit),
            ..Limits::default()
        }
    }

    #[test]
    fn the_tightest_layer_decides_and_others_are_not_charged_for_it() {
        let key = allowance(Owner::Key, requests(50));
        let project = allowance(Owner::Project, Limits::default());
        let organization = allowance(Owner::Organization, requests(2));
        let layers = Layers::of_project(&project, &organization).with_key(&key);
        assert!(layers.take_request().is_ok());
        assert!(layers.take_request().is_ok());
        for _ in 0..60 {
            let problem = layers.take_request().unwrap_err();
            assert_eq!(problem.code.status(), 429);
            assert_eq!(problem.rate_limit, Some(2));
            assert!(
                problem
                    .retry_after_ms
                    .is_some_and(|ms| (1..=500).contains(&ms))
            );
            assert_eq!(
                problem.detail,
                "the quota requests_per_second of organization x (2 a second)"
            );
        }
        let alone = Layers::of_project(&project, &project).with_key(&key);
        assert!((0..48).all(|_| alone.take_request().is_ok()));
    }

    #[test]
    fn a_connection_holds_one_place_of_each() {
        let limits = Limits {
            connections: Some(2),
            ..Limits::default()
        };
        let organization = allowance(Owner::Organization, limits);
        let projects = [0; 3].map(|_| allowance(Owner::Project, Limits::default()));
        let [one, two, three] = &projects;
        let connection = Connection::default();
        for project in [one, two, one, three] {
            let layers = Layers::of_project(project, &organization);
            assert!(connection.enter(layers).is_ok());
        }
        assert_eq!((organization.connections(), one.connections()), (1, 1));
        let second = Connection::default();
        assert!(second.enter(Layers::of_organization(&organization)).is_ok());
        let third = Connection::default();
        let refused = third.enter(Layers::of_project(one, &organization));
        assert_eq!(refused.unwrap_err().code, Code::RateExceeded);
        assert_eq!(one.connections(), 1, "it kept no place of the project");
        drop(connection);
        assert_eq!((organization.connections(), one.connections()), (1, 0));
        assert!(third.enter(Layers::of_project(one, &organization)).is_ok());
    }

    #[test]
    fn counts_are_refused_for_good_and_what_passes_for_a_while() {
        let limits = Limits {
            storage_bytes: Some(10),
            tails: Some(0),
            egress_bytes_per_second: Some(0),
            ..Limits::default()
        };
        let organization = allowance(Owner::Organization, limits);
        let layers = Layers::of_organization(&organization);
        let (owner, limit) = layers.storage_limits().next().expect("a limit");
        let full = check_stored(owner, 10, limit).unwrap_err();
        assert_eq!((full.code.status(), full.code.retryable()), (403, false));
        let tails = layers.take_tail().unwrap_err();
        assert_eq!((tails.code.status(), tails.code.retryable()), (429, true));
        let nothing = layers.check(Resource::EgressBytesPerSecond).unwrap_err();
        assert_eq!(nothing.rate_limit, Some(0));
        assert!(layers.check(Resource::IngressBytesPerSecond).is_ok());
    }
}
