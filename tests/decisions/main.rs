//! The pure rooms `plan` and `remedy` against toy worlds: two operators over one ledger, and the life of a remediation
//! with every process killed at every moment. Everything is deterministic; a failure prints the run that shows it.

mod common;
#[expect(dead_code, reason = "others throw the rest of it")]
#[path = "../dice.rs"]
mod dice;
// Each flag of a toy world is a story's own question.
#[expect(clippy::struct_excessive_bools)]
mod ledger;
mod mutants;
mod performer;
mod room;
#[expect(clippy::struct_excessive_bools)]
mod story;
mod sweep;
#[expect(clippy::struct_excessive_bools)]
mod world;
