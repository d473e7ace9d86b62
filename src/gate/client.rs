//! The processes of a client, as this pod sees them: its containers share their process numbers.

use std::{fs, io};

use rustix::process::{Pid, Signal, kill_process};

/// A process. Its number may be another's later, its start is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// When it started, in the kernel's ticks.
    pub start: u64,
}

/// All processes whose program has this name.
pub fn processes(name: &str) -> io::Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        if let Some(start) = start(pid).filter(|_| is(pid, name)) {
            found.push(Process { pid, start });
        }
    }
    Ok(found)
}

/// Whether it lives.
#[must_use]
pub fn lives(process: Process) -> bool {
    start(process.pid) == Some(process.start)
}

/// Asks it to end, or ends it.
pub fn end(process: Process, by_force: bool) -> io::Result<()> {
    let signal = if by_force { Signal::KILL } else { Signal::TERM };
    match Pid::from_raw(process.pid).filter(|_| lives(process)) {
        Some(pid) => Ok(kill_process(pid, signal)?),
        None => Ok(()),
    }
}

/// When a process started, if it lives. One that nobody has waited for has ended all the same.
fn start(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    let mut words = rest.split_whitespace();
    if matches!(words.next()?, "Z" | "X") {
        return None;
    }
    // The 22nd word of all; the first two are its number and its name.
    words.nth(18)?.parse().ok()
}

/// By the first word of its command line: a thread may call itself anything.
fn is(pid: i32, name: &str) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let program = program.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    program == name.as_bytes()
}
