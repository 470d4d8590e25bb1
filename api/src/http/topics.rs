//! `/topics` and `/topics/{topic}`

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Request, StatusCode, header};

use super::{
    body::json_body,
    call::{InProject, InTopic, May, unbroken},
    management::said_dry,
    openapi::{
        DeleteProblems, PartitionInfo, PartitionList, ReadProblems, TopicInfo, TopicList,
        TopicProblems,
    },
    params::{Params, if_match, rfc3339},
    router::App,
};
use crate::{
    auth::permissions::{
        DeleteTopic, EnsureTopic, GetTopic, ListPartitions, ListTopics, UpdateTopic,
    },
    gateway::{Gateway, TopicChange},
    metadata::Topic,
    problem::Problem,
};

/// List topics.
#[utoipa::path(
    get, path = "/topics", operation_id = "listTopics", tag = "topics",
    params(
        ("page_size" = Option<u32>, Query, description = "Topics on a page", minimum = 1, maximum = 1000, example = 100),
        ("page_token" = Option<String>, Query, description = "`next_page_token` of the page before"),
    ),
    responses((status = 200, description = "Topics by name", body = TopicList), TopicProblems),
)]
pub async fn list_topics(
    State(app): State<App>,
    May { call, .. }: May<ListTopics, InProject>,
    request: Request<Body>,
) -> Result<Json<TopicList>, Problem> {
    let params = Params::parse(request.uri(), &["page_size", "page_token"])?;
    let page = params.page()?;
    let rows = page.size + 1;
    let mut topics = app.gateway.list_topics(&call.access, &page.after, rows);
    let next_page_token = page.cut(&mut topics, |topic| &topic.name);
    let mut infos = Vec::with_capacity(topics.len());
    for topic in &topics {
        infos.push(info(&app.gateway, topic).await);
    }
    Ok(Json(TopicList {
        topics: infos,
        next_page_token,
    }))
}

/// Create a topic, or make sure that it is there.
///
/// 201 if it was created, 200 if it already is what the body says, 409 if it differs. What the body
/// leaves out is not compared.
#[utoipa::path(
    put, path = "/topics/{topic}", operation_id = "ensureTopic", tag = "topics",
    params(
        ("topic" = String, Path, description = "Topic name: 1 to 249 of a-z A-Z 0-9 . _ -, not starting with __", example = "orders"),
        ("dry_run" = Option<bool>, Query, description = "Check everything and change nothing"),
    ),
    request_body(content = Option<TopicChange>, description = "What it shall be; without a body all defaults"),
    responses(
        (status = 201, description = "Created", body = TopicInfo),
        (status = 200, description = "It already is so", body = TopicInfo),
        TopicProblems,
    ),
)]
pub async fn put_topic(
    State(app): State<App>,
    May { call, .. }: May<EnsureTopic, InProject>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let intent = call.intent(request.uri())?;
    let name = call.name.clone().unwrap_or_default();
    crate::gateway::check_name("topic", &name)?;
    let wanted: TopicChange = json_body(&app, request).await?;
    let (gateway, access) = (app.gateway.clone(), call.access);
    let dry_run = intent.dry_run;
    let (topic, created) =
        unbroken(async move { gateway.put_topic(&intent, &access, &name, wanted).await }).await?;
    let status = if created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(said_dry(
        with_etag(status, &app.gateway, &topic).await,
        dry_run,
    ))
}

/// Read a topic.
#[utoipa::path(
    get, path = "/topics/{topic}", operation_id = "getTopic", tag = "topics",
    params(("topic" = String, Path, description = "Topic name", example = "orders")),
    responses((status = 200, description = "The topic, with every setting's value and source", body = TopicInfo), ReadProblems),
)]
pub async fn get_topic(
    State(app): State<App>,
    May { call, .. }: May<GetTopic, InTopic>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    Params::parse(request.uri(), &[])?;
    Ok(with_etag(StatusCode::OK, &app.gateway, &call.topic).await)
}

/// Change a topic.
///
/// Settings that the body leaves out stay; partitions only grow.
#[utoipa::path(
    patch, path = "/topics/{topic}", operation_id = "updateTopic", tag = "topics",
    params(
        ("topic" = String, Path, description = "Topic name", example = "orders"),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on"),
        ("dry_run" = Option<bool>, Query, description = "Check everything and change nothing"),
    ),
    request_body(content = Option<TopicChange>, description = "What shall change"),
    responses((status = 200, description = "The topic as it is now", body = TopicInfo), TopicProblems),
)]
pub async fn patch_topic(
    State(app): State<App>,
    May { call, .. }: May<UpdateTopic, InTopic>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let intent = call.intent(request.uri())?;
    let dry_run = intent.dry_run;
    let if_match = if_match(request.headers())?;
    let change: TopicChange = json_body(&app, request).await?;
    let (gateway, access, name) = (app.gateway.clone(), call.access, call.topic.name.clone());
    let topic = unbroken(async move {
        gateway
            .patch_topic(&intent, &access, &name, change, if_match.as_deref())
            .await
    });
    let response = with_etag(StatusCode::OK, &app.gateway, &*topic.await?).await;
    Ok(said_dry(response, dry_run))
}

/// Delete a topic and all its records.
#[utoipa::path(
    delete, path = "/topics/{topic}", operation_id = "deleteTopic", tag = "topics",
    params(
        ("topic" = String, Path, description = "Topic name", example = "orders"),
        ("If-Match" = Option<String>, Header, description = "The ETag that the deletion is based on"),
        ("dry_run" = Option<bool>, Query, description = "Check everything and change nothing"),
    ),
    responses((status = 204, description = "It is gone"), DeleteProblems),
)]
pub async fn delete_topic(
    State(app): State<App>,
    May { call, .. }: May<DeleteTopic, InTopic>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let intent = call.intent(request.uri())?;
    let dry_run = intent.dry_run;
    let if_match = if_match(request.headers())?;
    let (gateway, access, name) = (app.gateway.clone(), call.access, call.topic.name.clone());
    unbroken(async move {
        gateway
            .delete_topic(&intent, &access, &name, if_match.as_deref())
            .await
    })
    .await?;
    Ok(said_dry(StatusCode::NO_CONTENT.into_response(), dry_run))
}

/// List a topic's partitions.
#[utoipa::path(
    get, path = "/topics/{topic}/partitions", operation_id = "listPartitions", tag = "topics",
    params(("topic" = String, Path, description = "Topic name", example = "orders")),
    responses((status = 200, description = "Where every partition stands", body = PartitionList), ReadProblems),
)]
pub async fn list_partitions(
    State(app): State<App>,
    May { call, .. }: May<ListPartitions, InTopic>,
    request: Request<Body>,
) -> Result<Json<PartitionList>, Problem> {
    Params::parse(request.uri(), &[])?;
    let partitions = partitions_of(&app.gateway, &call.topic).await?;
    Ok(Json(PartitionList { partitions }))
}

/// Where every partition of a topic stands.
///
/// # Errors
/// One of them cannot be asked.
pub async fn partitions_of(
    gateway: &Gateway,
    topic: &Topic,
) -> Result<Vec<PartitionInfo>, Problem> {
    let states = gateway.partition_states(topic).await?;
    let places = &topic.placement.partitions;
    let partitions = (0..)
        .zip(states.iter().zip(places))
        .map(|(partition, (state, place))| PartitionInfo {
            partition,
            leader: place.leader.map(|leader| leader.broker),
            epoch: place.epoch,
            replicas: place.replicas.clone(),
            in_sync: place.in_sync.clone(),
            log_start: state.log_start,
            high_watermark: state.high_watermark,
            hot_bytes: state.hot_bytes,
            cold_bytes: state.cold_bytes,
            hot_start: state.hot_start,
            cold_start: state.cold_start,
            offload_backlog_bytes: state.backlog_bytes,
        });
    Ok(partitions.collect())
}

async fn with_etag(status: StatusCode, gateway: &Gateway, topic: &Topic) -> Response {
    let mut response = (status, Json(info(gateway, topic).await)).into_response();
    if let Ok(etag) = HeaderValue::from_str(&topic.etag()) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

async fn info(gateway: &Gateway, topic: &Topic) -> TopicInfo {
    let tiers = gateway.tiers(topic).await;
    TopicInfo {
        name: topic.name.clone(),
        topic_id: topic.id.to_string(),
        partitions: topic.partitions(),
        replication_factor: topic.replication_factor,
        config: topic.settings.clone(),
        config_sources: topic.config.sources(),
        description: topic.description.clone(),
        created_at: rfc3339(topic.created_at_ms),
        hot_bytes: tiers.hot_bytes,
        cold_bytes: tiers.cold_bytes,
        offload_backlog_bytes: tiers.offload_backlog_bytes,
    }
}
