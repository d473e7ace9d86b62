//! What the gate of a key manager is told, and the files of its key.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::api::Keystore;
use crate::{
    failover::split,
    gate::member::{Member, StartError},
};

/// How the key of a client is looked after.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whose it is.
    pub member: Member,
    /// The client's key manager.
    pub keymanager: String,
    /// What opens it.
    pub token: PathBuf,
    /// The key store (EIP-2335).
    pub keystore: PathBuf,
    /// What unlocks that.
    pub password: PathBuf,
    /// The folder of what must survive.
    pub state: PathBuf,
    /// Name of the client's program. Without it nothing can be shown to have ended.
    pub client: Option<String>,
    /// How long nobody signs between two members (milliseconds): every duty that the former one had is past then.
    pub silence: u64,
    /// For how long a new process of the client must not list the key before it counts as wiped (milliseconds).
    pub settle: u64,
    /// How long before the end of its hold the key is taken away (milliseconds).
    pub grace: u64,
}

/// Why a key cannot be looked after.
#[derive(Debug, thiserror::Error)]
pub enum KeymanagerError {
    /// A file cannot be read.
    #[error("failed to read {}: {error}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The key store is of another key.
    #[error("the key store {} has the public key {public}, and the identity is {identity}: this is another key", path.display())]
    OtherKey {
        /// The file.
        path: PathBuf,
        /// Its public half; empty if it names none.
        public: String,
        /// The identity.
        identity: String,
    },
    /// No HTTP client.
    #[error("failed to make the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
    /// It cannot begin.
    #[error(transparent)]
    Start(#[from] StartError),
}

fn text(path: &Path) -> Result<Zeroizing<String>, KeymanagerError> {
    let read = fs::read_to_string(path).map(Zeroizing::new);
    read.map_err(|error| KeymanagerError::File { path: path.to_owned(), error })
}

/// The key, as its owner has it.
pub(super) fn keystore(options: &Options) -> Result<Keystore, KeymanagerError> {
    let password = text(&options.password)?;
    let password = Zeroizing::new(password.trim_end_matches(['\r', '\n']).to_owned());
    Ok(Keystore { json: text(&options.keystore)?, password })
}

/// The public half that the key store names, which is the identity's.
pub(super) fn key_of(options: &Options) -> Result<String, KeymanagerError> {
    let json = text(&options.keystore)?;
    let store: serde_json::Value = serde_json::from_str(&json).unwrap_or_default();
    let public = store["pubkey"].as_str().unwrap_or_default().to_ascii_lowercase();
    let public = public.strip_prefix("0x").unwrap_or(&public).to_owned();
    match split(&options.member.identity) {
        Some((_, key)) if key == public => Ok(public),
        _ => Err(KeymanagerError::OtherKey {
            path: options.keystore.clone(),
            public,
            identity: options.member.identity.clone(),
        }),
    }
}
