//! A replication session: one connection between a follower and a leader, for all partitions that the
//! one follows the other in. Who carries the messages is the network's business.

use headwater_log::PartitionId;
use tokio::sync::mpsc;

use crate::{
    placement::{BrokerId, Incarnation},
    replica::{Answer, FollowerFetch, Progress, Watermark},
};

/// What a follower sends; an empty one is a heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FollowerMessage {
    /// Positions to read from.
    pub fetches: Vec<(PartitionId, FollowerFetch)>,
    /// What became durable.
    pub progress: Vec<(PartitionId, Progress)>,
}

/// What a leader sends; an empty one is a heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaderMessage {
    /// Answers to fetches.
    pub answers: Vec<(PartitionId, Answer)>,
    /// High watermarks that moved.
    pub watermarks: Vec<(PartitionId, Watermark)>,
}

/// The follower's end of a session. Both channels close when the connection breaks.
#[derive(Debug)]
pub struct FollowerSession {
    /// To the leader.
    pub outgoing: mpsc::Sender<FollowerMessage>,
    /// From the leader.
    pub incoming: mpsc::Receiver<LeaderMessage>,
}

/// The leader's end of a session. Both channels close when the connection breaks.
#[derive(Debug)]
pub struct LeaderSession {
    /// Who follows.
    pub follower: BrokerId,
    /// Its life.
    pub incarnation: Incarnation,
    /// From the follower.
    pub incoming: mpsc::Receiver<FollowerMessage>,
    /// To the follower.
    pub outgoing: mpsc::Sender<LeaderMessage>,
}

/// Who serves followers: the node.
pub trait SessionHost: Send + Sync + 'static {
    /// Serves a follower until its session ends.
    fn serve_follower(&self, session: LeaderSession);
}

/// Why another broker cannot be reached now. Nothing of what was to be sent has reached it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable(pub String);

impl std::fmt::Display for Unreachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreachable {}
