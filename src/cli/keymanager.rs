//! `mainstay gate --keymanager`: the key of an Ethereum validator client.

use std::path::PathBuf;

use crate::gate::{keymanager::post::Options, launcher::STOP, member::Member};

/// For so long a new process of the client must not list the key (milliseconds): clients may load their keys late.
const SETTLE: u64 = 30_000;

/// What only the gate of a key manager is told.
#[derive(Debug, clap::Args)]
#[group(id = "key-manager")]
pub struct Args {
    /// An Ethereum validator client: give it the key by its Eth2 Keymanager API while this member holds the place, and only then
    #[arg(
        long,
        value_name = "URL",
        conflicts_with = "solana",
        requires = "token",
        requires = "keystore",
        requires = "keystore_password"
    )]
    pub keymanager: Option<String>,
    /// Of a key manager: the file with its bearer token
    #[arg(long, value_name = "FILE", requires = "keymanager")]
    token: Option<PathBuf>,
    /// Of a key manager: the key, an EIP-2335 key store
    #[arg(long, value_name = "FILE", requires = "keymanager")]
    keystore: Option<PathBuf>,
    /// Of a key manager: the file with the password of the key store
    #[arg(long, value_name = "FILE", requires = "keymanager")]
    keystore_password: Option<PathBuf>,
    /// Of a key manager: name of the client's program, which is ended when the key was taken from it. Without it no epoch is
    /// ever sealed
    #[arg(long, value_name = "NAME", requires = "keymanager")]
    client: Option<String>,
    /// Of a key manager: how long nobody signs between two members (seconds); two epochs of the chain, and a little more
    #[arg(long, value_name = "SECONDS", requires = "keymanager", default_value_t = 900, value_parser = clap::value_parser!(u64).range(800..=86_400))]
    silence: u64,
}

impl Args {
    /// All of it together.
    pub fn options(self, member: Member, state: PathBuf) -> Options {
        // The parser wants them all with the first.
        Options {
            member,
            keymanager: self.keymanager.unwrap_or_default(),
            token: self.token.unwrap_or_default(),
            keystore: self.keystore.unwrap_or_default(),
            password: self.keystore_password.unwrap_or_default(),
            state,
            client: self.client,
            silence: self.silence * 1_000,
            settle: SETTLE,
            grace: STOP,
        }
    }
}
