//! The namespaces that nodes live in.
//!
//! All of the cluster is in one mount, network and process namespace: when its first process
//! dies the kernel kills every other one, containers too, and takes the mounts, bridges and
//! packet filter rules with it. One link leads there from the machine, and no route leads on
//! from there, so that no packet of the cluster can leave the machine.
use crate::network::Network;
use crate::node;
use crate::place::{Place, Process};
use crate::run::{Context, Failure, Result, command, line, make_dir, output, run, wait_for, write};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const CGROUPS: &str = "/sys/fs/cgroup";
/// What the kubelet sets for the whole machine, if one lets it.
const TUNABLES: [&str; 5] = [
    "vm/overcommit_memory",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// The command that runs `supervisor` as the first process of new namespaces. A shell goes
/// before it because the first process inherits orphans and has to reap them.
pub fn wrap(supervisor: &[String]) -> Command {
    let mut wrapped = line("setsid unshare --mount --net --pid --fork --kill-child --mount-proc sh -c");
    wrapped.args(["\"$@\" & wait", "sh"]).args(supervisor);
    wrapped
}

/// Waits for the first process in the namespaces and links the machine to it.
pub fn connect(net: Network, unshare: u32) -> Result<Process> {
    let children = format!("/proc/{unshare}/task/{unshare}/children");
    let init = wait_for("the cluster's first process", Duration::from_secs(10), || {
        let text = fs::read_to_string(&children).context(&children)?;
        let pid = text.split_whitespace().next().and_then(|pid| pid.parse().ok());
        pid.and_then(Process::of).ok_or_else(|| Failure::from("it does not exist"))
    })?;
    let (link, inside) = (net.link(), net.inside());
    run(&format!("ip link add {link} type veth peer name host0 netns {}", init.pid))?;
    run(&format!("ip addr add {}/30 dev {link}", net.outside()))?;
    run(&format!("ip link set {link} up"))?;
    for range in [net.services(), net.pods(), net.nodes()] {
        run(&format!("ip route add {range} via {inside} dev {link}"))?;
    }
    Ok(init)
}

/// Sets the namespaces up from within.
pub fn furnish(place: &Place, net: Network, nodes: u32) -> Result<()> {
    // Locks, sockets and network namespaces that components put there stay in here.
    run("mount -t tmpfs mainstay-run /run")?;
    let copies = place.at("tunables");
    make_dir(&copies)?;
    for (index, name) in TUNABLES.iter().enumerate() {
        let (real, copy) = (Path::new("/proc/sys").join(name), copies.join(index.to_string()));
        if let Ok(value) = fs::read(&real) {
            write(&copy, value)?;
            output(command("mount", ["--bind"]).args([&copy, &real]))?;
        }
    }
    run("ip link set lo up")?;
    wait_for("the link to the machine", Duration::from_secs(10), || run("ip link show host0"))?;
    run(&format!("ip addr add {}/30 dev host0", net.inside()))?;
    run("ip link set host0 up")?;
    // Gives Services without endpoints a way to nowhere, and nodes their addresses. A bridge
    // without ports, since not every kernel has dummy interfaces.
    run("ip link add svc0 type bridge")?;
    run("ip link set svc0 up")?;
    run(&format!("ip route add {} dev svc0", net.services()))?;
    for node in 1..=nodes {
        run(&format!("ip addr add {}/32 dev svc0", net.node(node)))?;
    }
    write(Path::new("/proc/sys/net/ipv4/ip_forward"), "1")
}

/// Makes the cgroup of each node, in every hierarchy the machine has.
pub fn make_cgroups(net: Network, nodes: u32) -> Result<()> {
    for hierarchy in hierarchies() {
        for node in 1..=nodes {
            let top = hierarchy.join(net.cgroup());
            make_cgroup(&hierarchy, &top)?;
            make_cgroup(&top, &top.join(node::name(node)))?;
        }
    }
    Ok(())
}

fn make_cgroup(parent: &Path, child: &Path) -> Result<()> {
    // Version 2: a controller has to be passed on; one that cannot be is missed by nobody here.
    for controller in fs::read_to_string(parent.join("cgroup.controllers")).unwrap_or_default().split_whitespace()
    {
        let _ = fs::write(parent.join("cgroup.subtree_control"), format!("+{controller}"));
    }
    make_dir(child)?;
    // Version 1: an empty set of processors admits no process.
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if child.join("tasks").exists() && child.join(file).exists() {
            let all = fs::read(parent.join(file)).context(parent.join(file).display())?;
            write(&child.join(file), all)?;
        }
    }
    Ok(())
}

/// Version 2 has one hierarchy, version 1 one per controller.
fn hierarchies() -> Vec<PathBuf> {
    let root = PathBuf::from(CGROUPS);
    if root.join("cgroup.controllers").exists() {
        return vec![root];
    }
    let entries = fs::read_dir(&root).into_iter().flatten().flatten();
    // A controller may have a second name that is a link.
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

/// Removes what a dead cluster left: its cgroups. The rest died with it.
pub fn sweep(net: Network) -> Result<()> {
    for hierarchy in hierarchies() {
        let top = hierarchy.join(net.cgroup());
        if top.is_dir() {
            // The kernel empties a cgroup a moment after its last process has gone.
            wait_for("removing cgroups", Duration::from_secs(10), || remove_cgroup(&top))?;
        }
    }
    // It takes networks apart one after the other, of which every pod had one: after hundreds of pods that is a minute.
    wait_for("the link's end", Duration::from_secs(120), || {
        if Path::new("/sys/class/net").join(net.link()).exists() { Err(net.link().into()) } else { Ok(()) }
    })
}

fn remove_cgroup(path: &Path) -> Result<()> {
    for entry in fs::read_dir(path).context(path.display())?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroup(&entry.path())?;
        }
    }
    fs::remove_dir(path).context(path.display())
}

/// Lets frozen processes go: one in a frozen cgroup cannot even be killed.
pub fn thaw(net: Network) {
    fn walk(path: &Path) {
        let _ = fs::write(path.join("freezer.state"), "THAWED");
        if path.join("cgroup.freeze").exists() {
            let _ = fs::write(path.join("cgroup.freeze"), "0");
        }
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                walk(&entry.path());
            }
        }
    }
    for hierarchy in hierarchies() {
        walk(&hierarchy.join(net.cgroup()));
    }
}
