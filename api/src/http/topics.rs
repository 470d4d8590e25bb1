//! `/topics` and `/topics/{topic}`

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};

use super::{
    body::json_body,
    call::{InProject, InTopic, May, unbroken},
    openapi::{
        DeleteProblems, PartitionInfo, PartitionList, ReadProblems, TopicInfo, TopicList,
        TopicProblems,
    },
    params::Params,
    router::App,
};
use crate::{
    auth::permissions::{
        DeleteTopic, EnsureTopic, GetTopic, ListPartitions, ListTopics, UpdateTopic,
    },
    gateway::{Gateway, TopicChange},
    limits::PAGE_SIZE,
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
    let page_size = params.number("page_size", 1, PAGE_SIZE.1 as u64)?;
    let after = params.text("page_token").map(read_token).transpose()?;
    let page_size = page_size.map_or(PAGE_SIZE.0, |size| size as usize);
    let page = app
        .gateway
        .list_topics(&call.access, after.as_deref(), page_size);
    let topics = page
        .topics
        .iter()
        .map(|topic| info(&app.gateway, topic))
        .collect();
    Ok(Json(TopicList {
        topics,
        next_page_token: page.next_page_token,
    }))
}

/// Create a topic, or make sure that it is there.
///
/// 201 if it was created, 200 if it already is what the body says, 409 if it differs. What the body
/// leaves out is not compared.
#[utoipa::path(
    put, path = "/topics/{topic}", operation_id = "ensureTopic", tag = "topics",
    params(("topic" = String, Path, description = "Topic name: 1 to 249 of a-z A-Z 0-9 . _ -, not starting with __", example = "orders")),
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
    Params::parse(request.uri(), &[])?;
    let name = call.topic_name.clone().unwrap_or_default();
    crate::gateway::check_name(&name)?;
    let wanted: TopicChange = json_body(&app, request).await?;
    let (gateway, access) = (app.gateway.clone(), call.access);
    let (topic, created) =
        unbroken(async move { gateway.put_topic(&access, &name, wanted).await }).await?;
    let status = if created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(with_etag(status, &app.gateway, &topic))
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
    Ok(with_etag(StatusCode::OK, &app.gateway, &call.topic))
}

/// Change a topic.
///
/// Settings that the body leaves out stay; partitions only grow.
#[utoipa::path(
    patch, path = "/topics/{topic}", operation_id = "updateTopic", tag = "topics",
    params(
        ("topic" = String, Path, description = "Topic name", example = "orders"),
        ("If-Match" = Option<String>, Header, description = "The ETag that the change is based on"),
    ),
    request_body(content = Option<TopicChange>, description = "What shall change"),
    responses((status = 200, description = "The topic as it is now", body = TopicInfo), TopicProblems),
)]
pub async fn patch_topic(
    State(app): State<App>,
    May { call, .. }: May<UpdateTopic, InTopic>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    Params::parse(request.uri(), &[])?;
    let if_match = if_match(request.headers())?;
    let change: TopicChange = json_body(&app, request).await?;
    let (gateway, access, name) = (app.gateway.clone(), call.access, call.topic.name.clone());
    let topic = unbroken(async move {
        gateway
            .patch_topic(&access, &name, change, if_match.as_deref())
            .await
    });
    Ok(with_etag(StatusCode::OK, &app.gateway, &*topic.await?))
}

/// Delete a topic and all its records.
#[utoipa::path(
    delete, path = "/topics/{topic}", operation_id = "deleteTopic", tag = "topics",
    params(
        ("topic" = String, Path, description = "Topic name", example = "orders"),
        ("If-Match" = Option<String>, Header, description = "The ETag that the deletion is based on"),
    ),
    responses((status = 204, description = "It is gone"), DeleteProblems),
)]
pub async fn delete_topic(
    State(app): State<App>,
    May { call, .. }: May<DeleteTopic, InTopic>,
    request: Request<Body>,
) -> Result<StatusCode, Problem> {
    Params::parse(request.uri(), &[])?;
    let if_match = if_match(request.headers())?;
    let (gateway, access, name) = (app.gateway.clone(), call.access, call.topic.name.clone());
    unbroken(async move {
        gateway
            .delete_topic(&access, &name, if_match.as_deref())
            .await
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
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
    let states = app.gateway.partition_states(&call.topic)?;
    let places = &call.topic.placement.partitions;
    let partitions = (0..)
        .zip(states.iter().zip(places))
        .map(|(partition, (state, place))| PartitionInfo {
            partition,
            leader: place.leader,
            epoch: place.epoch,
            replicas: vec![place.leader],
            in_sync: vec![place.leader],
            log_start: state.log_start,
            high_watermark: state.high_watermark,
            hot_bytes: state.hot_bytes,
            cold_bytes: 0,
        })
        .collect();
    Ok(Json(PartitionList { partitions }))
}

fn with_etag(status: StatusCode, gateway: &Gateway, topic: &Topic) -> Response {
    let mut response = (status, Json(info(gateway, topic))).into_response();
    if let Ok(etag) = HeaderValue::from_str(&topic.etag()) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

fn info(gateway: &Gateway, topic: &Topic) -> TopicInfo {
    TopicInfo {
        name: topic.name.clone(),
        topic_id: topic.id.to_string(),
        partitions: topic.partitions(),
        replication_factor: topic.replication_factor,
        config: topic.settings.clone(),
        config_sources: topic.config.sources(),
        description: topic.description.clone(),
        created_at: rfc3339(topic.created_at_ms),
        hot_bytes: gateway.hot_bytes(topic),
        cold_bytes: 0,
    }
}

fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .unwrap_or_default()
        .to_string()
}

fn if_match(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let text = |value: &HeaderValue| value.to_str().map(str::to_owned);
    headers
        .get(header::IF_MATCH)
        .map(text)
        .transpose()
        .map_err(|_| {
            Problem::invalid(
                "If-Match",
                "invalid_value",
                "must be an ETag as the service gave it",
            )
        })
}

/// A page token is the last name of the page before it. It opens nothing that the caller may not
/// list, so it needs no signature.
fn read_token(token: &str) -> Result<String, Problem> {
    base64_simd::URL_SAFE_NO_PAD
        .decode_to_vec(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| {
            Problem::invalid(
                "page_token",
                "invalid_value",
                "send next_page_token back as it came",
            )
        })
}
