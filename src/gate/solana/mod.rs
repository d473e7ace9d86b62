//! `mainstay gate --solana LEDGER`: for Solana validators (Agave). The validator runs all the time under an identity without stake; it
//! has the staked one only while this member holds the place.
//!
//! [`admin`] is the validator's admin RPC, [`memory`] what it knows of its own votes: the tower, and the vote history where there is
//! one. That travels with the identity, in the seal of the epoch that ends. [`post`] is all of it together, and [`leave`] how the
//! identity is taken away. [`base58`] is how Solana writes keys.
//!
//! A validator is never given the identity without a memory, and never with an older one than there is.

pub mod admin;
pub mod base58;
mod leave;
pub mod memory;
mod options;
pub mod post;
