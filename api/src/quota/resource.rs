//! What can be limited.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::{
    limits::OFFSET_MAX,
    metadata::store::{Layer, QuotaRow},
    problem::Problem,
};

macro_rules! resources {
    ($($variant:ident $name:ident $limit:literal $used:literal;)*) => {
        /// Something that there may be a limit of.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Resource { $(#[doc = $limit] $variant),* }

        impl Resource {
            /// All.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// As it is stored and shown.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($name)),* }
            }
        }

        /// A limit of each resource; null is no limit.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(default)]
        #[schema(as = QuotaLimits)]
        pub struct Limits {
            $(
                #[doc = $limit]
                #[schema(minimum = 0, maximum = 9007199254740991i64)]
                pub $name: Option<u64>,
            )*
        }

        impl Limits {
            /// The limit of one.
            pub fn get(&self, resource: Resource) -> Option<u64> {
                match resource { $(Resource::$variant => self.$name),* }
            }

            /// Sets the limit of one.
            pub fn set(&mut self, resource: Resource, limit: Option<u64>) {
                match resource { $(Resource::$variant => self.$name = limit),* }
            }
        }

        /// What shall be limited; what is left out stays as it is, null lifts a limit.
        #[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        #[schema(as = QuotaChange, example = json!({"requests_per_second": 500, "tails": null}))]
        pub struct LimitsChange {
            $(
                #[doc = $limit]
                #[schema(value_type = Option<u64>, minimum = 0, maximum = 9007199254740991i64)]
                #[serde(default, deserialize_with = "given")]
                pub $name: Option<Option<u64>>,
            )*
        }

        impl LimitsChange {
            /// Names one: what it shall be, null for no limit.
            pub fn set(&mut self, resource: Resource, limit: Option<Option<u64>>) {
                match resource { $(Resource::$variant => self.$name = limit),* }
            }

            fn get(&self, resource: Resource) -> Option<Option<u64>> {
                match resource { $(Resource::$variant => self.$name),* }
            }
        }

        /// What is used of each resource now.
        #[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
        #[schema(as = QuotaUse)]
        pub struct Use {
            $(
                #[doc = $used]
                pub $name: u64,
            )*
        }
    };
}

resources! {
    RequestsPerSecond requests_per_second
        "Requests a second." "Requests in the last second.";
    IngressBytesPerSecond ingress_bytes_per_second
        "Payload bytes a second written." "Payload bytes written in the last second.";
    EgressBytesPerSecond egress_bytes_per_second
        "Payload bytes a second read." "Payload bytes read in the last second.";
    Partitions partitions
        "Partitions of all topics." "Partitions of all topics.";
    Topics topics
        "Topics." "Topics.";
    StorageBytes storage_bytes
        "Bytes stored." "Bytes stored.";
    Connections connections
        "Connections open at the same time." "Connections open.";
    Tails tails
        "Tails open at the same time." "Tails open.";
}

fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl Limits {
    /// Those that rows set in one layer. Names that this version does not know limit nothing.
    pub fn of_rows(rows: &[QuotaRow], layer: Layer) -> Self {
        let mut limits = Self::default();
        for row in rows.iter().filter(|row| row.layer == layer.name()) {
            let resource = Resource::ALL.iter().find(|known| known.name() == row.name);
            if let Some(resource) = resource {
                limits.set(*resource, u64::try_from(row.amount).ok());
            }
        }
        limits
    }

    /// The tighter of each.
    pub fn tightest(mut self, other: &Self) -> Self {
        for resource in Resource::ALL {
            let both = [self.get(*resource), other.get(*resource)];
            self.set(*resource, both.into_iter().flatten().min());
        }
        self
    }

    /// What is in force in an organization: its own limits under its ceiling.
    pub fn of_organization(rows: &[QuotaRow]) -> Self {
        Self::of_rows(rows, Layer::Service).tightest(&Self::of_rows(rows, Layer::Organization))
    }
}

impl LimitsChange {
    /// What it names.
    pub fn named(&self) -> impl Iterator<Item = (Resource, Option<u64>)> {
        let all = Resource::ALL.iter();
        all.filter_map(|resource| Some((*resource, self.get(*resource)?)))
    }

    /// Whether JSON everywhere can carry its numbers.
    ///
    /// # Errors
    /// 400 if not.
    pub fn check(&self) -> Result<(), Problem> {
        for (resource, limit) in self.named() {
            if limit.is_some_and(|limit| limit > OFFSET_MAX) {
                let pointer = format!("/{}", resource.name());
                let message = format!("must be 0 to {OFFSET_MAX}, or null");
                return Err(Problem::invalid(pointer, "out_of_range", message));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(layer: Layer, name: &str, amount: i64) -> QuotaRow {
        QuotaRow {
            layer: layer.name().into(),
            id: "acme".into(),
            name: name.into(),
            amount,
        }
    }

    #[test]
    fn an_organization_stays_under_its_ceiling() {
        let rows = [
            row(Layer::Service, "topics", 10),
            row(Layer::Organization, "topics", 20),
            row(Layer::Service, "tails", 5),
            row(Layer::Organization, "connections", 7),
            // A project of the same name is something else.
            row(Layer::Project, "topics", 1),
            row(Layer::Service, "of_a_later_version", 0),
        ];
        let limits = Limits::of_organization(&rows);
        assert_eq!(limits.topics, Some(10));
        assert_eq!(limits.tails, Some(5));
        assert_eq!(limits.connections, Some(7));
        assert_eq!(limits.storage_bytes, None);
        assert_eq!(Limits::of_rows(&rows, Layer::Project).topics, Some(1));
    }

    #[test]
    fn a_change_tells_null_from_nothing() {
        let change: LimitsChange = serde_json::from_str(r#"{"tails":null,"topics":3}"#).unwrap();
        let named: Vec<_> = change.named().collect();
        assert_eq!(
            named,
            [(Resource::Topics, Some(3)), (Resource::Tails, None)]
        );
        for bad in ["-1", "1.5", "\"9\"", "1e30"] {
            let body = format!("{{\"tails\":{bad}}}");
            assert!(
                serde_json::from_str::<LimitsChange>(&body).is_err(),
                "{bad}"
            );
        }
        let most: LimitsChange = serde_json::from_str(r#"{"tails":9007199254740991}"#).unwrap();
        assert!(most.check().is_ok());
        let more: LimitsChange = serde_json::from_str(r#"{"tails":9007199254740992}"#).unwrap();
        assert_eq!(more.check().unwrap_err().errors[0].pointer, "/tails");
    }
}
