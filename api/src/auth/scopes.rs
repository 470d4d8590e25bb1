//! Scopes: what an API key may do, and to what.

use serde::{Deserialize, Serialize};

use super::permissions::{Grant, KeyRule};

/// Grants on topics or groups of one name, of a prefix, or of any name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// What it lets do.
    pub operations: Vec<Grant>,
    /// To which topics: a name, a prefix followed by `*`, or `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// To which groups, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

impl Scope {
    /// Scopes that cover everything in a project.
    pub fn everything() -> Vec<Self> {
        vec![
            Self {
                operations: vec![
                    Grant::Describe,
                    Grant::Produce,
                    Grant::Fetch,
                    Grant::Consume,
                    Grant::Manage,
                ],
                topic: Some("*".into()),
                group: None,
            },
            Self {
                operations: vec![Grant::Consume],
                topic: None,
                group: Some("*".into()),
            },
        ]
    }

    /// Whether it satisfies `rule` for `name`; without a name, whether it does for any.
    pub fn allows(&self, rule: KeyRule, name: Option<&str>) -> bool {
        let (grant, pattern) = match rule {
            KeyRule::Topic(grant) => (grant, &self.topic),
            KeyRule::Group(grant) => (grant, &self.group),
        };
        let Some(pattern) = pattern else {
            return false;
        };
        let covered = name.is_none_or(|name| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => pattern == name,
        });
        covered && self.operations.contains(&grant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(topic: &str) -> Scope {
        Scope {
            operations: vec![Grant::Produce],
            topic: Some(topic.into()),
            group: None,
        }
    }

    #[test]
    fn a_pattern_is_a_name_a_prefix_or_everything() {
        let produce = KeyRule::Topic(Grant::Produce);
        for (pattern, name, covered) in [
            ("orders", "orders", true),
            ("orders", "orders-eu", false),
            ("orders-*", "orders-eu", true),
            ("orders-*", "orders", false),
            ("*", "anything", true),
        ] {
            assert_eq!(
                scope(pattern).allows(produce, Some(name)),
                covered,
                "{pattern} {name}"
            );
        }
        assert!(scope("orders").allows(produce, None));
        assert!(!scope("*").allows(KeyRule::Topic(Grant::Fetch), Some("orders")));
        assert!(!scope("*").allows(KeyRule::Group(Grant::Produce), Some("orders")));
    }
}
