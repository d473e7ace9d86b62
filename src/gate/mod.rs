//! A signer for `CometBFT` 0.38 nodes, without a mind of its own: it speaks the node's protocol, holds the key, and asks a
//! [`Judge`] about every vote and every proposal.
//!
//! To be read from the inside out. `privval/` is the protocol, bytes in and bytes out, held against vectors that `CometBFT`
//! made. [`answer`] turns one request into one answer. [`frame`] and [`dial`] are the socket; [`key`] and [`state`] the
//! files of a node.

pub mod answer;
pub mod counts;
pub mod dial;
pub mod encoding;
pub mod frame;
pub mod judge;
pub mod key;
pub mod privval;
pub mod state;

pub use answer::{Outcome, Signer};
pub use counts::Counts;
pub use dial::{converse, dial};
pub use judge::{Judge, ProposalRequest, Verdict, VoteRequest};
pub use key::Key;
pub use state::State;
