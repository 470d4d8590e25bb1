//! All meters of a node.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use parking_lot::Mutex;

use super::meter::{Meter, Moved};

/// The meters of all topics and projects: one for each name, whoever bears it.
#[derive(Clone, Default)]
pub struct Meters(Arc<Known>);

#[derive(Default)]
struct Known {
    by_name: Mutex<BTreeMap<String, Arc<Meter>>>,
    moved: Arc<Moved>,
}

/// Neither part holds a slash.
fn key(project: &str, topic: &str) -> String {
    format!("{project}/{topic}")
}

impl Meters {
    /// The meter of a topic's name; of an empty one, of the project's calls about no topic.
    pub fn of(&self, organization: &str, project: &str, topic: &str) -> Arc<Meter> {
        let mut by_name = self.0.by_name.lock();
        let meter = by_name
            .entry(key(project, topic))
            .or_insert_with(|| Meter::new(organization, project, topic, &self.0.moved));
        meter.clone()
    }

    /// The meter of a topic's name, if there is one.
    pub fn get(&self, project: &str, topic: &str) -> Option<Arc<Meter>> {
        self.0.by_name.lock().get(&key(project, topic)).cloned()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.by_name.lock().len()
    }

    /// Takes the list of those that moved.
    pub fn moved(&self) -> Vec<Arc<Meter>> {
        std::mem::take(&mut *self.0.moved.lock())
    }

    /// Puts those back on the list that were not read.
    pub fn unread(&self, meters: impl IntoIterator<Item = Arc<Meter>>) {
        self.0.moved.lock().extend(meters);
    }

    /// At most `most` of all meters, from the first after `after` on, which becomes the last of them;
    /// empty again after the last of all.
    pub fn page(&self, after: &mut String, most: usize) -> Vec<Arc<Meter>> {
        let page: Vec<_> = {
            let by_name = self.0.by_name.lock();
            let rest = (Bound::Excluded(after.as_str()), Bound::Unbounded);
            let rest = by_name.range::<str, _>(rest);
            rest.take(most).map(|(_, meter)| meter.clone()).collect()
        };
        match page.last() {
            Some(last) if page.len() == most => *after = key(&last.project, &last.topic),
            _ => after.clear(),
        }
        page
    }

    /// Gives a meter back, and forgets it if nobody has it any more and all of it is written down.
    pub fn release(&self, meter: Arc<Meter>) {
        let mut by_name = self.0.by_name.lock();
        // The map's and the caller's; more come only from the map, which is locked.
        if Arc::strong_count(&meter) == 2 && meter.at_rest() {
            by_name.remove(&key(&meter.project, &meter.topic));
        }
    }
}
