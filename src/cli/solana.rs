//! `mainstay gate --solana`: the identity of a Solana validator.

use std::path::PathBuf;

use crate::gate::{launcher::STOP, member::Member, solana::post::Options};

/// For so long the tower must not change before it is taken for the last one (milliseconds): a turn of the validator's replay.
const SETTLE: u64 = 10_000;

/// What only the gate of a Solana validator is told.
#[derive(Debug, clap::Args)]
#[group(id = "solana-validator")]
pub struct Args {
    /// A Solana validator (Agave): its ledger, with `admin.rpc` and its towers. It is given the staked identity while this member
    /// holds the place, and only then
    #[arg(long, value_name = "DIR", requires = "keypair", requires = "unstaked")]
    pub solana: Option<PathBuf>,
    /// Of a Solana validator: the key pair of the staked identity, which the validator reads under the same path
    #[arg(long, value_name = "FILE", requires = "solana")]
    keypair: Option<PathBuf>,
    /// Of a Solana validator: the key pair of the identity without stake that it is started with
    #[arg(long, value_name = "FILE", requires = "solana")]
    unstaked: Option<PathBuf>,
    /// Of a Solana validator: name of its program, which is ended when it does not let the identity go
    #[arg(long, value_name = "NAME", requires = "solana", default_value = "agave-validator")]
    validator: String,
}

impl Args {
    /// All of it together.
    pub fn options(self, member: Member, state: PathBuf) -> Options {
        // The parser wants them all with the first.
        Options {
            member,
            ledger: self.solana.unwrap_or_default(),
            keypair: self.keypair.unwrap_or_default(),
            unstaked: self.unstaked.unwrap_or_default(),
            state,
            program: self.validator,
            settle: SETTLE,
            grace: STOP,
        }
    }
}
