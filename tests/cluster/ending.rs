//! Ending a cluster.
use crate::place::{Place, Process};
use crate::run::{Context, Failure, Result, wait_for};
use crate::{process, sandbox};
use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

/// Ends the cluster of this folder, if there is one, and leaves nothing of it.
pub fn down(place: &Place) -> Result<()> {
    let Some(state) = place.read() else {
        say!("no cluster in {}", place.0.display());
        return Ok(());
    };
    let started = Instant::now();
    let was = if state.init.as_ref().is_some_and(Process::alive) { "down" } else { "cleaned up" };
    clean(place)?;
    say!("{was} in {:.1} s", started.elapsed().as_secs_f32());
    Ok(())
}

/// Kills what runs for this folder and removes what it had. Killing one process is enough: the
/// kernel ends the others with it.
pub fn clean(place: &Place) -> Result<()> {
    let Some(state) = place.read() else {
        if place.0.is_dir() && fs::read_dir(&place.0).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(Failure::refused(format!(
                "{} holds files but no cluster.json: choose another --dir or empty it",
                place.0.display()
            )));
        }
        return Ok(());
    };
    if !state.control_plane_only {
        sandbox::thaw(state.network);
    }
    let pids = fs::read(place.at("pids.json")).unwrap_or_default();
    let mut gone: Vec<Process> = Vec::new();
    if state.control_plane_only {
        let pids: BTreeMap<String, Process> = serde_json::from_slice(&pids).unwrap_or_default();
        gone.extend(pids.into_values());
    }
    // By their arguments too: an `up` that was interrupted has noted none.
    let dir = place.0.display().to_string();
    let supervisors = process::ending_in(&["supervise", "--dir", &dir]);
    let supervisors = supervisors.into_iter().filter_map(Process::of);
    for supervisor in state.init.filter(Process::alive).into_iter().chain(supervisors) {
        // Killing one may have ended another.
        if process::signal(supervisor.pid, "KILL").is_err() && supervisor.alive() {
            return Err(format!("process {} cannot be killed", supervisor.pid).into());
        }
        gone.push(supervisor);
    }
    for process in gone {
        wait_for(&format!("the end of process {}", process.pid), Duration::from_secs(30), || {
            if process.alive() { Err("it still runs".into()) } else { Ok(()) }
        })?;
    }
    if !state.control_plane_only {
        sandbox::sweep(state.network)?;
    }
    fs::remove_dir_all(&place.0).context(format_args!("removing {}", place.0.display()))
}
