//! The admin RPC of an Agave validator: JSON-RPC 2.0 over the socket `admin.rpc` of its ledger, a line each way (Agave's
//! `validator/src/admin_rpc_service.rs`). Three methods of it: `setIdentity`, and `contactInfo` and `startTime` to see what it is.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    time::timeout,
};

/// From the connection to the last answer.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Answers are far smaller.
const MOST: u64 = 64 * 1024;
/// The code of JSON-RPC for parameters that do not fit.
const INVALID_PARAMS: i64 = -32_602;

/// A validator, by its socket.
#[derive(Clone, Debug)]
pub struct Admin {
    socket: PathBuf,
}

/// A validator as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its identity, in base 58.
    pub identity: String,
    /// When its process has started, as it says it: tells two processes apart.
    pub born: Value,
}

/// Why there is no answer that counts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It says no.
    #[error("the validator says: {message}")]
    Refused {
        /// Of JSON-RPC.
        code: i64,
        /// Why.
        message: String,
    },
    /// It says something else.
    #[error("the validator's answer is none of its admin RPC: {0}")]
    Odd(String),
    /// Nobody answers. What was asked for may be done all the same, and later.
    #[error("failed to reach the validator: {0}")]
    Silent(String),
}

fn silent(error: impl std::fmt::Display) -> Trouble {
    Trouble::Silent(error.to_string())
}

// === impl Admin ===

impl Admin {
    /// The validator of this ledger.
    #[must_use]
    pub fn new(ledger: &Path) -> Self {
        Self { socket: ledger.join("admin.rpc") }
    }

    /// What it is now.
    pub async fn look(&self) -> Result<Seen, Trouble> {
        within(async { self.connect().await?.look().await }).await
    }

    /// Gives it another identity, whose key pair it reads from that file by itself, and looks what it is then. Without its tower an
    /// identity that votes is refused: `votes` says whether this one does.
    pub async fn set_identity(&self, keypair: &Path, votes: bool) -> Result<Seen, Trouble> {
        within(async {
            let mut line = self.connect().await?;
            // The second is require_tower, the third require_vote_history, which older validators do not know. It is asked for also
            // where nothing votes: a validator asks by itself whether there can be one.
            let set = match line.ask("setIdentity", &json!([keypair, votes, true])).await {
                Err(Trouble::Refused { code: INVALID_PARAMS, message }) if message.contains("invalid length") => {
                    line.ask("setIdentity", &json!([keypair, votes])).await
                }
                other => other,
            };
            set?;
            line.look().await
        })
        .await
    }

    async fn connect(&self) -> Result<Line, Trouble> {
        let stream = UnixStream::connect(&self.socket).await;
        let stream = stream.map_err(|error| silent(format!("{}: {error}", self.socket.display())))?;
        Ok(Line { stream: BufReader::new(stream), asked: 0 })
    }
}

async fn within<T>(call: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    timeout(TIMEOUT, call)
        .await
        .unwrap_or_else(|_| Err(silent(format!("no answer within {} s", TIMEOUT.as_secs()))))
}

/// One connection: all that is asked on it is answered by one process.
struct Line {
    stream: BufReader<UnixStream>,
    asked: u64,
}

impl Line {
    async fn look(&mut self) -> Result<Seen, Trouble> {
        let info = self.ask("contactInfo", &json!([])).await?;
        let Some(identity) = info["id"].as_str() else {
            return Err(Trouble::Odd("contactInfo without id".into()));
        };
        let born = self.ask("startTime", &json!([])).await?;
        if born.is_null() {
            return Err(Trouble::Odd("startTime without a time".into()));
        }
        Ok(Seen { identity: identity.to_owned(), born })
    }

    async fn ask(&mut self, method: &str, params: &Value) -> Result<Value, Trouble> {
        self.asked += 1;
        let question = json!({"jsonrpc": "2.0", "method": method, "params": params, "id": self.asked});
        self.stream.get_mut().write_all(format!("{question}\n").as_bytes()).await.map_err(silent)?;
        let mut answer = Vec::new();
        (&mut self.stream).take(MOST).read_until(b'\n', &mut answer).await.map_err(silent)?;
        if answer.last() != Some(&b'\n') {
            let is_long = answer.len() as u64 >= MOST;
            return Err(if is_long { Trouble::Odd("it does not end".into()) } else { silent("it has hung up") });
        }
        let odd = |why: &str| Trouble::Odd(format!("{method}: {why}"));
        let mut answer: Value = serde_json::from_slice(&answer).map_err(|_| odd("no JSON"))?;
        if answer["id"] != self.asked {
            return Err(odd("the answer to another question"));
        }
        if let Some(code) = answer["error"]["code"].as_i64() {
            let message = answer["error"]["message"].as_str().unwrap_or_default().chars().take(512).collect();
            return Err(Trouble::Refused { code, message });
        }
        match answer.get_mut("result") {
            Some(result) => Ok(result.take()),
            None => Err(odd("neither a result nor an error")),
        }
    }
}
