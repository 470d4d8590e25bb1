//! Rows of segments as those read them who compare the bucket with them.

use std::collections::HashSet;

use headwater_tiered::SegmentRef;
use serde::Serialize;
use sqlx::{AnyConnection, AssertSqlSafe, FromRow};

use super::{
    Engine, Result, StoreError,
    partitions::json,
    segments::{at_most, of_dead_topic},
};

/// A segment's row.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct HeldRow {
    /// Name of its object.
    pub object_key: String,
    /// The topic, 32 hexadecimal digits.
    pub topic_id: String,
    /// `uploading`, `live` or `doomed`.
    pub state: String,
    /// 1 if the topic is deleted or forgotten: its objects wait for their deletion, whatever their state.
    pub is_dead: i64,
    detail: Option<String>,
}

impl HeldRow {
    /// Rows whose names come after `after`, in their order, at most `max`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn page(
        connection: &mut AnyConnection,
        after: &str,
        max: usize,
    ) -> Result<Vec<Self>> {
        let columns = columns();
        let sql = format!(
            "SELECT {columns} FROM segments WHERE object_key > $1 ORDER BY object_key LIMIT $2"
        );
        Ok(sqlx::query_as(AssertSqlSafe(sql))
            .bind(after)
            .bind(at_most(max as u64))
            .fetch_all(connection)
            .await?)
    }

    /// The row of that name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn get(connection: &mut AnyConnection, key: &str) -> Result<Option<Self>> {
        let columns = columns();
        let sql = format!("SELECT {columns} FROM segments WHERE object_key = $1");
        Ok(sqlx::query_as(AssertSqlSafe(sql))
            .bind(key)
            .fetch_optional(connection)
            .await?)
    }

    /// Which of these names have a row, in whatever state.
    ///
    /// # Errors
    /// The database failed.
    pub async fn known(
        connection: &mut AnyConnection,
        engine: Engine,
        keys: &[&str],
    ) -> Result<HashSet<String>> {
        let given = engine.rows_of_json(&[("object_key", "TEXT")]);
        let sql = format!(
            "SELECT object_key FROM segments \
             WHERE object_key IN (SELECT object_key FROM {given} AS named)"
        );
        let known: Vec<(String,)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(json(&named(keys))?)
            .fetch_all(connection)
            .await?;
        Ok(known.into_iter().map(|(key,)| key).collect())
    }

    /// Whether readers may be sent to the object.
    pub fn is_live(&self) -> bool {
        self.state == "live" && self.is_dead == 0
    }

    /// What the row says of its object.
    ///
    /// # Errors
    /// The row is not one that this service wrote.
    pub fn segment(&self) -> Result<SegmentRef> {
        let detail = self.detail.as_deref().unwrap_or_default();
        serde_json::from_str(detail).map_err(|error| StoreError(error.to_string()))
    }
}

fn columns() -> String {
    let is_dead = of_dead_topic("segments");
    format!(
        "object_key, topic_id, state, detail, \
         CAST(CASE WHEN {is_dead} THEN 1 ELSE 0 END AS BIGINT) AS is_dead"
    )
}

#[derive(Serialize)]
pub(super) struct NamedObject<'a> {
    object_key: &'a str,
}

pub(super) fn named<'a>(keys: &[&'a str]) -> Vec<NamedObject<'a>> {
    let name = |object_key: &&'a str| NamedObject { object_key };
    keys.iter().map(name).collect()
}

/// What people call a topic.
#[derive(Debug, Clone, Default, FromRow, Serialize)]
pub struct TopicNames {
    /// Id of the organization.
    pub organization: Option<String>,
    /// Id of the project.
    pub project: Option<String>,
    /// The topic's name.
    pub topic: Option<String>,
}

impl TopicNames {
    /// Those of the topic of that id; none if it is forgotten.
    ///
    /// # Errors
    /// The database failed.
    pub async fn of(connection: &mut AnyConnection, topic_id: &str) -> Result<Self> {
        let names: Option<Self> = sqlx::query_as(
            "SELECT projects.organization_id AS organization, projects.id AS project, \
             topics.name AS topic FROM topics \
             INNER JOIN projects ON projects.id = topics.project_id WHERE topics.id = $1",
        )
        .bind(topic_id)
        .fetch_optional(connection)
        .await?;
        Ok(names.unwrap_or_default())
    }
}
