//! Metadata: what tenants own, in SQL, and the snapshot of it that requests are answered from.

mod catalog;
pub mod group_log;
mod manifest;
mod provision;
mod registry;
mod settings;
pub mod store;

pub use catalog::{Catalog, IssuerRule, Key, Organization, Project, Topic};
pub use provision::ProvisionError;
pub use registry::ClusterRegistry;
pub use settings::{CleanupPolicy, Compression, TopicConfig, TopicSettings, not_null};
pub use store::{Change, KeyRow, Kind, PartitionRow, Store, StoreError, TopicRow, UserRow};
