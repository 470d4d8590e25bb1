//! Metadata: what tenants own, in SQL, and the snapshot of it that requests are answered from.

mod catalog;
mod settings;
mod store;

pub use catalog::{Catalog, Project, Topic};
pub use settings::{TopicConfig, TopicSettings, not_null};
pub use store::{NewTenant, Store, StoreError, TopicRow};
