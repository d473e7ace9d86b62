//! What a chain's nodes run. Whatever differs between the kinds is asked here, by the launcher and by tests, which include
//! this file by path.

use clap::ValueEnum;

/// The kinds of chains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// `CometBFT` with its built-in key-value store: quick to build and to start.
    #[default]
    Cometbft,
    /// A Cosmos SDK chain, with staking, slashing and evidence: it punishes.
    Wasmd,
}

impl Kind {
    /// The kind that tests are run on: `MAINSTAY_CHAIN`, or the everyday one.
    #[allow(dead_code, reason = "the launcher is told by an argument")]
    pub fn wanted() -> Self {
        let name = std::env::var("MAINSTAY_CHAIN").ok().filter(|name| !name.is_empty());
        name.map_or_else(Self::default, |name| {
            Self::from_str(&name, true).expect("MAINSTAY_CHAIN: a kind of chain")
        })
    }

    /// The name of its program, its tool and its image.
    pub fn program(self) -> &'static str {
        match self {
            Self::Cometbft => "cometbft",
            Self::Wasmd => "wasmd",
        }
    }

    /// What starts a node, on the home that every pod has.
    pub fn start(self) -> &'static [&'static str] {
        match self {
            Self::Cometbft => &["node", "--home=/home/node", "--proxy_app=persistent_kvstore"],
            Self::Wasmd => &["start", "--home=/home/node"],
        }
    }

    /// What prints the name that a node has among its peers.
    pub fn node_id(self) -> &'static [&'static str] {
        match self {
            Self::Cometbft => &["show-node-id"],
            Self::Wasmd => &["comet", "show-node-id"],
        }
    }

    /// The port of the Cosmos REST API, where there is one.
    pub fn rest(self) -> Option<u16> {
        match self {
            Self::Cometbft => None,
            Self::Wasmd => Some(1317),
        }
    }
}
