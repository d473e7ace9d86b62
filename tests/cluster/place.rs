//! Where things are: the cache outside the checkout, and the state folder of one cluster.
use crate::network::Network;
use crate::run::{Context, Failure, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// `$MAINSTAY_CACHE`, or `mainstay` in the user's cache folder.
pub fn cache() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("MAINSTAY_CACHE")
        .or_else(|| Some(set("XDG_CACHE_HOME")?.join("mainstay")))
        .or_else(|| Some(set("HOME")?.join(".cache/mainstay")))
        .ok_or_else(|| Failure::refused("none of MAINSTAY_CACHE, XDG_CACHE_HOME and HOME is set: set one"))
}

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it started, in the kernel's ticks.
    pub start: u64,
}

impl Process {
    /// The process that has this number now.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is a name in parentheses and may hold anything: count from its end.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let running = !matches!(fields.next()?, "Z" | "X");
        let ticks = fields.nth(18)?.parse().ok()?;
        running.then_some(Self { pid, start: ticks })
    }

    /// Whether it still runs.
    pub fn alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }
}

/// What a state folder says about its cluster: `cluster.json`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct State {
    /// Only etcd and the API server, without root and without nodes.
    pub control_plane_only: bool,
    /// How many nodes it has.
    pub nodes: u32,
    /// The addresses it has.
    pub network: Network,
    /// Where clients reach the API server.
    pub server: String,
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// One JSON object per line for every request.
    pub audit_log: PathBuf,
    /// Whether it has been ready; `up` starts one anew that never was.
    pub ready: bool,
    /// The process that everything else dies with; none before it was started.
    pub init: Option<Process>,
}

/// The state folder of one cluster.
#[derive(Clone, Debug)]
pub struct Place(pub PathBuf);

impl Place {
    /// The given folder, or the default one in the cache.
    pub fn new(dir: Option<&Path>) -> Result<Self> {
        let dir = match dir {
            Some(dir) => std::path::absolute(dir).context("resolving --dir")?,
            None => cache()?.join("cluster"),
        };
        Ok(Self(dir))
    }

    /// A path inside.
    pub fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The log of a component.
    pub fn log(&self, component: &str) -> PathBuf {
        self.0.join("logs").join(format!("{component}.log"))
    }

    /// What is written about the cluster here; none where there is none.
    pub fn read(&self) -> Option<State> {
        serde_json::from_slice(&std::fs::read(self.at("cluster.json")).ok()?).ok()
    }

    /// Writes it down.
    pub fn write(&self, state: &State) -> Result<()> {
        let text = serde_json::to_string_pretty(state).context("writing cluster.json")?;
        crate::run::write(&self.at("cluster.json"), text)
    }

    /// The cluster that runs here, if one does.
    pub fn running(&self) -> Option<State> {
        self.read().filter(|state| state.init.as_ref().is_some_and(Process::alive))
    }

    /// The cluster that runs here, or what to do about it.
    pub fn required(&self) -> Result<State> {
        self.running().ok_or_else(|| {
            Failure::refused(format!("no cluster runs in {}: start one with `cluster up`", self.0.display()))
        })
    }
}
