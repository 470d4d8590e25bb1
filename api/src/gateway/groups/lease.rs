//! Leasing records of a shared group.
//!
//! The coordinator knows offsets and hashes of keys alone: a gateway reads what it leased, and tells it
//! what it would know next.

use std::{sync::Arc, time::Duration};

use headwater_broker::{FetchError, FetchPosition, Fetched, TopicId};
use headwater_groups::{Action, GroupId, Leased, Leases, Reply, Settlement};
use headwater_record::{BatchView, RecordView};
use tokio::time::Instant;

use super::{Gateway, expect_reply, group_id, token::seal_lease};
use crate::{
    auth::Access,
    gateway::{
        FetchPage, Form, ReadLimits,
        fetch::{INFLATED_BYTES_MAX, undecodable},
        read_problem,
    },
    limits::{LEASE_PAUSE, OFFER_WAIT},
    metadata::Topic,
    problem::Problem,
    quota::Resource,
};

/// A partition gets at least so many of the bytes that are read.
const SHARE_BYTES_MIN: usize = 64 << 10;

/// What a worker asks for.
#[derive(Debug, Clone)]
pub struct LeaseAsk {
    /// How long it needs; the group's lease by default.
    pub lease_ms: Option<u32>,
    /// How much to read, and how long to wait for the first record.
    pub limits: ReadLimits,
}

/// What a worker gets.
#[derive(Debug)]
pub struct LeasePage {
    /// The records; as JSON each has its lease and attempt.
    pub page: FetchPage,
    /// Lease and attempt of each record.
    pub leases: Vec<(String, u32)>,
    /// When the leases end; none without records.
    pub expires_at_ms: Option<i64>,
}

/// The leased records of a partition, some of which are read.
struct Picking<'a> {
    left: &'a [Leased],
}

/// What was made of leases.
struct Handout {
    page: FetchPage,
    leases: Vec<(String, u32)>,
    /// What is settled at once: what is gone, and what could not be handed out.
    rest: Settlement,
}

/// Who gets what is read.
struct Worker<'a> {
    access: &'a Access,
    group: &'a str,
    limits: &'a ReadLimits,
}

impl Gateway {
    /// Leases records of a shared group, and reads them. It waits for the first as long as it may.
    ///
    /// # Errors
    /// 404 without such a group, 409 if it is partitioned, and those of reading; what was leased and not
    /// read is given back.
    pub async fn lease_records(
        &self,
        access: &Access,
        group: &str,
        ask: &LeaseAsk,
    ) -> Result<LeasePage, Problem> {
        let id = group_id(access, group)?;
        let worker = Worker {
            access,
            group,
            limits: &ask.limits,
        };
        let mut draining = self.draining.clone();
        let until = Instant::now() + ask.limits.wait;
        // Who does not wait looks twice: what it was asked for may be what it came for.
        let mut was_asked = false;
        loop {
            let Leases {
                leased,
                wants,
                has_dead_letters,
            } = self.ask_lease(&id, ask).await?;
            if has_dead_letters {
                self.write_dead_letters(&id).await;
            }
            let (page, ()) = tokio::join!(self.read_leased(&worker, &id, &leased), async {
                if !leased.is_empty() {
                    self.offer_wanted(access, &id, &wants, Duration::ZERO).await;
                }
            },);
            let Handout { page, leases, .. } = page?;
            let left = until.saturating_duration_since(Instant::now());
            let is_over = left.is_zero() || *draining.borrow();
            let looks_again = leased.is_empty() && !wants.is_empty() && !was_asked;
            if page.record_count > 0 || (is_over && !looks_again) {
                let first = leased.first().filter(|_| page.record_count > 0);
                return Ok(LeasePage {
                    expires_at_ms: first.map(|leased| leased.deadline_ms),
                    page,
                    leases,
                });
            }
            let wait = async {
                match leased.is_empty() && !wants.is_empty() {
                    true => {
                        let wait = left.min(OFFER_WAIT);
                        self.offer_wanted(access, &id, &wants, wait).await;
                    }
                    // Another worker waits for records, or all wait for what others have.
                    false => tokio::time::sleep(left.min(LEASE_PAUSE)).await,
                }
            };
            was_asked = looks_again;
            tokio::select! {
                () = wait => {}
                _ = draining.wait_for(|draining| *draining), if !is_over => {}
            }
        }
    }

    async fn ask_lease(&self, id: &GroupId, ask: &LeaseAsk) -> Result<Leases, Problem> {
        let action = Action::Lease {
            records_max: ask.limits.records_max,
            lease_ms: ask.lease_ms,
        };
        let reply = self.ask_coordinator(id, action).await?;
        expect_reply!(reply, Reply::Leased(leases) => leases)
    }

    /// Reads records that were leased. What is not there any more is settled, what does not fit or cannot
    /// be read is given back.
    async fn read_leased(
        &self,
        worker: &Worker<'_>,
        id: &GroupId,
        leased: &[Leased],
    ) -> Result<Handout, Problem> {
        let mut handout = Handout {
            page: self.begin_page(worker.limits).await?,
            leases: Vec::new(),
            rest: Settlement::default(),
        };
        let read = self.fill_handout(worker, leased, &mut handout).await;
        handout.page.finish(worker.limits);
        let rest = std::mem::take(&mut handout.rest);
        if !rest.is_empty() {
            self.ask_coordinator(id, Action::Settle(rest)).await?;
        }
        read?;
        let layers = worker.access.layers();
        let bytes = handout.page.payload_bytes as u64;
        layers.charge(Resource::EgressBytesPerSecond, bytes);
        Ok(handout)
    }

    /// # Errors
    /// Nothing could be read, and not because it is gone.
    async fn fill_handout(
        &self,
        worker: &Worker<'_>,
        leased: &[Leased],
        handout: &mut Handout,
    ) -> Result<(), Problem> {
        let mut failure = None;
        for of_topic in leased.chunk_by(|a, b| topic_of(a) == topic_of(b)) {
            let Some(topic) = self.topic_read(worker.access, topic_of(&of_topic[0])) else {
                Picking { left: of_topic }.give_back(handout);
                continue;
            };
            let (records, bytes) = (handout.page.record_count, handout.page.payload_bytes);
            let read = self.read_of_topic(worker, &topic, of_topic, handout).await;
            if let Err(problem) = read {
                failure.get_or_insert(problem);
            }
            let records = handout.page.record_count - records;
            let bytes = handout.page.payload_bytes - bytes;
            topic.meter.sent(records, bytes);
        }
        match failure {
            Some(problem) if handout.page.record_count == 0 => Err(problem),
            _ => Ok(()),
        }
    }

    async fn read_of_topic(
        &self,
        worker: &Worker<'_>,
        topic: &Arc<Topic>,
        leased: &[Leased],
        handout: &mut Handout,
    ) -> Result<(), Problem> {
        let mut failure = None;
        let partitions = leased.chunk_by(|a, b| a.token.partition == b.token.partition);
        let mut open: Vec<_> = partitions.map(|left| Picking { left }).collect();
        let bytes_max = worker.limits.bytes_max;
        while !open.is_empty() && !handout.page.is_full(worker.limits) {
            let share = bytes_max / open.len();
            let positions: Vec<_> = open.iter().map(|picking| picking.position(share)).collect();
            let fetched = self.fetch_positions(topic, &positions, bytes_max).await;
            let mut still_open = Vec::new();
            for (mut picking, fetched) in open.into_iter().zip(fetched) {
                let before = picking.left.len();
                let taken = match fetched {
                    Ok(fetched) => picking.take(worker, topic, &fetched, handout),
                    Err(FetchError::OutOfRange { log_start, .. }) => {
                        picking.pass(log_start, handout);
                        Ok(())
                    }
                    Err(error) => Err(read_problem(error)),
                };
                if let Err(problem) = taken {
                    failure.get_or_insert(problem);
                }
                match picking.left.len() {
                    0 => {}
                    left if left < before => still_open.push(picking),
                    _ => picking.give_back(handout),
                }
            }
            open = still_open;
        }
        open.iter().for_each(|picking| picking.give_back(handout));
        failure.map_or(Ok(()), Err)
    }
}

fn topic_of(leased: &Leased) -> TopicId {
    leased.token.partition.topic
}

impl Picking<'_> {
    fn position(&self, bytes_max: usize) -> FetchPosition {
        let first = &self.left[0].token;
        let last = self
            .left
            .last()
            .map_or(first.offset, |last| last.token.offset);
        FetchPosition {
            partition: first.partition.partition,
            offset: first.offset,
            records_max: (last - first.offset + 1) as usize,
            bytes_max: bytes_max.max(SHARE_BYTES_MIN),
        }
    }

    /// What is below this offset and was not found is not there any more.
    fn pass(&mut self, offset: u64, handout: &mut Handout) {
        let gone = self
            .left
            .partition_point(|leased| leased.token.offset < offset);
        let (gone, left) = self.left.split_at(gone);
        handout
            .rest
            .ack
            .extend(gone.iter().map(|leased| leased.token));
        self.left = left;
    }

    fn give_back(&self, handout: &mut Handout) {
        let tokens = self.left.iter().map(|leased| leased.token);
        handout.rest.release.extend(tokens);
    }

    /// Writes those of the records that are leased, until the page is full.
    fn take(
        &mut self,
        worker: &Worker<'_>,
        topic: &Topic,
        fetched: &Fetched,
        handout: &mut Handout,
    ) -> Result<(), Problem> {
        let mut scratch = Vec::new();
        for batch in &fetched.batches {
            let (view, _) = BatchView::parse(batch).map_err(undecodable)?;
            let records = view.records(&mut scratch, INFLATED_BYTES_MAX);
            for record in records.map_err(undecodable)? {
                let record = record.map_err(undecodable)?;
                self.pass(record.offset, handout);
                let Some((first, left)) = self.left.split_first() else {
                    return Ok(());
                };
                if first.token.offset > record.offset {
                    continue;
                }
                if !handout.write(worker, first, &record, &topic.name) {
                    return Ok(());
                }
                self.left = left;
            }
            self.pass(view.next_offset(), handout);
            scratch.clear();
        }
        Ok(())
    }
}

impl Handout {
    /// Adds a record, unless the page is full.
    fn write(
        &mut self,
        worker: &Worker<'_>,
        leased: &Leased,
        record: &RecordView<'_>,
        topic: &str,
    ) -> bool {
        let Self { page, leases, .. } = self;
        if page.is_full(worker.limits) {
            return false;
        }
        let begin = page.records.len();
        let lease = seal_lease(&worker.access.project, worker.group, &leased.token);
        let is_json = matches!(worker.limits.form, Form::Json(_));
        if is_json {
            page.records.extend_from_slice(b"{\"lease\":\"");
            page.records.extend_from_slice(lease.as_bytes());
            page.records.extend_from_slice(b"\",\"attempt\":");
            let mut number = itoa::Buffer::new();
            let attempt = number.format(leased.attempt);
            page.records.extend_from_slice(attempt.as_bytes());
        }
        let opens_at = page.records.len();
        let partition = leased.token.partition.partition;
        let form = &worker.limits.form;
        form.write(&mut page.records, record, topic, partition);
        if is_json {
            // What opens the record now only separates.
            page.records[opens_at] = b',';
        }
        if page.records.len() > worker.limits.bytes_max && page.record_count > 0 {
            page.records.truncate(begin);
            return false;
        }
        page.record_count += 1;
        page.payload_bytes += record.payload_bytes();
        leases.push((lease, leased.attempt));
        true
    }
}
