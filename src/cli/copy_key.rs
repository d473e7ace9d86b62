//! `mainstay copy-key`: a key to where a gate takes it. For an init container, whose image has no shell.

use std::{path::PathBuf, process::ExitCode};

use super::{CliError, print};
use crate::gate::{Key, process::GateError};

/// Arguments of `mainstay copy-key`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The key as a Secret has it: a `priv_validator_key.json`
    from: PathBuf,
    /// The file to write, on a volume of medium Memory
    to: PathBuf,
}

/// Copies it.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let key = Key::copy(&args.from, &args.to).map_err(GateError::Key)?;
    print(&format!("copied the key of the validator {}\n", key.address()))?;
    Ok(ExitCode::SUCCESS)
}
