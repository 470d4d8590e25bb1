//! What every call starts from: who asks, in which project, about which topic.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use http::{Extensions, HeaderMap, header, request::Parts};

use super::router::App;
use crate::{auth::Access, gateway::partition_not_found, metadata::Topic, problem::Problem};

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
        let access = authorize(app, project.unwrap_or_default(), &parts.headers).await?;
        let request_id = request_id(&parts.extensions);
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
        let call = InProject::from_request_parts(parts, app).await?;
        let topic = app
            .gateway
            .topic(&call.access, &call.topic_name.unwrap_or_default())?;
        Ok(Self {
            access: call.access,
            topic,
            request_id: call.request_id,
            partition: call.partition,
        })
    }
}

impl InTopic {
    /// The caller of a request about a topic, by names that were taken from its path.
    ///
    /// # Errors
    /// 401 and 404, as the extractor.
    pub async fn open(
        app: &App,
        project: &str,
        topic: &str,
        headers: &HeaderMap,
        request_id: Arc<str>,
    ) -> Result<Self, Problem> {
        let access = authorize(app, project, headers).await?;
        let topic = app.gateway.topic(&access, topic)?;
        Ok(Self {
            access,
            topic,
            request_id,
            partition: None,
        })
    }

    /// The partition that the path names.
    ///
    /// # Errors
    /// 404 if the topic has no such partition.
    pub fn partition(&self) -> Result<u32, Problem> {
        self.partition
            .as_deref()
            .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .filter(|partition| *partition < self.topic.partitions())
            .ok_or_else(|| partition_not_found(&self.topic))
    }
}

async fn authorize(app: &App, project: &str, headers: &HeaderMap) -> Result<Access, Problem> {
    let credential = headers.get(header::AUTHORIZATION);
    let gateway = &app.gateway;
    gateway
        .keys
        .authorize(project, credential, gateway.clock.now_ms())
        .await
}

fn request_id(extensions: &Extensions) -> Arc<str> {
    let id = extensions.get::<RequestId>();
    id.map_or_else(|| Arc::from(""), |id| id.0.clone())
}

/// Does work that must not stop half-way when its client goes away: what is dropped then is the
/// waiting, not the work.
///
/// # Errors
/// Those of the work, and 500 if it panicked.
pub async fn unbroken<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    tokio::spawn(work)
        .await
        .unwrap_or_else(|error| Err(Problem::internal("a change was not finished", error)))
}
