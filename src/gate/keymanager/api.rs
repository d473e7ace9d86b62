//! The Eth2 Keymanager API, as far as a hand-over needs it: list, import, delete.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::{Client, Method, Response, redirect, retry};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// From the first byte sent to the last one read.
const TIMEOUT: Duration = Duration::from_secs(3);
/// An import has to unlock the key store, which is slow on purpose.
const UNLOCKING: Duration = Duration::from_secs(10);
/// The history of one key is far smaller.
const MOST: usize = 64 * 1024 * 1024;

/// A key manager, with the token that opens it.
pub struct Keymanager {
    client: Client,
    url: String,
    token: PathBuf,
}

/// A key, as its owner has it.
pub struct Keystore {
    /// The key store, in JSON.
    pub json: Zeroizing<String>,
    /// What unlocks it.
    pub password: Zeroizing<String>,
}

/// What became of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Imported {
    /// The key is in the client.
    Imported,
    /// It was there before.
    Duplicate,
}

/// What became of a deletion. Each is the client's own word only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// The key was active, or not; what the client knows of its signatures.
    Known(String),
    /// The client does not know the key, and nothing of its signatures.
    NotFound,
}

/// Why there is no answer that counts.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The token cannot be read.
    #[error("failed to read the token {}: {error}", path.display())]
    Token {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The token is another one's.
    #[error("the key manager does not take this token ({0})")]
    Unauthorized(u16),
    /// It says no.
    #[error("the key manager says {0}")]
    Refused(String),
    /// It says something else.
    #[error("the key manager's answer is none of the Eth2 Keymanager API: {0}")]
    Odd(String),
    /// Nobody answers.
    #[error("failed to reach the key manager: {0}")]
    Silent(String),
}

#[derive(Deserialize)]
struct Listed {
    data: Vec<ListedKey>,
}

#[derive(Deserialize)]
struct ListedKey {
    validating_pubkey: String,
}

#[derive(Deserialize)]
struct Statuses {
    data: Vec<Status>,
    slashing_protection: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    status: String,
    #[serde(default)]
    message: String,
}

// === impl Keymanager ===

impl Keymanager {
    /// The key manager at this address. It follows no redirect, uses no proxy and tries nothing twice by itself.
    pub fn new(url: &str, token: &Path) -> Result<Self, reqwest::Error> {
        crate::telemetry::tls::install();
        let builder = Client::builder().redirect(redirect::Policy::none()).retry(retry::never()).no_proxy();
        let client = builder.tls_certs_only([]).timeout(TIMEOUT).build()?;
        Ok(Self {
            client,
            url: format!("{}/eth/v1/keystores", url.trim_end_matches('/')),
            token: token.to_owned(),
        })
    }

    /// Whether the client has this key (hexadecimal digits without `0x`).
    pub async fn lists(&self, key: &str) -> Result<bool, Trouble> {
        let listed: Listed = read(self.ask(Method::GET, None, TIMEOUT).await?).await?;
        Ok(listed.data.iter().any(|one| is(&one.validating_pubkey, key)))
    }

    /// Gives the client a key, and what is known of its signatures.
    pub async fn import(&self, key: &Keystore, history: Option<&str>) -> Result<Imported, Trouble> {
        let mut body = json!({"keystores": [key.json.as_str()], "passwords": [key.password.as_str()]});
        if let Some(history) = history {
            body["slashing_protection"] = json!(history);
        }
        let answer = self.ask(Method::POST, Some(body), UNLOCKING).await?;
        let status = one(read::<Statuses>(answer).await?.data)?;
        match status.status.as_str() {
            "imported" => Ok(Imported::Imported),
            "duplicate" => Ok(Imported::Duplicate),
            "error" => Err(Trouble::Refused(status.message)),
            other => Err(Trouble::Odd(format!("status {other}"))),
        }
    }

    /// Takes a key from the client.
    pub async fn take_out(&self, key: &str) -> Result<Deleted, Trouble> {
        let body = json!({"pubkeys": [format!("0x{key}")]});
        let answer: Statuses = read(self.ask(Method::DELETE, Some(body), TIMEOUT).await?).await?;
        let status = one(answer.data)?;
        match (status.status.as_str(), answer.slashing_protection) {
            ("deleted" | "not_active", Some(history)) => Ok(Deleted::Known(history)),
            ("deleted" | "not_active", None) => {
                Err(Trouble::Odd(format!("{} without its history", status.status)))
            }
            ("not_found", _) => Ok(Deleted::NotFound),
            ("error", _) => Err(Trouble::Refused(status.message)),
            (other, _) => Err(Trouble::Odd(format!("status {other}"))),
        }
    }

    async fn ask(&self, method: Method, body: Option<Value>, within: Duration) -> Result<Response, Trouble> {
        let token = std::fs::read_to_string(&self.token).map(Zeroizing::new);
        // Read each time: clients draw a new one when they start.
        let token = token.map_err(|error| Trouble::Token { path: self.token.clone(), error })?;
        let mut request = self.client.request(method, &self.url).timeout(within).bearer_auth(token.trim());
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.map_err(|error| Trouble::Silent(error.without_url().to_string()))?;
        match answer.status().as_u16() {
            200 => Ok(answer),
            code @ (401 | 403) => Err(Trouble::Unauthorized(code)),
            code => {
                let text = text(answer).await.unwrap_or_default();
                Err(Trouble::Refused(format!("{code}: {}", text.chars().take(256).collect::<String>())))
            }
        }
    }
}

fn is(listed: &str, key: &str) -> bool {
    listed.strip_prefix("0x").unwrap_or(listed).eq_ignore_ascii_case(key)
}

/// One was asked about.
fn one(mut all: Vec<Status>) -> Result<Status, Trouble> {
    match (all.pop(), all.is_empty()) {
        (Some(one), true) => Ok(one),
        _ => Err(Trouble::Odd("one key was asked about, and the answer is not about one".into())),
    }
}

async fn read<T: DeserializeOwned>(answer: Response) -> Result<T, Trouble> {
    serde_json::from_str(&text(answer).await?).map_err(|error| Trouble::Odd(error.to_string()))
}

async fn text(mut answer: Response) -> Result<String, Trouble> {
    let mut bytes = Vec::new();
    loop {
        let chunk = answer.chunk().await.map_err(|error| Trouble::Silent(error.without_url().to_string()))?;
        let Some(chunk) = chunk else { break };
        if bytes.len() + chunk.len() > MOST {
            return Err(Trouble::Odd("it does not end".into()));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|error| Trouble::Odd(error.to_string()))
}
