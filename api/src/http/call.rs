//! What every call starts from: who asks, in which project, about which topic.

use std::{marker::PhantomData, sync::Arc};

use axum::extract::{FromRequestParts, RawPathParams};
use http::{Extensions, HeaderMap, header, request::Parts};

use super::router::App;
use crate::{
    auth::{Access, Operation, Permission},
    gateway::partition_not_found,
    limits::METADATA_TIMEOUT,
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
    /// What the caller was let in for.
    pub permission: Permission,
    /// For problems inside a body.
    pub request_id: Arc<str>,
    partition: Option<String>,
}

/// A caller who may do the operation `O`: its row of the table of permissions was asked.
pub struct May<O, C> {
    /// The call.
    pub call: C,
    operation: PhantomData<fn() -> O>,
}

impl<O: Operation> FromRequestParts<App> for May<O, InProject> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, app)
            .await
            .map_err(|error| Problem::invalid("path", "invalid_utf8", error.to_string()))?;
        let (mut project, mut topic_name, mut partition, mut group) = (None, None, None, None);
        for (name, value) in &params {
            match name {
                "project" => project = Some(value),
                "topic" => topic_name = Some(value.to_owned()),
                "group" => group = Some(value.to_owned()),
                "partition" => partition = Some(value.to_owned()),
                _ => {}
            }
        }
        let access = authorize(
            app,
            &O::ROW,
            project.unwrap_or_default(),
            topic_name.as_deref().or(group.as_deref()),
            &parts.headers,
        )?;
        let request_id = request_id(&parts.extensions);
        let call = InProject {
            access,
            topic_name,
            partition,
            request_id,
        };
        Ok(Self {
            call,
            operation: PhantomData,
        })
    }
}

impl<O: Operation> FromRequestParts<App> for May<O, InTopic> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let May { call, .. } = May::<O, InProject>::from_request_parts(parts, app).await?;
        let topic = app
            .gateway
            .topic(&call.access, &call.topic_name.unwrap_or_default())?;
        let call = InTopic {
            access: call.access,
            topic,
            permission: O::ROW,
            request_id: call.request_id,
            partition: call.partition,
        };
        Ok(Self {
            call,
            operation: PhantomData,
        })
    }
}

impl<O: Operation> May<O, InTopic> {
    /// The caller of a request about a topic, by names that were taken from its path.
    ///
    /// # Errors
    /// 401, 403 and 404, as the extractor.
    pub fn open(
        app: &App,
        project: &str,
        topic: &str,
        headers: &HeaderMap,
        request_id: Arc<str>,
    ) -> Result<Self, Problem> {
        let access = authorize(app, &O::ROW, project, Some(topic), headers)?;
        let topic = app.gateway.topic(&access, topic)?;
        let call = InTopic {
            access,
            topic,
            permission: O::ROW,
            request_id,
            partition: None,
        };
        Ok(Self {
            call,
            operation: PhantomData,
        })
    }
}

impl InTopic {
    /// Looks again whether the caller still may: for what goes on for longer than a moment.
    ///
    /// # Errors
    /// 401, 403 and 404, as at first.
    pub fn check(&self, app: &App) -> Result<(), Problem> {
        let gateway = &app.gateway;
        let (row, now_ms) = (&self.permission, gateway.clock.now_ms());
        self.access
            .check(&gateway.catalog, row, &self.topic.name, now_ms)
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

fn authorize(
    app: &App,
    row: &Permission,
    project: &str,
    name: Option<&str>,
    headers: &HeaderMap,
) -> Result<Access, Problem> {
    let credential = headers.get(header::AUTHORIZATION);
    let now_ms = app.gateway.clock.now_ms();
    crate::auth::authorize(&app.gateway.catalog, row, project, name, credential, now_ms)
}

fn request_id(extensions: &Extensions) -> Arc<str> {
    let id = extensions.get::<RequestId>();
    id.map_or_else(|| Arc::from(""), |id| id.0.clone())
}

/// Does work that must not stop half-way when its client goes away: what is dropped then is the
/// waiting, not the work.
///
/// # Errors
/// Those of the work, 500 if it panicked, and 504 if the database hangs in the middle of it.
pub async fn unbroken<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    let work = tokio::spawn(work);
    match tokio::time::timeout(METADATA_TIMEOUT, work).await {
        Ok(done) => {
            done.unwrap_or_else(|error| Err(Problem::internal("a change was not finished", error)))
        }
        Err(_) => Err(Problem::new(
            Code::OutcomeUnknown,
            "the metadata database does not answer; whether the change is made is not known yet",
        )),
    }
}
