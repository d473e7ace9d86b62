//! What the machine must have, said before anything is started.
use crate::run::{Failure, Result, line, output};
use std::path::{Path, PathBuf};

/// A program and the Debian package it comes in.
type Need = (&'static str, &'static str);

const CONTROL_PLANE: &[Need] =
    &[("etcd", "etcd-server"), ("openssl", "openssl"), ("setpriv", "util-linux"), ("setsid", "util-linux")];
const NODES: &[Need] = &[
    ("runc", "runc"),
    ("iptables", "iptables"),
    ("conntrack", "conntrack"),
    ("ip", "iproute2"),
    ("sysctl", "procps"),
    ("unshare", "util-linux"),
    ("mount", "mount"),
];
/// Where Debian keeps the CNI plugins.
pub const CNI_PLUGINS: &str = "/usr/lib/cni";

/// Finds a program on the path, also where administrators' programs are.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').chain(["/usr/sbin", "/sbin"]).map(|dir| Path::new(dir).join(name)).find(|file| file.is_file())
}

/// Refuses, naming everything that is missing at once.
pub fn require(control_plane_only: bool, build: bool) -> Result<()> {
    if !cfg!(target_os = "linux") {
        return Err(Failure::refused(
            "the local cluster needs Linux; elsewhere set KUBECONFIG to a cluster of your own",
        ));
    }
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").is_some();
    let mut missing: Vec<&str> = CONTROL_PLANE
        .iter()
        .chain(if control_plane_only { &[] } else { NODES })
        .filter(|(program, _)| find(program).is_none() && !(assets && control_plane_only && *program == "etcd"))
        .map(|&(_, package)| package)
        .collect();
    if !control_plane_only && !Path::new(CNI_PLUGINS).join("bridge").is_file() {
        missing.push("containernetworking-plugins");
    }
    missing.sort_unstable();
    missing.dedup();
    let mut problems = Vec::new();
    if !missing.is_empty() {
        problems.push(format!(
            "missing Debian packages: {0}\n  install them with: apt-get install -y --no-install-recommends {0}",
            missing.join(" ")
        ));
    }
    if build && find("go").is_none() {
        problems.push("missing Go 1.26 or newer (https://go.dev/dl), which builds Kubernetes once".into());
    }
    if !control_plane_only && !is_root() {
        problems.push("nodes need root: run as root, or use --control-plane-only".into());
    }
    if problems.is_empty() { Ok(()) } else { Err(Failure::refused(problems.join("\n"))) }
}

/// Whether this process is root.
pub fn is_root() -> bool {
    output(&mut line("id -u")).is_ok_and(|id| id.trim() == "0")
}
