//! Processes, as the kernel has them: whoever loses its parent below us becomes our child, so that none is lost.

use std::{fs, io, thread, time::Duration};

use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, set_child_subreaper, wait},
};

/// Between two looks at what is left.
const PAUSE: Duration = Duration::from_millis(5);

/// From here on, descendants whose parents have ended are our children.
pub fn adopt() -> io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// Waits for the next child that ends, whichever it is; `None` when there is none left.
#[must_use]
pub fn next() -> Option<(Pid, u8)> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) => {
                if let Some(code) = code(status) {
                    return Some((pid, code));
                }
            }
            Err(Errno::CHILD) => return None,
            Ok(None) | Err(_) => {}
        }
    }
}

/// Kills every child, once. Their own children become ours with that, and are killed by the next look.
pub fn kill_children() {
    for pid in children() {
        // It may have ended meanwhile; until we wait for it, nobody else has its number.
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Kills and waits until no descendant is left.
pub fn end_all() {
    loop {
        kill_children();
        match wait(WaitOptions::NOHANG) {
            Err(Errno::CHILD) => return,
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// The code of a process that has ended, as a shell says it: 128 and the signal's number for one that was killed.
fn code(status: WaitStatus) -> Option<u8> {
    let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
    code.map(|code| u8::try_from(code).unwrap_or(u8::MAX))
}

fn children() -> Vec<Pid> {
    let own = getpid().as_raw_nonzero().get();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers.filter(|number| parent(*number) == Some(own)).filter_map(Pid::from_raw).collect()
}

/// The parent of a process: the second word behind its name, which may have spaces and brackets.
fn parent(process: i32) -> Option<i32> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}
