//! From the file to a checked [`Config`].

use std::{
    collections::BTreeMap,
    fs::File,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::Url;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Config, ConfigError, Endpoint, Heartbeat, PrometheusServer, Sink};

/// Where the configuration is looked for when nobody says where.
pub const DEFAULT_PATH: &str = "/etc/mainstay/config.yaml";

const MAX_BYTES: u64 = 1024 * 1024;
const MAX_SINKS: usize = 32;
const MAX_QUERIES: usize = 128;
const MAX_QUERY: usize = 4096;
const CONCURRENCY: std::ops::RangeInclusive<u16> = 1..=64;
const EVERY: std::ops::RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(24 * 3600);
const ONE_OF: &str = "write exactly one of `webhook: {url: …}` and `alertmanager: {url: …}`";

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawConfig {
    concurrency: Option<Value>,
    sinks: Option<Value>,
    heartbeat: Option<Value>,
    prometheus: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawPrometheus {
    url: String,
    authorization_file: Option<PathBuf>,
    queries: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawSink {
    webhook: Option<Value>,
    alertmanager: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawEndpoint {
    url: String,
    authorization_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawHeartbeat {
    every: Option<Value>,
    sinks: Vec<String>,
}

/// A problem and its place; the file's name is added last.
struct Problem {
    place: String,
    problem: String,
}

// === impl Config ===

impl Config {
    /// Reads the file at `path`. Without a path, [`DEFAULT_PATH`] is read if it exists; a file that somebody named
    /// must exist.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let file = path.unwrap_or_else(|| Path::new(DEFAULT_PATH));
        match read(file) {
            Ok(text) => Self::parse(file, &text),
            Err(error) if path.is_none() && error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(ConfigError::Read { path: file.to_owned(), source }),
        }
    }

    /// Understands `text`; `path` is only named in errors.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let not_yaml = |source| ConfigError::Yaml { path: path.to_owned(), source };
        // Through YAML's own value first: that is where a key written twice is noticed.
        let yaml: serde_yaml::Value = serde_yaml::from_str(text).map_err(not_yaml)?;
        let understood = match yaml {
            serde_yaml::Value::Null => Ok(Self::default()),
            yaml => serde_json::to_value(yaml)
                .map_err(|error| problem("top level", error.to_string()))
                .and_then(config),
        };
        understood.map_err(|Problem { place, problem }| ConfigError::Value {
            path: path.to_owned(),
            place,
            problem,
        })
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let length = File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if length as u64 > MAX_BYTES {
        return Err(std::io::Error::new(ErrorKind::FileTooLarge, "more than 1 MiB"));
    }
    Ok(text)
}

fn config(value: Value) -> Result<Config, Problem> {
    let RawConfig { concurrency, sinks, heartbeat, prometheus } = typed("top level", value)?;
    let defaults = Config::default();
    let sinks = sinks.map_or(Ok(defaults.sinks), self::sinks)?;
    Ok(Config {
        concurrency: concurrency.map_or(Ok(defaults.concurrency), self::concurrency)?,
        heartbeat: heartbeat.map(|value| self::heartbeat(value, &sinks)).transpose()?,
        prometheus: prometheus.map(self::prometheus).transpose()?,
        sinks,
    })
}

fn prometheus(value: Value) -> Result<PrometheusServer, Problem> {
    let RawPrometheus { url, authorization_file, queries } = typed("prometheus", value)?;
    let server = checked("prometheus", &url, authorization_file)?;
    let queries = queries.unwrap_or_default();
    if queries.len() > MAX_QUERIES {
        let text = format!("{} are too many: write at most {MAX_QUERIES}", queries.len());
        return Err(problem("prometheus.queries", text));
    }
    for (name, text) in &queries {
        named("prometheus.queries", name)?;
        if text.trim().is_empty() || text.len() > MAX_QUERY {
            return Err(problem(
                format!("prometheus.queries.{name}"),
                format!("write a query of at most {MAX_QUERY} bytes"),
            ));
        }
    }
    Ok(PrometheusServer { server, queries })
}

fn concurrency(value: Value) -> Result<u16, Problem> {
    let number = typed("concurrency", value)?;
    if !CONCURRENCY.contains(&number) {
        return Err(problem("concurrency", "write a whole number from 1 to 64"));
    }
    Ok(number)
}

fn sinks(value: Value) -> Result<BTreeMap<String, Sink>, Problem> {
    let raw: BTreeMap<String, Value> = typed("sinks", value)?;
    if raw.len() > MAX_SINKS {
        return Err(problem("sinks", format!("{} are too many: write at most {MAX_SINKS}", raw.len())));
    }
    raw.into_iter().map(|(name, value)| Ok((named("sinks", &name)?, sink(&name, value)?))).collect()
}

fn named(place: &str, name: &str) -> Result<String, Problem> {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    if name.is_empty() || name.len() > 63 || !name.bytes().all(plain) {
        let problem_text = format!("`{}` is no name: write 1 to 63 of a-z, 0-9 and -", name.escape_debug());
        return Err(problem(place, problem_text));
    }
    Ok(name.to_owned())
}

fn sink(name: &str, value: Value) -> Result<Sink, Problem> {
    let place = format!("sinks.{name}");
    let RawSink { webhook, alertmanager } = typed(&place, value)?;
    match (webhook, alertmanager) {
        (Some(webhook), None) => Ok(Sink::Webhook(endpoint(&format!("{place}.webhook"), webhook)?)),
        (None, Some(alertmanager)) => {
            let place = format!("{place}.alertmanager");
            let endpoint = endpoint(&place, alertmanager)?;
            if endpoint.url.path().trim_end_matches('/').ends_with("/api/v2/alerts")
                || endpoint.url.query().is_some()
            {
                return Err(problem(
                    format!("{place}.url"),
                    "write Alertmanager's base address; Mainstay adds /api/v2/alerts",
                ));
            }
            Ok(Sink::Alertmanager(endpoint))
        }
        (None, None) | (Some(_), Some(_)) => Err(problem(place, ONE_OF)),
    }
}

fn endpoint(place: &str, value: Value) -> Result<Endpoint, Problem> {
    let RawEndpoint { url, authorization_file } = typed(place, value)?;
    checked(place, &url, authorization_file)
}

fn checked(place: &str, url: &str, authorization_file: Option<PathBuf>) -> Result<Endpoint, Problem> {
    let refuse = |text: &str| problem(format!("{place}.url"), text);
    let url: Url = url
        .parse()
        .map_err(|error| refuse(&format!("{error}: write an address such as https://hooks.example.org/path")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("write an address that begins with https:// or http://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse(
            "an address holds no credentials: write them into a file and name it in `authorizationFile`",
        ));
    }
    if url.fragment().is_some() {
        return Err(refuse("write the address without its #fragment, which is never sent"));
    }
    if authorization_file.as_ref().is_some_and(|file| !file.is_absolute()) {
        return Err(problem(
            format!("{place}.authorizationFile"),
            "write an absolute path such as /etc/mainstay-credentials/oncall",
        ));
    }
    Ok(Endpoint { url, authorization_file })
}

fn heartbeat(value: Value, known: &BTreeMap<String, Sink>) -> Result<Heartbeat, Problem> {
    let RawHeartbeat { every, sinks } = typed("heartbeat", value)?;
    let every = every.map_or(Ok(Duration::from_secs(60)), |value| duration("heartbeat.every", value))?;
    if !EVERY.contains(&every) {
        return Err(problem("heartbeat.every", "write a duration from 5s to 24h"));
    }
    if sinks.is_empty() {
        return Err(problem("heartbeat.sinks", "write the name of at least one sink, or leave `heartbeat` out"));
    }
    if let Some(stranger) = sinks.iter().find(|name| !known.contains_key(*name)) {
        let names: Vec<_> = known.keys().map(String::as_str).collect();
        let text = format!("`{}` is no sink: write one of [{}]", stranger.escape_debug(), names.join(", "));
        return Err(problem("heartbeat.sinks", text));
    }
    Ok(Heartbeat { every, sinks })
}

fn duration(place: &str, value: Value) -> Result<Duration, Problem> {
    let text: String = typed(place, value)?;
    let refuse = || {
        problem(
            place,
            format!(
                "`{}` is no duration: write a whole number and one unit, such as 500ms, 30s, 5m or 4h",
                text.escape_debug()
            ),
        )
    };
    let (number, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(refuse()),
    };
    let millis = number.parse::<u32>().map_err(|_| refuse())?;
    Ok(Duration::from_millis(u64::from(millis) * unit))
}

fn typed<T: DeserializeOwned>(place: &str, value: Value) -> Result<T, Problem> {
    serde_json::from_value(value).map_err(|error| problem(place, error.to_string()))
}

fn problem(place: impl Into<String>, problem: impl Into<String>) -> Problem {
    Problem { place: place.into(), problem: problem.into() }
}
