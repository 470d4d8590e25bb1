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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::{Counts, Stored};

    #[test]
    fn a_meter_is_listed_once_and_again_after_a_reading() {
        let meters = Meters::default();
        let meter = meters.of("acme", "orders", "placed");
        meters.of("acme", "orders", "still");
        meter.request();
        meter.received(2, 50);
        let moved = meters.moved();
        assert_eq!(moved.len(), 1, "only what moved, and once");
        assert_eq!(
            meter.read().counts,
            Counts {
                ingress_bytes: 50,
                records_in: 2,
                requests: 1,
                ..Counts::default()
            }
        );
        assert!(meters.moved().is_empty());
        meter.sent(1, 25);
        assert_eq!(meters.moved().len(), 1);
        meter.sent(0, 0);
        assert_eq!(meter.read().counts.egress_bytes, 25);
    }

    #[test]
    fn what_could_not_be_written_is_read_again() {
        let meters = Meters::default();
        let meter = meters.of("acme", "orders", "placed");
        meter.received(1, 10);
        meters.moved();
        let reading = meter.read();
        assert!(reading.resized);
        meter.received(1, 5);
        meter.put_back(reading);
        assert_eq!(meters.moved().len(), 1);
        let reading = meter.read();
        assert_eq!(reading.counts.ingress_bytes, 15);
        assert!(reading.resized);
    }

    #[test]
    fn a_name_keeps_its_meter_until_all_is_written() {
        let meters = Meters::default();
        let meter = meters.of("acme", "orders", "placed");
        meter.received(1, 10);
        drop(meter);
        let release = |meters: &Meters| {
            let mut page = meters.page(&mut String::new(), 10);
            page.drain(..).for_each(|meter| meters.release(meter));
        };
        release(&meters);
        assert_eq!(meters.count(), 1, "it counted something");
        let meter = meters.moved().pop().expect("it moved");
        meter.read();
        meter.note(Stored { hot: 10, cold: 0 });
        drop(meter);
        release(&meters);
        assert_eq!(meters.count(), 1, "something is stored under its name");
        let meter = meters.of("acme", "orders", "placed");
        meter.note(Stored::default());
        release(&meters);
        assert_eq!(meters.count(), 1, "somebody has it");
        drop(meter);
        release(&meters);
        assert_eq!(meters.count(), 0);
    }

    #[test]
    fn pages_go_through_all_meters_and_begin_again() {
        let meters = Meters::default();
        let _kept = ["a", "b", "c"].map(|topic| meters.of("acme", "orders", topic));
        let mut after = String::new();
        let mut names = |most| -> Vec<_> {
            let page = meters.page(&mut after, most);
            page.iter().map(|meter| meter.topic.clone()).collect()
        };
        assert_eq!(names(2), ["a", "b"]);
        assert_eq!(names(2), ["c"]);
        assert_eq!(names(2), ["a", "b"]);
    }

    #[test]
    fn nothing_is_lost_between_counting_and_reading() {
        const EACH: u64 = 20_000;
        let meters = Meters::default();
        let meter = meters.of("acme", "orders", "busy");
        let mut total = Counts::default();
        std::thread::scope(|scope| {
            let counters: Vec<_> = (0..3)
                .map(|_| scope.spawn(|| (0..EACH).for_each(|_| meter.received(1, 25))))
                .collect();
            while !counters.iter().all(|counter| counter.is_finished()) {
                for moved in meters.moved() {
                    let counts = moved.read().counts;
                    assert_eq!(counts.ingress_bytes, 25 * counts.records_in);
                    total += counts;
                }
            }
        });
        for moved in meters.moved() {
            total += moved.read().counts;
        }
        assert_eq!(total.records_in, 3 * EACH);
    }
}
