//! Finds the processes of a pod or a component from outside, and signals them: the faults that
//! tests make. Needs nothing but `/proc`, so tests include it by path.
use std::fs;
use std::io;
use std::process::Command;

/// The process that a container was started with, as the machine numbers it.
///
/// `container` is the id from the pod's status, with or without `containerd://`.
pub fn of_container(container: &str) -> Option<u32> {
    let id = container.rsplit('/').next().filter(|id| id.len() >= 32)?;
    all().find(|&pid| {
        let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        cgroup.lines().any(|line| line.ends_with(id))
            && namespaced(pid).len() > 1
            && namespaced(pid).last() == Some(&1)
    })
}

/// A component, such as `kubelet-2`, of the cluster whose first process is `init`: the machine's
/// number for the process that the cluster's own namespace calls `inner`.
pub fn of_component(init: u32, inner: u32) -> Option<u32> {
    let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let wanted = namespace(init)?;
    all().find(|&pid| namespaced(pid).last() == Some(&inner) && namespace(pid).as_ref() == Some(&wanted))
}

/// Sends a signal, such as `STOP`, `CONT` or `KILL`.
pub fn signal(pid: u32, name: &str) -> io::Result<()> {
    let done = Command::new("kill").args([format!("-{name}"), pid.to_string()]).output()?;
    if done.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&done.stderr);
    Err(io::Error::other(format!("kill -{name} {pid}: {}", why.trim())))
}

/// The processes whose command lines end in these arguments.
pub fn ending_in(args: &[&str]) -> Vec<u32> {
    let end: String = args.iter().flat_map(|arg| ["\0", *arg]).chain(["\0"]).collect();
    all()
        .filter(|pid| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.ends_with(end.as_bytes())))
        .collect()
}

/// Every process of the machine.
fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A process's number in each process namespace it is in, from the outermost inwards.
fn namespaced(pid: u32) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    line.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}
