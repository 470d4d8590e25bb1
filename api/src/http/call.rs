//! What every call starts from: who asks, in which project, about which topic.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use http::{header, request::Parts};

use super::router::App;
use crate::{
    auth::Access,
    metadata::Topic,
    problem::{Code, Problem},
};

/// The request's id, taken from `X-Request-Id` or made.
#[derive(Debug, Clone)]
pub struct RequestId(pub Arc<str>);

/// A caller that may use the project of the path.
pub struct InProject {
    /// What the credential opens.
    pub access: Access,
    /// The path's topic name, if it has one. It may be no name at all.
    pub topic_name: Option<String>,
    /// The path's partition, as text.
    partition: Option<String>,
    /// For problems inside a body.
    pub request_id: Arc<str>,
}

/// A caller, and a topic of the project.
pub struct InTopic {
    /// The caller.
    pub access: Access,
    /// The topic.
    pub topic: Arc<Topic>,
    /// For problems inside a body.
    pub request_id: Arc<str>,
    partition: Option<String>,
}

impl FromRequestParts<App> for InProject {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, app)
            .await
            .map_err(|error| Problem::invalid("path", "invalid_utf8", error.to_string()))?;
        let (mut project, mut topic_name, mut partition) = (None, None, None);
        for (name, value) in &params {
            match name {
                "project" => project = Some(value),
                "topic" => topic_name = Some(value.to_owned()),
                "partition" => partition = Some(value.to_owned()),
                _ => {}
            }
        }
        let credential = parts.headers.get(header::AUTHORIZATION);
        let now_ms = app.gateway.clock.now_ms();
        let access = app
            .gateway
            .keys
            .authorize(project.unwrap_or_default(), credential, now_ms)
            .await?;
        let request_id = request_id(parts);
        Ok(Self {
            access,
            topic_name,
            partition,
            request_id,
        })
    }
}

impl FromRequestParts<App> for InTopic {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let InProject {
            access,
            topic_name,
            partition,
            request_id,
        } = InProject::from_request_parts(parts, app).await?;
        let topic = app
            .gateway
            .topic(&access, &topic_name.unwrap_or_default())?;
        Ok(Self {
            access,
            topic,
            request_id,
            partition,
        })
    }
}

impl InTopic {
    /// The partition that the path names.
    ///
    /// # Errors
    /// 404 if the topic has no such partition.
    pub fn partition(&self) -> Result<u32, Problem> {
        self.partition
            .as_deref()
            .and_then(|text| text.parse().ok())
            .filter(|partition| *partition < self.topic.partitions())
            .ok_or_else(|| {
                let last = self.topic.partitions() - 1;
                Problem::new(
                    Code::PartitionNotFound,
                    format!("the topic's partitions are 0 to {last}"),
                )
            })
    }
}

fn request_id(parts: &Parts) -> Arc<str> {
    parts
        .extensions
        .get::<RequestId>()
        .map_or_else(|| Arc::from(""), |id| id.0.clone())
}
