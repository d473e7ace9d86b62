//! `mainstay identity`: the name of the `SigningIdentity` of a key. The key itself is not shown.

use std::{path::PathBuf, process::ExitCode};

use super::{CliError, print};
use crate::failover::identity_name;
use crate::gate::{Key, encoding::to_hex, process::GateError};

/// Arguments of `mainstay identity`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The key: a `priv_validator_key.json` that only its owner can read
    key: PathBuf,
    /// The id of the chain that it signs for
    #[arg(long, value_name = "CHAIN_ID")]
    chain: String,
}

/// Prints the name.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let key = Key::read(&args.key).map_err(GateError::Key)?;
    print(&format!("{}\n", identity_name(&args.chain, &to_hex(key.public()).to_ascii_lowercase())))?;
    Ok(ExitCode::SUCCESS)
}
