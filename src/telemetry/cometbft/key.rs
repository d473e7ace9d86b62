//! Which key a node signs with, as it tells it. Behind a gate it is the one that the gate has told the node.

use std::net::IpAddr;

use serde::Deserialize;

use super::{decode::base64, status::status};
use crate::telemetry::Client;

/// No public key has more bytes.
const LONGEST: usize = 256;

/// A key, and the chain that it is used on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// The chain's id.
    pub chain: String,
    /// The public key.
    pub public: Vec<u8>,
}

#[derive(Deserialize)]
struct Status {
    node_info: NodeInfo,
    validator_info: ValidatorInfo,
}

#[derive(Deserialize)]
struct NodeInfo {
    network: String,
}

#[derive(Deserialize)]
struct ValidatorInfo {
    pub_key: PubKey,
}

#[derive(Deserialize)]
struct PubKey {
    value: String,
}

/// Asks a node for the key that it signs with.
pub async fn signing_key(client: &Client, ip: IpAddr, port: u16) -> Option<SigningKey> {
    let Status { node_info, validator_info } = status(client, ip, port).await?;
    let public = base64(&validator_info.pub_key.value, LONGEST).filter(|public| !public.is_empty())?;
    Some(SigningKey { chain: node_info.network, public })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn ask(answer: &'static str) -> Option<SigningKey> {
        let canned = move |_: &str, _: &[u8]| (200, answer.as_bytes().to_vec());
        let client = Client::canned(Arc::new(canned)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(signing_key(&client, IpAddr::from([10, 0, 0, 1]), 26657))
    }

    #[test]
    fn a_node_tells_its_key_and_its_chain_or_nothing() {
        const STATUS: &str = r#"{"result":{"node_info":{"network":"hub-4"},"validator_info":{"address":"AA",
            "pub_key":{"type":"tendermint/PubKeyEd25519","value":"AAEC/w=="},"voting_power":"0"}}}"#;
        assert_eq!(ask(STATUS), Some(SigningKey { chain: "hub-4".into(), public: vec![0, 1, 2, 255] }));
        for odd in [
            r#"{"result":{"node_info":{"network":"hub-4"},"validator_info":{"pub_key":null}}}"#,
            r#"{"result":{"node_info":{"network":"hub-4"},"validator_info":{"pub_key":{"value":""}}}}"#,
            r#"{"result":{"node_info":{"network":"hub-4"},"validator_info":{"pub_key":{"value":"*"}}}}"#,
            r#"{"error":{}}"#,
        ] {
            assert_eq!(ask(odd), None, "{odd}");
        }
    }
}
