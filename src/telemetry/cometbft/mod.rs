//! `CometBFT`, Tendermint and the Cosmos SDK. So far their RPC (port 26657).

pub mod decode;
mod rpc;

pub(super) use rpc::status;
pub use rpc::{CometBft, SIGNALS};
