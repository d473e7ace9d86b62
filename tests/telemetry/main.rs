//! Samples in: against a server that does everything wrong, and against recorded answers.

// A test may look at the clock.
#![allow(clippy::disallowed_methods)]
#![allow(clippy::unwrap_used, missing_docs)]

mod client;
mod cometbft;
mod contracts;
mod decode;
#[expect(dead_code, reason = "others throw the rest of it")]
#[path = "../dice.rs"]
mod dice;
mod fuzz;
mod garbage;
mod hostile;
mod pages;
mod parity;
mod reference;
mod rows;
mod runner;

use mainstay::{
    signal::{Poll, Signal, Unknown, Value, Wall},
    telemetry::{Client, Clock, Endpoint, Expected, SystemClock, address::Reach, cometbft::CometBft},
};
use std::{net::SocketAddr, time::Duration};

const STATUS: &str = include_str!("cometbft/status.json");
const NET_INFO: &str = include_str!("cometbft/net_info.json");
const ERROR: &str = include_str!("cometbft/error.json");
const CHAIN: &str = "cosmoshub-2";

/// 2.5 s after the time of the recorded block, to the millisecond.
const WALL: Wall = Wall(1_564_660_345_318);

/// The real monotonic clock, and the wall time of the recording.
struct Recorded(SystemClock);

impl Clock for Recorded {
    fn mono(&self) -> mainstay::signal::Mono {
        self.0.mono()
    }

    fn wall(&self) -> Wall {
        WALL
    }
}

fn clock() -> Recorded {
    Recorded(SystemClock::start())
}

fn client() -> Client {
    Client::new(Reach::Anywhere, &[]).unwrap()
}

/// The RPC of the node at `address`, on the chain of the recording.
fn node(address: SocketAddr, timeout: Duration) -> CometBft {
    let endpoint = Endpoint::new(client(), Ok(format!("http://{address}")), timeout);
    CometBft::new(endpoint, Expected::exactly(CHAIN), None)
}

fn of(poll: &Poll, signal: Signal) -> &Result<Value, Unknown> {
    let mut found = poll.values.iter().filter(|(of, _)| *of == signal);
    let (_, value) = found.next().unwrap();
    assert!(found.next().is_none(), "two values of {signal:?}");
    value
}
