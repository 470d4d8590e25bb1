//! What this process answers when another one calls: each call is checked to be for it, then handed to
//! the broker or the host of sessions.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use headwater_log::PartitionId;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::{
    SESSION_MESSAGES, Service, calls, groups, hello,
    proto::{
        self, ConfirmRequest, ConfirmResponse, CoordinateRequest, CoordinateResponse, CopyRequest,
        CopyResponse, FetchRequest, FetchResponse, FindKeyRequest, FindKeyResponse, FollowerFrame,
        Hello, HoldingsRequest, HoldingsResponse, LeaderFrame, OffsetForTimeRequest,
        OffsetResponse, PartitionStatesRequest, PartitionStatesResponse, ProduceRequest,
        ProduceResponse, TopicGrewRequest, TopicGrewResponse, TrimRequest,
    },
    sessions::{Answering, Ends},
};
use crate::session::{LeaderMessage, LeaderSession};

/// How long the first frame of a session may take.
const FIRST_FRAME: Duration = Duration::from_secs(10);

/// One connection's view of the service.
pub(super) struct Handlers {
    pub(super) service: Arc<Service>,
    pub(super) peer: SocketAddr,
    /// Ends its sessions.
    pub(super) stop: CancellationToken,
}

impl Handlers {
    /// Takes a call's message if the call is for this process.
    fn admit<M>(&self, request: Request<M>) -> Result<M, Status> {
        let hello = hello::of(request.metadata());
        hello.and_then(|hello| self.check(&hello))?;
        Ok(request.into_inner())
    }

    fn check(&self, hello: &Hello) -> Result<(), Status> {
        let checked = hello::check(hello, self.service.identity.get());
        if let Err(status) = &checked
            && self.service.complaints.now(self.peer.ip())
        {
            tracing::warn!(
                peer = %self.peer,
                caller = hello.from_broker,
                why = status.message(),
                "a call of another node is refused; this is logged at most once a minute"
            );
        }
        checked
    }
}

#[async_trait]
impl proto::broker_server::Broker for Handlers {
    async fn produce(
        &self,
        request: Request<ProduceRequest>,
    ) -> Result<Response<ProduceResponse>, Status> {
        let (topic, batches, acks) = calls::produce(self.admit(request)?)?;
        let answers = self.service.broker.produce(topic, batches, acks).await;
        Ok(Response::new(calls::produce_response(answers)))
    }

    async fn fetch(
        &self,
        request: Request<FetchRequest>,
    ) -> Result<Response<FetchResponse>, Status> {
        let fetch = calls::fetch(self.admit(request)?)?;
        let answers = self.service.broker.fetch(fetch).await;
        Ok(Response::new(calls::fetch_response(answers)))
    }

    async fn partition_states(
        &self,
        request: Request<PartitionStatesRequest>,
    ) -> Result<Response<PartitionStatesResponse>, Status> {
        let request = self.admit(request)?;
        let topic = calls::topic(&request.topic)?;
        let states = self
            .service
            .broker
            .partition_states(topic, request.partitions);
        Ok(Response::new(calls::states_response(states.await)))
    }

    async fn offset_for_time(
        &self,
        request: Request<OffsetForTimeRequest>,
    ) -> Result<Response<OffsetResponse>, Status> {
        let request = self.admit(request)?;
        let id = PartitionId {
            topic: calls::topic(&request.topic)?,
            partition: request.partition,
        };
        let found = self
            .service
            .broker
            .offset_for_time(id, request.timestamp_ms);
        Ok(Response::new(calls::offset_response(found.await)))
    }

    async fn find_key(
        &self,
        request: Request<FindKeyRequest>,
    ) -> Result<Response<FindKeyResponse>, Status> {
        let request = self.admit(request)?;
        let id = PartitionId {
            topic: calls::topic(&request.topic)?,
            partition: request.partition,
        };
        let found = self.service.broker.find_key(id, request.key);
        Ok(Response::new(calls::key_response(found.await)))
    }

    async fn trim(
        &self,
        request: Request<TrimRequest>,
    ) -> Result<Response<OffsetResponse>, Status> {
        let request = self.admit(request)?;
        let id = PartitionId {
            topic: calls::topic(&request.topic)?,
            partition: request.partition,
        };
        let trimmed = self.service.broker.trim(id, request.before_offset).await;
        Ok(Response::new(calls::offset_response(trimmed)))
    }

    async fn confirm(
        &self,
        request: Request<ConfirmRequest>,
    ) -> Result<Response<ConfirmResponse>, Status> {
        let request = self.admit(request)?;
        let topic = calls::topic(&request.topic)?;
        let answers = self.service.broker.confirm(topic, request.partitions).await;
        Ok(Response::new(calls::confirm_response(answers)))
    }

    async fn coordinate(
        &self,
        request: Request<CoordinateRequest>,
    ) -> Result<Response<CoordinateResponse>, Status> {
        let (log, call) = groups::call(self.admit(request)?)?;
        let answer = self.service.broker.coordinate(log, call).await;
        Ok(Response::new(groups::response(answer)))
    }

    async fn holdings(
        &self,
        request: Request<HoldingsRequest>,
    ) -> Result<Response<HoldingsResponse>, Status> {
        let request = self.admit(request)?;
        let holdings = self.service.broker.holdings(request.moving_only).await;
        let holdings = holdings.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(Response::new(calls::holdings_response(holdings)))
    }

    async fn copy(&self, request: Request<CopyRequest>) -> Result<Response<CopyResponse>, Status> {
        let request = self.admit(request)?;
        let id = PartitionId {
            topic: calls::topic(&request.topic)?,
            partition: request.partition,
        };
        let copy = self.service.broker.copy(id).await;
        Ok(Response::new(calls::copy_response(copy)))
    }

    async fn topic_grew(
        &self,
        request: Request<TopicGrewRequest>,
    ) -> Result<Response<TopicGrewResponse>, Status> {
        let request = self.admit(request)?;
        self.service
            .broker
            .topic_grew(calls::topic(&request.topic)?);
        Ok(Response::new(TopicGrewResponse {}))
    }

    type ReplicateStream = Answering<LeaderMessage, LeaderFrame>;

    async fn replicate(
        &self,
        request: Request<Streaming<FollowerFrame>>,
    ) -> Result<Response<Self::ReplicateStream>, Status> {
        let mut frames = request.into_inner();
        let first = timeout(FIRST_FRAME, frames.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("no first frame came"))??;
        let hello = first
            .and_then(|first| first.hello)
            .ok_or_else(|| hello::refusal("hello", "the session does not say who calls".into()))?;
        self.check(&hello)?;
        if hello.from_broker == 0 {
            return Err(hello::refusal("gateway", "a gateway follows nobody".into()));
        }
        let (outgoing, messages) = mpsc::channel(SESSION_MESSAGES);
        let (to_leader, incoming) = mpsc::channel(SESSION_MESSAGES);
        let (ends, answer) = Ends::under(&self.stop, messages, None);
        tokio::spawn(ends.receive(frames, to_leader));
        self.service.sessions.serve_follower(LeaderSession {
            follower: hello.from_broker,
            incarnation: hello.from_incarnation,
            incoming,
            outgoing,
        });
        Ok(Response::new(Answering(answer)))
    }
}
