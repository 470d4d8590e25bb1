//! All allowances of a node.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

use super::{Allowance, Owner, turns::Crowd};

/// Keeps one allowance for each owner, for as long as somebody holds it: reading metadata anew, or
/// making again what was deleted, gives nobody a fresh bucket, and forgets no open connection.
#[derive(Debug, Default)]
pub struct Allowances(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_owner: HashMap<(Owner, String), Weak<Allowance>>,
    /// How many there may be before those that nobody holds are forgotten.
    forget_at: usize,
    crowd: Arc<Crowd>,
}

impl Allowances {
    /// The allowance of an owner; an unlimited one if it is new. `id` is unique among owners of the
    /// kind, `name` is for people.
    pub fn of(&self, owner: Owner, id: String, name: &str) -> Arc<Allowance> {
        let mut known = self.0.lock();
        if known.by_owner.len() >= known.forget_at {
            known.by_owner.retain(|_, held| held.strong_count() > 0);
            known.forget_at = 2 * known.by_owner.len() + 64;
        }
        let crowd = known.crowd.clone();
        let place = known.by_owner.entry((owner, id)).or_default();
        place.upgrade().unwrap_or_else(|| {
            let allowance = Arc::new(Allowance::among(crowd, owner, name));
            *place = Arc::downgrade(&allowance);
            allowance
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_lives_as_long_as_it_is_held() {
        let allowances = Allowances::default();
        let of = |id: &str| allowances.of(Owner::Project, id.to_owned(), id);
        let first = of("p");
        assert!(Arc::ptr_eq(&first, &of("p")));
        let organization = allowances.of(Owner::Organization, "p".to_owned(), "p");
        assert!(!Arc::ptr_eq(&first, &organization));
        for n in 0..10_000 {
            drop(of(&format!("passing-{n}")));
        }
        assert!(Arc::ptr_eq(&first, &of("p")));
        assert!(allowances.0.lock().by_owner.len() < 200);
    }
}
