//! Joining, leaving, and being late.

use super::Partitioned;
use super::rows::{Member, Rows};
use super::table::Table;
use super::trial::Trial;
use crate::error::GroupError;
use crate::limits::MEMBERS_MAX;

impl Table {
    /// `joined` and lease of the member of a name, if its life is the one that knows this epoch.
    pub(super) fn member(&self, name: &str, epoch: u64) -> Result<(u64, u32), GroupError> {
        let member = self.members().get(name).ok_or(GroupError::MemberGone)?;
        // An epoch that is still to come was never told to anybody.
        if epoch < member.joined || epoch > self.epoch {
            return Err(GroupError::MemberFenced);
        }
        Ok((member.joined, member.lease_ms))
    }
}

impl Trial<'_> {
    /// Lets an instance have a name: as a new member, in place of another instance, or as before.
    /// Gives the `joined` of it.
    pub(super) fn join(
        &mut self,
        name: &str,
        instance: Option<&str>,
        lease_ms: u32,
    ) -> Result<u64, GroupError> {
        let present = self.members().get(name).cloned();
        if present.is_none() && self.members().len() >= MEMBERS_MAX {
            return Err(GroupError::TooMany {
                what: "members",
                max: MEMBERS_MAX,
            });
        }
        let same = present
            .as_ref()
            .filter(|member| member.instance.as_deref() == instance);
        let joined = match same {
            Some(member) => member.joined,
            None => self.begin_epoch(),
        };
        let row = Member {
            instance: instance.map(str::to_owned),
            joined,
            lease_ms,
        };
        self.set_member(name, Some(row));
        if let Some(before) = present.filter(|member| member.joined != joined) {
            for id in self.owned(before.joined).collect::<Vec<_>>() {
                self.give(id, Some(joined));
            }
        }
        self.give_unowned();
        Ok(joined)
    }

    /// Takes members away, and gives what they own to others at once.
    pub(super) fn remove(&mut self, joined: &[u64]) {
        for joined in joined {
            let Some(name) = self.names().get(joined).cloned() else {
                continue;
            };
            self.begin_epoch();
            self.set_member(&name, None);
            for id in self.owned(*joined).collect::<Vec<_>>() {
                self.give(id, None);
            }
        }
        self.give_unowned();
    }
}

impl Partitioned {
    /// Takes away whose lease is over.
    pub(crate) fn expire(&mut self, now_ms: i64) -> Option<Rows> {
        let over: Vec<u64> = self.sessions.over(now_ms).collect();
        let (rows, ()) = self.table.attempt(|trial| trial.remove(&over));
        rows
    }
}
