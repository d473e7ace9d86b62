//! What a group's chain tells.

use mainstay::gate::encoding::to_hex;
use serde_json::Value;

use super::group::Group;
use crate::{
    rig::{get, wait},
    stage::{LATER, SOON, ask},
};

impl Group {
    /// When the chain says that a block was made (milliseconds since the epoch).
    pub fn time(&self, height: u64) -> Option<i64> {
        let text = ask((&self.validator(), 26657), &format!("/block?height={height}")).ok()?;
        let body: Value = serde_json::from_str(&text).ok()?;
        let time: jiff::Timestamp = body["result"]["block"]["header"]["time"].as_str()?.parse().ok()?;
        Some(time.as_millisecond())
    }

    /// The head of the chain, as a node tells it.
    pub fn height(&self, pod: &str) -> Option<u64> {
        let name = format!("{pod}-0");
        let address = get(&["-n", &self.stage.namespace, "pod", &name])["status"]["podIP"].clone();
        head((address.as_str()?, 26657))
    }

    /// Waits until the chain has so many more blocks.
    pub fn blocks(&self, more: u64) -> u64 {
        let head = || head((self.validator().as_str(), 26657));
        let begun = wait("a head", SOON, head).expect("a head");
        wait(&format!("{more} blocks"), SOON, || head().filter(|head| *head >= begun + more)).expect("blocks")
    }

    /// Where a validator of the chain answers, that is no member.
    pub fn validator(&self) -> String {
        validator(&self.stage.namespace)
    }

    /// What the chain itself holds against anybody: evidence in its last hundred blocks, and who is tombstoned. It misses
    /// most of what there is.
    pub fn evidence(&self) -> usize {
        let address = self.validator();
        let Some(top) = head((address.as_str(), 26657)) else { return 0 };
        let told: usize =
            (top.saturating_sub(100).max(1)..=top).filter_map(|height| evidence(&address, height)).sum();
        told + self.tombstoned().len()
    }

    /// Waits until the chain holds something against somebody, and says in which block from this one on.
    pub fn convicts(&self, since: u64) -> u64 {
        let address = self.validator();
        let mut next = since;
        wait("evidence on the chain", LATER, || {
            while let Some(told) = evidence(&address, next) {
                if told > 0 {
                    return Some(next);
                }
                next += 1;
            }
            None
        })
        .expect("evidence")
    }

    /// The addresses, in hexadecimal, of the validators that the chain will never let sign again: none where the kind of
    /// chain does not punish.
    pub fn tombstoned(&self) -> Vec<String> {
        let Some(rest) = self.kind.rest() else { return Vec::new() };
        let text = ask((&self.validator(), rest), "/cosmos/slashing/v1beta1/signing_infos").expect("an answer");
        let body: Value = serde_json::from_str(&text).expect("signing infos");
        let infos = body["info"].as_array().expect("signing infos");
        assert!(infos.len() > 4, "all five validators: {text}");
        let of = |info: &Value| {
            let (_, address) = bech32::decode(info["address"].as_str().expect("an address")).expect("an address");
            to_hex(&address)
        };
        infos.iter().filter(|info| info["tombstoned"] == true).map(of).collect()
    }
}

/// How much evidence a block has, once there is one at this height.
fn evidence(address: &str, height: u64) -> Option<usize> {
    let text = ask((address, 26657), &format!("/block?height={height}")).ok()?;
    let body: Value = serde_json::from_str(&text).ok()?;
    let block = &body["result"]["block"];
    block.is_object().then(|| block["evidence"]["evidence"].as_array().map_or(0, Vec::len))
}

/// Where the first validator of a namespace's chain answers.
pub fn validator(namespace: &str) -> String {
    let service = get(&["-n", namespace, "service", "val-0"]);
    service["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned()
}

/// Where a node's chain stands.
pub fn head(address: (&str, u16)) -> Option<u64> {
    let status: Value = serde_json::from_str(&ask(address, "/status").ok()?).ok()?;
    status["result"]["sync_info"]["latest_block_height"].as_str()?.parse().ok()
}
