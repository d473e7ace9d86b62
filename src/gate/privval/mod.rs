//! PURE. What is said on `CometBFT`'s Unix socket for signers, and what is signed: bytes in, bytes out.
//!
//! The protocol is that of `CometBFT` 0.38, `proto/tendermint/privval/types.proto`. The node asks, the signer answers each
//! question once and in order. Both sides send a `Message` after its length.

pub mod canonical;
pub mod message;
pub mod reply;
pub mod request;
pub mod wire;

pub use message::{BlockId, PartSetHeader, Proposal, Timestamp, Vote};
pub use reply::Reply;
pub use request::{Place, Request, Step};
pub use wire::Malformed;
