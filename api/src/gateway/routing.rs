//! Reaching the brokers that lead: one call to each, again while it definitely did nothing.
//!
//! A leader that is just being replaced is waited for. What may have reached a log is never sent a
//! second time.

use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Duration};

use futures_util::{StreamExt, future::join_all, stream::FuturesUnordered};
use headwater_broker::{
    Acks, Broker, BrokerId, Fetch, FetchError, FetchPosition, Fetched, PartitionBatch,
    PartitionState, Placement, ProduceError, Produced,
};
use tokio::{sync::watch, time::Instant};

use super::{Gateway, no_leader, partition_not_found, read_problem, topic_not_found};
use crate::{
    limits::{LEADER_RETRY, LEADER_WAIT},
    metadata::Topic,
    problem::Problem,
};

/// What one broker answered, and at which places in the request that belongs.
type Part<T> = (Vec<usize>, Vec<T>);

/// How long a call goes on looking for a leader.
pub(super) struct Patience {
    deadline: Instant,
    pause: Duration,
    changes: watch::Receiver<()>,
}

impl Patience {
    /// Waits for the metadata to change, or a moment. False if the time is over.
    pub(super) async fn again(&mut self) -> bool {
        if Instant::now() >= self.deadline {
            return false;
        }
        // Whether it changed or ended, looking again is what is left.
        let _ = tokio::time::timeout(self.pause, self.changes.changed()).await;
        self.pause = (self.pause * 2).min(LEADER_RETRY.1);
        true
    }
}

/// Positions in a request by the broker that leads there, if any does.
fn by_leader(
    topic: &Topic,
    partitions: impl Iterator<Item = u32>,
) -> BTreeMap<Option<BrokerId>, Vec<usize>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (place, partition) in partitions.enumerate() {
        let leader = topic.leader_of(partition);
        groups.entry(leader).or_default().push(place);
    }
    groups
}

/// The answers of several calls in the request's order; `missing` where nobody was asked.
async fn gathered<T: Clone>(
    count: usize,
    missing: T,
    calls: Vec<impl Future<Output = Part<T>>>,
) -> Vec<T> {
    let mut gathered = vec![missing; count];
    for (places, answers) in join_all(calls).await {
        for (place, answer) in places.into_iter().zip(answers) {
            gathered[place] = answer;
        }
    }
    gathered
}

/// Whether another try may find who leads. A broker that does not know a partition that this node knows
/// has not heard of it yet; whether it is gone only this node's own metadata says.
fn is_elsewhere(error: &FetchError) -> bool {
    matches!(
        error,
        FetchError::NotLeader | FetchError::Unreachable(_) | FetchError::UnknownPartition
    )
}

/// What is left of such an error when the tries are over, and the partition is still there.
fn not_found(error: FetchError) -> FetchError {
    match error {
        FetchError::UnknownPartition => FetchError::NotLeader,
        error => error,
    }
}

/// The same of a produce.
fn not_written(error: ProduceError) -> ProduceError {
    match error {
        ProduceError::UnknownPartition => ProduceError::NotLeader,
        error => error,
    }
}

impl Gateway {
    pub(super) fn patience(&self) -> Patience {
        Patience {
            deadline: Instant::now() + LEADER_WAIT,
            pause: LEADER_RETRY.0,
            changes: self.catalog.changes(),
        }
    }

    /// Whether leadership can be anywhere but here.
    fn is_clustered(&self) -> bool {
        self.catalog.brokers().views.len() > 1
    }

    /// Asks the broker that leads a partition, which may be another one by the next try.
    ///
    /// # Errors
    /// 404 without such a partition, 503 without a leader, and what the broker answers.
    pub(super) async fn ask_leader<T, F>(
        &self,
        topic: &Topic,
        partition: u32,
        ask: impl Fn(Arc<dyn Broker>) -> F,
    ) -> Result<T, Problem>
    where
        F: Future<Output = Result<T, FetchError>>,
    {
        if partition >= topic.partitions() {
            return Err(partition_not_found(topic));
        }
        let mut patience = self.patience();
        loop {
            let current = self.catalog.topic_of(topic.id);
            let current = current.ok_or_else(topic_not_found)?;
            let error = match self.cluster.leader(&current.placement, partition) {
                Some(broker) => match ask(broker).await {
                    Err(error) if is_elsewhere(&error) => read_problem(not_found(error)),
                    answer => return answer.map_err(read_problem),
                },
                None => no_leader(),
            };
            if !patience.again().await {
                return Err(error);
            }
        }
    }

    /// Waits until the leaders of some partitions are known to lead. What is read by the topic that it
    /// answers, the newest that is known, has everything that was acknowledged before the call.
    ///
    /// # Errors
    /// 404 without such a partition, 503 without a leader, or one that does not know.
    pub async fn confirmed(
        &self,
        topic: &Topic,
        partitions: Range<u32>,
    ) -> Result<Arc<Topic>, Problem> {
        let mut patience = self.patience();
        loop {
            let current = self.catalog.topic_of(topic.id);
            let current = current.ok_or_else(topic_not_found)?;
            if partitions.end > current.partitions() {
                return Err(partition_not_found(&current));
            }
            let groups = by_leader(&current, partitions.clone());
            let calls = groups.into_iter().filter_map(|(leader, places)| {
                let broker = self.cluster.broker(leader?)?;
                let asked = places.iter().map(|place| partitions.start + *place as u32);
                let asked = asked.collect();
                Some(async move { (places, broker.confirm(topic.id, asked).await) })
            });
            let nobody = Err(FetchError::NotLeader);
            let answers = gathered(partitions.len(), nobody, calls.collect()).await;
            let Some(error) = answers.into_iter().find_map(Result::err) else {
                return Ok(current);
            };
            if !is_elsewhere(&error) || !patience.again().await {
                return Err(read_problem(not_found(error)));
            }
        }
    }

    /// Sends one request's batches to those who lead, and again what definitely was not written.
    /// `placed` hears of their places if one broker leads all of them and can tell before it answers.
    pub(super) async fn send_batches(
        &self,
        topic: &Topic,
        batches: Vec<PartitionBatch>,
        acks: Acks,
        placed: &mut (dyn FnMut() + Send),
    ) -> Vec<Result<Produced, ProduceError>> {
        if !self.is_clustered() {
            return self.send_once(topic, batches, acks, placed).await;
        }
        // A producer's batches belong together: those that were written are found again.
        let together = batches.first().is_some_and(|b| b.batch.producer().id >= 0);
        let mut outcomes = vec![Err(ProduceError::NotLeader); batches.len()];
        let mut places: Vec<usize> = (0..batches.len()).collect();
        let mut patience = self.patience();
        let mut current: Option<Arc<Topic>> = None;
        loop {
            let sent = places.iter().map(|place| batches[*place].clone()).collect();
            let topic = current.as_deref().unwrap_or(topic);
            let answers = self.send_once(topic, sent, acks, placed).await;
            for (place, answer) in places.into_iter().zip(answers) {
                if outcomes[place].is_err() {
                    outcomes[place] = answer;
                }
            }
            let again = |error: &ProduceError| {
                matches!(
                    error,
                    ProduceError::NotLeader
                        | ProduceError::Unreachable
                        | ProduceError::UnknownPartition
                )
            };
            let failed = |place: &usize| outcomes[*place].as_ref().is_err_and(again);
            places = (0..batches.len()).filter(failed).collect();
            // What may be in a log is the client's to repeat, and its companions with it.
            let unknown = together
                && outcomes
                    .iter()
                    .any(|o| matches!(o, Err(ProduceError::Unknown)));
            if places.is_empty() || unknown || !patience.again().await {
                let outcomes = outcomes.into_iter();
                return outcomes.map(|o| o.map_err(not_written)).collect();
            }
            if together {
                places = (0..batches.len()).collect();
            }
            match self.catalog.topic_of(topic.id) {
                Some(topic) => current = Some(topic),
                None => return outcomes,
            }
        }
    }

    /// One call to each broker that leads one of the partitions.
    async fn send_once(
        &self,
        topic: &Topic,
        batches: Vec<PartitionBatch>,
        acks: Acks,
        placed: &mut (dyn FnMut() + Send),
    ) -> Vec<Result<Produced, ProduceError>> {
        let mut groups = by_leader(topic, batches.iter().map(|batch| batch.partition));
        if groups.len() == 1
            && let Some((leader, _)) = groups.pop_first()
        {
            let count = batches.len();
            return match leader.and_then(|id| self.cluster.broker(id)) {
                Some(broker) => {
                    let produced = broker.produce_placed(topic.id, batches, acks, placed);
                    produced.await
                }
                None => vec![Err(ProduceError::NotLeader); count],
            };
        }
        let count = batches.len();
        let mut batches: Vec<_> = batches.into_iter().map(Some).collect();
        let calls = groups.into_iter().filter_map(|(leader, places)| {
            let broker = self.cluster.broker(leader?)?;
            let mine = places.iter().filter_map(|place| batches[*place].take());
            let mine: Vec<_> = mine.collect();
            Some(async move { (places, broker.produce(topic.id, mine, acks).await) })
        });
        let calls: Vec<_> = calls.collect();
        gathered(count, Err(ProduceError::NotLeader), calls).await
    }

    /// Where every partition of a topic stands: one call to each broker that leads some.
    pub(super) async fn states_of(&self, topic: &Topic) -> Vec<Result<PartitionState, Problem>> {
        let groups = by_leader(topic, 0..topic.partitions());
        let calls = groups.into_iter().filter_map(|(leader, places)| {
            let broker = self.cluster.broker(leader?)?;
            let partitions = places.iter().map(|place| *place as u32).collect();
            Some(async move { (places, broker.partition_states(topic.id, partitions).await) })
        });
        let count = topic.partitions() as usize;
        let states = gathered(count, Err(FetchError::NotLeader), calls.collect()).await;
        let told = states.into_iter();
        told.map(|state| state.map_err(|error| read_problem(not_found(error))))
            .collect()
    }

    /// Reads positions of one topic from those who lead there, looking for leaders that move.
    pub(super) async fn fetch_positions(
        &self,
        topic: &Topic,
        positions: &[FetchPosition],
        bytes_max: usize,
    ) -> Vec<Result<Fetched, FetchError>> {
        let mut patience = self.patience();
        let mut current: Option<Arc<Topic>> = None;
        loop {
            let topic = current.as_deref().unwrap_or(topic);
            let fetched = self.fetch_once(topic, positions, bytes_max).await;
            let elsewhere =
                |result: &Result<_, FetchError>| result.as_ref().is_err_and(is_elsewhere);
            if !fetched.iter().any(elsewhere) || !patience.again().await {
                let fetched = fetched.into_iter();
                return fetched.map(|f| f.map_err(not_found)).collect();
            }
            match self.catalog.topic_of(topic.id) {
                Some(topic) => current = Some(topic),
                None => return fetched,
            }
        }
    }

    /// Reads positions of one topic from those who lead there now.
    pub(super) async fn fetch_once(
        &self,
        topic: &Topic,
        positions: &[FetchPosition],
        bytes_max: usize,
    ) -> Vec<Result<Fetched, FetchError>> {
        let calls = self.fetch_calls(topic, positions, bytes_max, Duration::ZERO);
        gathered(positions.len(), Err(FetchError::NotLeader), calls).await
    }

    /// Waits until one of the leaders has something new at one of the positions, or the time is over.
    /// Answers whether there is.
    pub(super) async fn wait_for_records(
        &self,
        topic: &Topic,
        positions: &[FetchPosition],
        wait: Duration,
    ) -> bool {
        let calls = self.fetch_calls(topic, positions, 0, wait);
        let mut calls: FuturesUnordered<_> = calls.into_iter().collect();
        while let Some((places, answers)) = calls.next().await {
            let mut news = places
                .iter()
                .zip(&answers)
                .map(|(place, answer)| match answer {
                    Ok(fetched) => fetched.high_watermark != positions[*place].offset,
                    Err(_) => true,
                });
            if news.any(|new| new) {
                return true;
            }
        }
        false
    }

    /// One call to each broker that leads at one of the positions.
    fn fetch_calls<'a>(
        &self,
        topic: &'a Topic,
        positions: &'a [FetchPosition],
        bytes_max: usize,
        wait: Duration,
    ) -> Vec<impl Future<Output = Part<Result<Fetched, FetchError>>> + Send + 'a> {
        let groups = by_leader(topic, positions.iter().map(|position| position.partition));
        let calls = groups.into_iter().filter_map(|(leader, places)| {
            let broker = self.cluster.broker(leader?)?;
            let fetch = Fetch {
                topic: topic.id,
                positions: places.iter().map(|place| positions[*place]).collect(),
                bytes_max,
                wait,
            };
            Some(async move { (places, broker.fetch(fetch).await) })
        });
        calls.collect()
    }
}
