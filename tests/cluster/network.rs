//! The addresses of one cluster: 10.N.0.0/16, with N the first that the machine does not use,
//! so that clusters of several folders, and of others, do not meet.
use crate::run::{Failure, Result, line, output};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// A cluster's address range, and the names that follow from it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Network(u8);

impl Default for Network {
    fn default() -> Self {
        Self(96)
    }
}

impl Network {
    /// The first range that no route of this machine is in.
    pub fn free() -> Result<Self> {
        for network in (96..=127).map(Self) {
            let routes = output(&mut line(&format!("ip -4 route show table all root 10.{}.0.0/16", network.0)))?;
            if routes.trim().is_empty() {
                return Ok(network);
            }
        }
        Err(Failure::refused("every range from 10.96.0.0/16 to 10.127.0.0/16 has a route (`ip route`): free one"))
    }

    /// Addresses of Services.
    pub fn services(self) -> String {
        format!("10.{}.0.0/17", self.0)
    }

    /// The `kubernetes` Service.
    pub fn kubernetes(self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.0, 0, 1)
    }

    /// Addresses of pods.
    pub fn pods(self) -> String {
        format!("10.{}.128.0/18", self.0)
    }

    /// Addresses of the pods of one node.
    pub fn pods_of(self, node: u32) -> String {
        format!("10.{}.{}.0/24", self.0, 128 + node)
    }

    /// Addresses of nodes.
    pub fn nodes(self) -> String {
        format!("10.{}.200.0/24", self.0)
    }

    /// The address of a node.
    pub fn node(self, node: u32) -> String {
        format!("10.{}.200.{node}", self.0)
    }

    /// The machine's end of the link to the cluster.
    pub fn outside(self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.0, 192, 1)
    }

    /// The cluster's end, where its API server listens.
    pub fn inside(self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.0, 192, 2)
    }

    /// The link's name on the machine.
    pub fn link(self) -> String {
        format!("mainstay{}", self.0)
    }

    /// The cgroup of all pods.
    pub fn cgroup(self) -> String {
        format!("mainstay-{}", self.0)
    }
}
