//! One other broker: what is asked of it, and what its failures mean.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use headwater_groups::{Call, Reply};
use headwater_log::{PartitionId, TopicId};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, SemaphorePermit, mpsc},
    time::timeout,
};
use tonic::{Request, Response, Status};

use super::{
    Deadlines, FETCH_WAIT_MAX, Identity, MESSAGE_BYTES_MAX, SESSION_MESSAGES, calls,
    encryption::Access,
    groups, hello,
    link::{Early, Link},
    proto::{self, broker_client::BrokerClient},
    seldom::Seldom,
    sessions::{self, Ends},
    wire::Wire,
};
use crate::{
    broker::{
        Acks, Answer, Broker, Fetch, Fetched, Holdings, PartitionBatch, PartitionState, Produced,
    },
    copy_state::CopyState,
    error::{CoordinateError, FetchError, NodeError, ProduceError},
    placement::{BrokerId, Incarnation},
    session::{FollowerSession, Unreachable},
};

/// Bytes of batches that are on their way to one broker.
const IN_FLIGHT_BYTES_MAX: usize = 64 << 20;
/// How long a produce waits for others to be answered.
const IN_FLIGHT_WAIT: Duration = Duration::from_secs(2);

/// Another broker of the cluster.
pub struct RemoteBroker {
    id: BrokerId,
    address: String,
    incarnation: Incarnation,
    identity: Arc<OnceLock<Identity>>,
    deadlines: Deadlines,
    runtime: Handle,
    /// Answers of calls do not wait behind replication.
    calls: Arc<Link>,
    replication: Link,
    in_flight: Semaphore,
    complaints: Seldom<()>,
}

impl RemoteBroker {
    pub(super) fn new(
        id: BrokerId,
        address: String,
        incarnation: Incarnation,
        identity: Arc<OnceLock<Identity>>,
        access: Access,
        deadlines: Deadlines,
        runtime: Handle,
    ) -> Self {
        Self {
            id,
            incarnation,
            identity,
            deadlines,
            runtime,
            calls: Arc::new(Link::new(id, address.clone(), "calls", access.clone())),
            replication: Link::new(id, address.clone(), "replication", access),
            address,
            in_flight: Semaphore::new(IN_FLIGHT_BYTES_MAX),
            complaints: Seldom::default(),
        }
    }

    /// Whether its connections still lead to where the broker is.
    pub(super) fn is_at(&self, address: &str, incarnation: Incarnation) -> bool {
        self.address == address && self.incarnation == incarnation
    }

    fn identity(&self) -> Result<&Identity, Unreachable> {
        let identity = self.identity.get();
        identity.ok_or_else(|| Unreachable("this node has not registered itself yet".into()))
    }

    /// A call that may be sent. Whatever fails before is definite.
    async fn prepare<M>(
        &self,
        message: M,
    ) -> Result<(BrokerClient<Wire>, Request<M>), Unreachable> {
        let header = hello::header(&self.identity()?.hello_to(self.id));
        let wire = self.calls.wire(Early::Fail).await?;
        let mut request = Request::new(message);
        hello::put(request.metadata_mut(), &header);
        Ok((client(wire), request))
    }

    /// Bounds a call and reads its failure. The second of it is whether nothing was done.
    async fn within<M>(
        &self,
        deadline: Duration,
        call: impl Future<Output = Result<Response<M>, Status>>,
    ) -> Result<M, (String, bool)> {
        match timeout(deadline, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => {
                let refused = hello::is_refusal(&status);
                if self.complaints.now(()) {
                    tracing::warn!(
                        broker = self.id,
                        address = %self.address,
                        refused,
                        why = status.message(),
                        "a call to another broker failed; this is logged at most once a minute"
                    );
                }
                Err((format!("broker {}: {}", self.id, status.message()), refused))
            }
            Err(_) => Err((format!("broker {} did not answer in time", self.id), false)),
        }
    }

    /// Waits for room for a produce.
    async fn room(&self, batches: &[PartitionBatch]) -> Result<SemaphorePermit<'_>, ProduceError> {
        let bytes: usize = batches.iter().map(|batch| batch.batch.len()).sum();
        let bytes = bytes.min(IN_FLIGHT_BYTES_MAX) as u32;
        match timeout(IN_FLIGHT_WAIT, self.in_flight.acquire_many(bytes)).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(ProduceError::Overloaded),
        }
    }

    async fn try_produce(
        &self,
        topic: TopicId,
        batches: Vec<PartitionBatch>,
        acks: Acks,
    ) -> Result<Vec<Result<Produced, ProduceError>>, ProduceError> {
        let expected = batches.len();
        let _room = self.room(&batches).await?;
        let request = calls::produce_request(topic, batches, acks);
        let prepared = self.prepare(request).await;
        let (mut client, request) = prepared.map_err(|_| ProduceError::Unreachable)?;
        let answered = self.within(self.deadlines.produce, client.produce(request));
        match answered.await {
            Ok(response) if response.partitions.len() == expected => {
                Ok(calls::produced(response).collect())
            }
            Ok(_) => Err(ProduceError::Unknown),
            Err((_, true)) => Err(ProduceError::Unreachable),
            Err((_, false)) => Err(ProduceError::Unknown),
        }
    }

    async fn try_fetch(
        &self,
        fetch: Fetch,
    ) -> Result<Vec<Result<Fetched, FetchError>>, FetchError> {
        let expected = fetch.positions.len();
        let deadline = fetch.wait.min(FETCH_WAIT_MAX) + self.deadlines.fetch;
        let (mut client, request) = self.prepare(calls::fetch_request(fetch)).await?;
        let response = self.within(deadline, client.fetch(request)).await?;
        let fetched = response.partitions.into_iter().map(calls::fetched);
        self.complete(fetched.collect(), expected)
    }

    async fn try_states(
        &self,
        topic: TopicId,
        partitions: Vec<u32>,
    ) -> Result<Vec<Result<PartitionState, FetchError>>, FetchError> {
        let expected = partitions.len();
        let message = proto::PartitionStatesRequest {
            topic: calls::topic_bytes(topic),
            partitions,
        };
        let (mut client, request) = self.prepare(message).await?;
        let call = client.partition_states(request);
        let response = self.within(self.deadlines.other, call).await?;
        let states = response.partitions.into_iter().map(calls::state);
        self.complete(states.collect(), expected)
    }

    async fn try_confirm(
        &self,
        topic: TopicId,
        partitions: Vec<u32>,
    ) -> Result<Vec<Result<(), FetchError>>, FetchError> {
        let expected = partitions.len();
        let message = proto::ConfirmRequest {
            topic: calls::topic_bytes(topic),
            partitions,
        };
        let (mut client, request) = self.prepare(message).await?;
        let call = client.confirm(request);
        let response = self.within(self.deadlines.other, call).await?;
        let confirmed = response.partitions.into_iter().map(calls::confirmed);
        self.complete(confirmed.collect(), expected)
    }

    fn complete<T>(&self, answers: Vec<T>, expected: usize) -> Result<Vec<T>, FetchError> {
        if answers.len() == expected {
            return Ok(answers);
        }
        let why = format!("broker {} answered for other partitions", self.id);
        Err(FetchError::Unreachable(why))
    }

    /// Opens a replication session. An attempt that comes too soon after a failed one waits for up to
    /// a second, so that callers may simply try again.
    pub(super) async fn follow(&self) -> Result<FollowerSession, Unreachable> {
        let hello = self.identity()?.hello_to(self.id);
        let wire = self.replication.wire(Early::Wait).await?;
        let (outgoing, messages) = mpsc::channel(SESSION_MESSAGES);
        let (to_follower, incoming) = mpsc::channel(SESSION_MESSAGES);
        let (ends, frames) = Ends::new(messages, Some(sessions::first(hello)));
        let mut client = client(wire);
        let call = self.within(self.deadlines.other, client.replicate(frames));
        let frames = call.await.map_err(|(why, _)| Unreachable(why))?;
        self.runtime.spawn(ends.receive(frames, to_follower));
        Ok(FollowerSession { outgoing, incoming })
    }
}

fn client(wire: Wire) -> BrokerClient<Wire> {
    // The connection is there already: the name is only what HTTP asks for.
    let origin = http::Uri::from_static("http://headwater");
    BrokerClient::with_origin(wire, origin)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

impl From<Unreachable> for FetchError {
    fn from(error: Unreachable) -> Self {
        Self::Unreachable(error.0)
    }
}

impl From<(String, bool)> for FetchError {
    fn from((why, _): (String, bool)) -> Self {
        // Reads may be repeated either way.
        Self::Unreachable(why)
    }
}

impl Broker for RemoteBroker {
    fn produce(
        &self,
        topic: TopicId,
        batches: Vec<PartitionBatch>,
        acks: Acks,
    ) -> Answer<'_, Vec<Result<Produced, ProduceError>>> {
        Box::pin(async move {
            let count = batches.len();
            let answers = self.try_produce(topic, batches, acks).await;
            answers.unwrap_or_else(|error| vec![Err(error); count])
        })
    }

    fn fetch(&self, fetch: Fetch) -> Answer<'_, Vec<Result<Fetched, FetchError>>> {
        Box::pin(async move {
            let count = fetch.positions.len();
            let answers = self.try_fetch(fetch).await;
            answers.unwrap_or_else(|error| vec![Err(error); count])
        })
    }

    fn partition_states(
        &self,
        topic: TopicId,
        partitions: Vec<u32>,
    ) -> Answer<'_, Vec<Result<PartitionState, FetchError>>> {
        Box::pin(async move {
            let count = partitions.len();
            let answers = self.try_states(topic, partitions).await;
            answers.unwrap_or_else(|error| vec![Err(error); count])
        })
    }

    fn offset_for_time(
        &self,
        id: PartitionId,
        timestamp_ms: i64,
    ) -> Answer<'_, Result<u64, FetchError>> {
        Box::pin(async move {
            let message = proto::OffsetForTimeRequest {
                topic: calls::topic_bytes(id.topic),
                partition: id.partition,
                timestamp_ms,
            };
            let (mut client, request) = self.prepare(message).await?;
            let call = client.offset_for_time(request);
            calls::offset(self.within(self.deadlines.other, call).await?)
        })
    }

    fn find_key(&self, id: PartitionId, key: Bytes) -> Answer<'_, Result<Option<u64>, FetchError>> {
        Box::pin(async move {
            let message = proto::FindKeyRequest {
                topic: calls::topic_bytes(id.topic),
                partition: id.partition,
                key,
            };
            let (mut client, request) = self.prepare(message).await?;
            let call = client.find_key(request);
            calls::key(self.within(self.deadlines.other, call).await?)
        })
    }

    fn trim(&self, id: PartitionId, before_offset: u64) -> Answer<'_, Result<u64, FetchError>> {
        Box::pin(async move {
            let message = proto::TrimRequest {
                topic: calls::topic_bytes(id.topic),
                partition: id.partition,
                before_offset,
            };
            let (mut client, request) = self.prepare(message).await?;
            let call = client.trim(request);
            calls::offset(self.within(self.deadlines.other, call).await?)
        })
    }

    fn confirm(
        &self,
        topic: TopicId,
        partitions: Vec<u32>,
    ) -> Answer<'_, Vec<Result<(), FetchError>>> {
        Box::pin(async move {
            let count = partitions.len();
            let answers = self.try_confirm(topic, partitions).await;
            answers.unwrap_or_else(|error| vec![Err(error); count])
        })
    }

    fn coordinate(
        &self,
        log: PartitionId,
        call: Call,
    ) -> Answer<'_, Result<Reply, CoordinateError>> {
        Box::pin(async move {
            let prepared = self.prepare(groups::request(log, call)).await;
            let (mut client, request) =
                prepared.map_err(|error| CoordinateError::Unreachable(error.0))?;
            // An answer waits for the quorum, as that of a produce does.
            let answered = self.within(self.deadlines.produce, client.coordinate(request));
            match answered.await {
                Ok(response) => groups::answer(response),
                Err((why, true)) => Err(CoordinateError::Unreachable(why)),
                Err((_, false)) => Err(CoordinateError::Unknown),
            }
        })
    }

    fn holdings(&self, moving_only: bool) -> Answer<'_, Result<Holdings, FetchError>> {
        Box::pin(async move {
            let message = proto::HoldingsRequest { moving_only };
            let (mut client, request) = self.prepare(message).await?;
            let call = client.holdings(request);
            calls::holdings(self.within(self.deadlines.other, call).await?)
        })
    }

    fn copy(&self, id: PartitionId) -> Answer<'_, Result<CopyState, FetchError>> {
        Box::pin(async move {
            let message = proto::CopyRequest {
                topic: calls::topic_bytes(id.topic),
                partition: id.partition,
            };
            let (mut client, request) = self.prepare(message).await?;
            let call = client.copy(request);
            calls::copy(self.within(self.deadlines.other, call).await?)
        })
    }

    fn topic_grew(&self, topic: TopicId) {
        // A hint: readers look again by themselves when their wait is over.
        let Some(identity) = self.identity.get() else {
            return;
        };
        let header = hello::header(&identity.hello_to(self.id));
        let (link, deadline) = (self.calls.clone(), self.deadlines.other);
        self.runtime.spawn(async move {
            let Ok(wire) = link.wire(Early::Wait).await else {
                return;
            };
            let mut request = Request::new(proto::TopicGrewRequest {
                topic: calls::topic_bytes(topic),
            });
            hello::put(request.metadata_mut(), &header);
            let mut client = client(wire);
            if !matches!(
                timeout(deadline, client.topic_grew(request)).await,
                Ok(Ok(_))
            ) {
                tracing::debug!(%topic, "a broker was not told that a topic grew");
            }
        });
    }

    fn drop_topic(&self, _: TopicId, _: u32) -> Answer<'_, Result<(), NodeError>> {
        // Each broker removes data by the tombstone that it reads in the metadata itself.
        let error = NodeError(format!("broker {} removes its data by itself", self.id));
        Box::pin(std::future::ready(Err(error)))
    }
}
