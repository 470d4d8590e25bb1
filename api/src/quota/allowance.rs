//! What one organization, project or key may use, and uses.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::limits::QUOTA_CALLS_PER_SECOND;

use super::{
    Limits, Resource,
    bucket::Bucket,
    now,
    recent::Recent,
    stored::Stored,
    turns::{Crowd, Turns},
};

/// No limit.
const UNLIMITED: u64 = u64::MAX;

/// Whose an allowance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// An organization's.
    Organization,
    /// A project's.
    Project,
    /// An API key's.
    Key,
}

impl Owner {
    /// As problems name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Project => "project",
            Self::Key => "key",
        }
    }
}

/// The limits of an organization, project or key, with its buckets and counters. It outlives changes
/// of the limits, and of everything else about its owner.
#[derive(Debug)]
pub struct Allowance {
    /// Whose it is.
    pub owner: Owner,
    /// The owner's name.
    pub name: String,
    /// By [`Resource`].
    limits: [AtomicU64; Resource::ALL.len()],
    /// Of requests, ingress and egress.
    rates: [Rate; 3],
    /// What is stored.
    pub(super) stored: Stored,
    /// Of calls about quotas, which are let in by who has used theirs up.
    quota_calls: Bucket,
    connections: AtomicU64,
    tails: AtomicU64,
    /// What an organization has under way.
    pub(super) turns: Turns,
}

#[derive(Debug, Default)]
struct Rate {
    bucket: Bucket,
    recent: Recent,
}

impl Allowance {
    /// Whether a call about quotas is let in although the quotas are used up: a few a second are.
    pub(super) fn take_quota_call(&self) -> bool {
        self.quota_calls
            .take(QUOTA_CALLS_PER_SECOND, 1, now())
            .is_ok()
    }

    /// How much is stored about now; now and then one caller measures for all.
    pub async fn stored_bytes(&self, measure: impl Future<Output = u64>) -> u64 {
        self.stored.bytes(measure).await
    }

    /// An unlimited one of somebody who is alone.
    pub fn new(owner: Owner, name: &str) -> Self {
        Self::among(Arc::default(), owner, name)
    }

    /// An unlimited one.
    pub(super) fn among(crowd: Arc<Crowd>, owner: Owner, name: &str) -> Self {
        Self {
            owner,
            name: name.to_owned(),
            limits: [const { AtomicU64::new(UNLIMITED) }; Resource::ALL.len()],
            rates: Default::default(),
            stored: Stored::default(),
            quota_calls: Bucket::default(),
            connections: AtomicU64::default(),
            tails: AtomicU64::default(),
            turns: Turns::new(crowd),
        }
    }

    /// Sets all limits. Debts stay what they were, at the new rates.
    pub fn set(&self, limits: &Limits) {
        let now = now();
        for resource in Resource::ALL {
            let new = limits.get(*resource);
            let old = self.limits[*resource as usize].swap(new.unwrap_or(UNLIMITED), Relaxed);
            let old = (old != UNLIMITED).then_some(old);
            if let Some(rate) = self.rates.get(*resource as usize)
                && old != new
            {
                rate.bucket.rescale(old, new, now);
            }
        }
    }

    /// The limit of one resource.
    pub fn limit(&self, resource: Resource) -> Option<u64> {
        let limit = self.limits[resource as usize].load(Relaxed);
        (limit != UNLIMITED).then_some(limit)
    }

    /// Takes so much of a rate, all or nothing.
    pub(super) fn take(
        &self,
        resource: Resource,
        amount: u64,
        now: Duration,
    ) -> Result<(), Option<Duration>> {
        let rate = &self.rates[resource as usize];
        if let Some(limit) = self.limit(resource) {
            rate.bucket.take(limit, amount, now)?;
        }
        rate.recent.add(amount, now.as_secs());
        Ok(())
    }

    /// Gives back what [`Allowance::take`] took.
    pub(super) fn give_back(&self, resource: Resource, amount: u64) {
        if let Some(limit) = self.limit(resource) {
            self.rates[resource as usize]
                .bucket
                .give_back(limit, amount);
        }
    }

    /// Whether a rate is not in debt; if it is, for how long.
    pub(super) fn check(&self, resource: Resource, now: Duration) -> Result<(), Option<Duration>> {
        match self.limit(resource) {
            Some(limit) => self.rates[resource as usize].bucket.check(limit, now),
            None => Ok(()),
        }
    }

    /// Counts so much of a rate, into debt if need be.
    pub(super) fn charge(&self, resource: Resource, amount: u64, now: Duration) {
        let rate = &self.rates[resource as usize];
        if let Some(limit) = self.limit(resource) {
            rate.bucket.charge(limit, amount, now);
        }
        rate.recent.add(amount, now.as_secs());
        if resource == Resource::IngressBytesPerSecond
            && self.limit(Resource::StorageBytes).is_some()
        {
            self.stored.add(amount);
        }
    }

    /// How much of a rate was used in the last second.
    pub fn in_last_second(&self, resource: Resource) -> u64 {
        let rate = self.rates.get(resource as usize);
        rate.map_or(0, |rate| rate.recent.in_last_second(now().as_secs()))
    }

    /// Those that are open now.
    pub(super) fn open(&self, what: super::slots::Open) -> &AtomicU64 {
        match what {
            super::slots::Open::Connection => &self.connections,
            super::slots::Open::Tail => &self.tails,
        }
    }

    /// Connections that are open now.
    pub fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// Tails that are open now.
    pub fn tails(&self) -> u64 {
        self.tails.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_come_and_go() {
        let allowance = Allowance::new(Owner::Project, "p");
        let requests = Resource::RequestsPerSecond;
        // Later than any moment at which limits are set.
        let at = Duration::from_secs(1_000_000);
        let take = || allowance.take(requests, 1, at).is_ok();
        assert!((0..100).all(|_| take()));
        let limited = Limits {
            requests_per_second: Some(2),
            ..Limits::default()
        };
        allowance.set(&limited);
        assert_eq!(allowance.limit(requests), Some(2));
        assert_eq!((0..100).filter(|_| take()).count(), 2);
        // Reading the same limits again gives nothing away.
        allowance.set(&limited);
        assert!(!take());
        allowance.set(&Limits::default());
        assert!((0..100).all(|_| take()));
    }
}
