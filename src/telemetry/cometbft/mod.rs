//! `CometBFT`, Tendermint and the Cosmos SDK: their RPC (port 26657) and the Cosmos REST API (port 1317). Their metrics
//! are read by a `scrape` source.

pub mod decode;
mod height;
mod key;
mod power;
mod rest;
mod rpc;
mod slashing;
mod status;

pub use height::height;
pub use key::{SigningKey, signing_key};
pub use power::{Power, power};
pub use rest::Rest;
pub(super) use rest::chain as rest_chain;
pub use rpc::CometBft;
pub use slashing::allowed_misses;
