//! The signer of a `CometBFT` node: against what `CometBFT` itself would do, and against nodes that do everything wrong.

// A test may look at the clock.
#![allow(clippy::disallowed_methods)]
#![allow(clippy::unwrap_used, missing_docs)]

mod arbiters;
mod chain;
mod client;
mod container;
mod desk;
mod dialling;
#[expect(dead_code, reason = "others throw the rest of it")]
#[path = "../dice.rs"]
mod dice;
mod durable;
mod enemy;
mod first;
mod hostile;
mod keymanager;
mod keys;
mod launcher;
mod memory;
mod metrics;
mod node;
mod peer;
mod pieces;
mod process;
mod records;
mod rig;
mod server;
mod site;
mod solana;
mod states;
mod storm;
mod validator;
mod vectors;
mod volume;
mod whole;

use std::sync::LazyLock;

use mainstay::gate::{Arbiter, Counts, Key, Signer, converse, frame::Broken};
use tokio_util::sync::CancellationToken;

const CHAIN: &str = "mainstay-1";

/// The key of the vectors, which everybody knows.
fn key() -> Key {
    Key::parse(vectors::files()["key"].as_str().unwrap().as_bytes()).unwrap()
}

fn signer() -> &'static Signer {
    static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new(CHAIN, key()));
    &SIGNER
}

/// A whole conversation: what a node says from the beginning to the end, what it is answered, and how that ended.
fn talk(said: &[u8], arbiter: &mut impl Arbiter) -> (Vec<u8>, Result<(), Broken>, Counts) {
    let (mut answers, counts) = (Vec::new(), Counts::default());
    let stream = tokio::io::join(said, &mut answers);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let stop = CancellationToken::new();
    let ended = runtime.block_on(converse(stream, signer(), arbiter, &counts, &stop));
    (answers, ended, counts)
}

/// The messages in `frames`, each without its length.
fn messages(mut frames: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !frames.is_empty() {
        let mut length = 0;
        let mut shift = 0;
        loop {
            let (byte, rest) = frames.split_first().unwrap();
            frames = rest;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if *byte < 0x80 {
                break;
            }
        }
        let (message, rest) = frames.split_at(length);
        frames = rest;
        found.push(message);
    }
    found
}

fn unhex(text: &str) -> Vec<u8> {
    mainstay::gate::encoding::hex(text).unwrap()
}
