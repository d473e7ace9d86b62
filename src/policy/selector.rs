//! Label selectors after validation.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Which pods, by their labels. Never empty: that would mean every pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Selector {
    pub(super) terms: Vec<Term>,
}

/// One condition on a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Term {
    In(String, BTreeSet<String>),
    NotIn(String, BTreeSet<String>),
    Exists(String),
    DoesNotExist(String),
}

impl Selector {
    /// Pods with this label.
    #[must_use]
    pub fn label(key: &str, value: &str) -> Self {
        Self { terms: vec![Term::In(key.to_owned(), [value.to_owned()].into())] }
    }

    /// Whether a pod with these labels is selected.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.terms.iter().all(|term| match term {
            Term::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Term::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Term::Exists(key) => labels.contains_key(key),
            Term::DoesNotExist(key) => !labels.contains_key(key),
        })
    }

    /// In `kubectl`'s notation, for people.
    #[must_use]
    pub fn notation(&self) -> String {
        let list = |values: &BTreeSet<String>| values.iter().cloned().collect::<Vec<_>>().join(",");
        let terms = self.terms.iter().map(|term| match term {
            Term::In(key, values) if values.len() == 1 => format!("{key}={}", list(values)),
            Term::In(key, values) => format!("{key} in ({})", list(values)),
            Term::NotIn(key, values) => format!("{key} notin ({})", list(values)),
            Term::Exists(key) => key.clone(),
            Term::DoesNotExist(key) => format!("!{key}"),
        });
        terms.collect::<Vec<_>>().join(", ")
    }
}
