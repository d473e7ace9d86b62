//! `mainstay gate`: a signer for `CometBFT` 0.38 nodes that signs inside the window of its epoch only. What it signs is
//! decided in `failover::gate`, which is pure and checked; here are the socket, the key, the disk and the API server.
//!
//! To be read from the inside out. `privval/` is the protocol, bytes in and bytes out, held against vectors that `CometBFT`
//! made. [`answer`] turns one request into one answer, and asks an [`Arbiter`] about every vote and every proposal. [`frame`]
//! and [`dial`] are the socket; [`key`] and [`state`] the files of a node.
//!
//! The arbiter is the [`desk`]: it asks `failover::gate`, and makes durable what was decided ([`store`], [`diary`]) before
//! the signature leaves. [`follow`] brings it the record and writes what it wants, with a [`registry`] that is the API
//! server. [`chain`] reads beside it what the node's chain has of the key, and [`commit`] what that means; for that the [`first`] signature
//! waits a little. [`process`] is all of
//! it together, begun as every process of a [`member`] is.
//!
//! [`launcher`] is the other form of a gate, for signers without such a socket: it starts and ends them. What a [`tenant`] is has
//! its shape once more, and starts nothing: in a [`keymanager`] it is the key of an Ethereum validator client that comes and goes, in
//! [`solana`] the identity of a validator. [`client`] is how such a client's processes are seen and ended.

pub mod answer;
pub mod arbiter;
pub mod chain;
pub mod client;
pub mod commit;
pub mod counts;
pub mod desk;
pub mod dial;
pub mod diary;
pub mod encoding;
pub mod first;
pub mod follow;
pub mod frame;
pub mod key;
pub mod keymanager;
pub mod launcher;
pub mod member;
pub mod page;
pub mod past;
pub mod privval;
pub mod process;
pub mod registry;
pub mod solana;
pub mod state;
pub mod store;
pub mod tenant;
pub mod words;

pub use answer::{Outcome, Signer};
pub use arbiter::{Arbiter, ProposalRequest, Ruling, VoteRequest};
pub use counts::Counts;
pub use dial::{converse, dial};
pub use key::Key;
pub use state::State;
