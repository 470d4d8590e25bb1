//! Whose bucket it is.

use object_store::{PutMode, PutPayload};
use serde::{Deserialize, Serialize};

use super::Store;
use crate::error::{StoreError, StoreErrorKind};
use crate::format::FORMAT;

/// The object that says whose the store is.
pub const CLAIM_KEY: &str = "headwater.json";
/// What is there can be anything; so much of it is looked at.
const BYTES_MAX: u64 = 64 << 10;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Claim {
    format: u32,
    cluster_id: String,
}

impl Store {
    /// Makes the store this cluster's own, if it is nobody's: `headwater.json` at its root says so.
    /// Two clusters in one store would take each other's objects for strays.
    ///
    /// # Errors
    /// [`Invalid`](StoreErrorKind::Invalid) if another cluster has it, or a format that this version
    /// does not know; else what calls to the store fail with.
    pub async fn claim(&self, cluster_id: &str) -> Result<(), StoreError> {
        if self.read_claim().await?.is_none() {
            let claim = Claim {
                format: FORMAT,
                cluster_id: cluster_id.to_owned(),
            };
            let text = serde_json::to_vec_pretty(&claim)
                .expect("a string and an integer always make JSON");
            self.write_claim(text.into()).await?;
        }
        let claim = self.read_claim().await?.ok_or_else(|| {
            StoreError::unavailable(format!("{CLAIM_KEY} was written and is not there"))
        })?;
        if claim.cluster_id != cluster_id {
            return Err(StoreError::invalid(format!(
                "{self} belongs to cluster {}, this is cluster {cluster_id}: use another bucket or prefix",
                claim.cluster_id
            )));
        }
        Ok(())
    }

    /// The cluster whose store it is, if it is anybody's. Claims nothing.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    pub async fn claimed_by(&self) -> Result<Option<String>, StoreError> {
        let claim = self.read_claim().await?;
        Ok(claim.map(|claim| claim.cluster_id))
    }

    async fn read_claim(&self) -> Result<Option<Claim>, StoreError> {
        let bounds = &self.options().background;
        let size_bytes = match self.size_bytes(CLAIM_KEY, bounds).await {
            Err(error) if error.kind() == StoreErrorKind::NotFound => return Ok(None),
            size_bytes => size_bytes?,
        };
        let unreadable = |why: &dyn std::fmt::Display| {
            StoreError::invalid(format!(
                "{CLAIM_KEY} in {self} is not one of Headwater's: {why}"
            ))
        };
        if !(1..=BYTES_MAX).contains(&size_bytes) {
            return Err(unreadable(&format_args!("it has {size_bytes} bytes")));
        }
        let (text, _) = self.get_range(CLAIM_KEY, 0..size_bytes, bounds).await?;
        let claim: Claim = serde_json::from_slice(&text).map_err(|error| unreadable(&error))?;
        if claim.format > FORMAT {
            return Err(StoreError::invalid(format!(
                "{self} has format {}, this version knows {FORMAT}",
                claim.format
            )));
        }
        Ok(Some(claim))
    }

    /// Creates the file. Where it came into being in the meantime, or where the store cannot tell,
    /// reading it back decides.
    async fn write_claim(&self, text: PutPayload) -> Result<(), StoreError> {
        let path = self.path(CLAIM_KEY)?;
        let create = || async {
            use object_store::Error;
            let objects = &self.0.objects;
            let created = objects
                .put_opts(&path, text.clone(), PutMode::Create.into())
                .await;
            match created {
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(()),
                Err(Error::NotImplemented { .. }) => {
                    let mode = PutMode::Overwrite.into();
                    objects.put_opts(&path, text.clone(), mode).await.map(drop)
                }
                created => created.map(drop),
            }
        };
        let bounds = &self.options().background;
        bounds.call(&format!("writing {CLAIM_KEY}"), create).await
    }
}
