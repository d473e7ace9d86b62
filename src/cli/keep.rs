//! `mainstay keep`: what a launcher starts between itself and its command. For nobody else.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use super::CliError;
use crate::gate::launcher::{
    keeper::{self, Duty},
    place::Placement,
};

/// Arguments of `mainstay keep`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How long before the end the command is asked to stop (milliseconds)
    #[arg(long, default_value_t = 0)]
    grace: u64,
    /// The key as a Secret has it
    #[arg(long, requires = "key_to")]
    key_from: Option<PathBuf>,
    /// The file for the command
    #[arg(long, requires = "key_from")]
    key_to: Option<PathBuf>,
    /// Become the command, below this process
    #[arg(long)]
    below: Option<i32>,
    /// The command
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Keeps a command, or becomes it.
pub fn run(args: Args) -> Result<ExitCode, CliError> {
    if let Some(parent) = args.below {
        return Err(keeper::become_command(&args.command, parent).into());
    }
    let key = args.key_from.zip(args.key_to).map(|(from, to)| Placement { from, to });
    let duty = Duty { command: args.command, key, grace: args.grace };
    Ok(ExitCode::from(keeper::keep(&duty)?))
}
