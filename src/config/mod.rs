//! The operator's own configuration: one YAML file, written by whoever installs Mainstay.
//!
//! ```yaml
//! concurrency: 8                # reconciles at once, per controller: 1 to 64
//! sinks:                        # where pages and notices go; policies name them
//!   oncall:
//!     alertmanager: {url: "http://alertmanager.monitoring:9093"}
//!   chat:
//!     webhook: {url: "https://hooks.example.org/T0", authorizationFile: /etc/mainstay-credentials/chat}
//! prometheus:                   # named queries, which policies may use
//!   url: http://prometheus.monitoring:9090
//!   queries:
//!     missed-blocks: 'sum by (pod) (missed_blocks{namespace="$namespace"})'
//! heartbeat:                    # a dead man's signal: it stops when Mainstay no longer sees
//!   every: 60s
//!   sinks: [oncall]
//! ```
//!
//! Every field may be left out, and so may the file. What is in it must be right: a page that goes nowhere because
//! of a typing error is worse than a start that fails with a sentence.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use reqwest::Url;

mod file;

pub use file::DEFAULT_PATH;

/// The operator's configuration, complete and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Reconciles that run at once in each controller.
    pub concurrency: u16,
    /// Where pages and notices go, by name.
    pub sinks: BTreeMap<String, Sink>,
    /// The dead man's signal, if one is wanted.
    pub heartbeat: Option<Heartbeat>,
    /// Where named queries are asked, if there are any.
    pub prometheus: Option<PrometheusServer>,
}

/// A Prometheus and the queries that policies may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrometheusServer {
    /// Its base address.
    pub server: Endpoint,
    /// Queries by name, in `PromQL`; `$namespace` stands for the namespace of the policy that asks.
    pub queries: BTreeMap<String, String>,
}

/// One place where notices go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// Any HTTP endpoint that takes Mainstay's own JSON.
    Webhook(Endpoint),
    /// An Alertmanager; the address is its base.
    Alertmanager(Endpoint),
}

/// An address outside Mainstay, and how to be let in there.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `http` or `https`, without credentials.
    pub url: Url,
    /// A file whose content becomes the `Authorization` header; read at each send, for it rotates.
    pub authorization_file: Option<PathBuf>,
}

/// A signal sent for as long as Mainstay sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Between two signals.
    pub every: Duration,
    /// The names of the sinks it goes to; all of them exist.
    pub sinks: Vec<String>,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("failed to read the configuration {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no YAML.
    #[error("failed to parse the configuration {path} as YAML: {source}")]
    Yaml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_yaml::Error,
    },
    /// A value is not what it should be.
    #[error("failed to accept the configuration {path}: {place}: {problem}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The way to the value, such as `sinks.oncall.webhook`.
        place: String,
        /// What is wrong with it and what to write instead.
        problem: String,
    },
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self { concurrency: 8, sinks: BTreeMap::new(), heartbeat: None, prometheus: None }
    }
}

// === impl Endpoint ===

/// Only the origin: chat services put their secret into the path.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, authorization_file } = self;
        f.debug_struct("Endpoint")
            .field("origin", &url.origin().ascii_serialization())
            .field("authorization_file", authorization_file)
            .finish()
    }
}

#[cfg(test)]
mod tests;
