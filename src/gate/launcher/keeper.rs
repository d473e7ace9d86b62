//! The keeper: starts one command, and ends it and all that came of it when its time is over. It hears from its launcher
//! on its standard input, and a launcher that says nothing more for ever has ended.

use std::{
    env,
    ffi::OsString,
    io::{self, BufRead},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, getppid, kill_process_group, set_parent_process_death_signal};

use super::{
    boot_time,
    place::{PlaceError, Placement},
    strays,
};
use crate::failover::gate::lasts;

/// While something that was killed is still there (milliseconds).
const AGAIN: u64 = 5;
/// The clock of timers may stand still where ours goes on: it is looked at this often (milliseconds).
const LOOK: u64 = 500;

/// What a keeper is started with.
#[derive(Clone, Debug)]
pub struct Duty {
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// Its key, if it is to be placed.
    pub key: Option<Placement>,
    /// How long before the end it is asked to stop (milliseconds).
    pub grace: u64,
}

/// What a launcher says to its keeper, a line each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The command may run until then, by the clock of [`boot_time`].
    Until(u64),
    /// It is to end.
    End,
    /// It is to get this signal.
    Signal(i32),
}

/// Why nothing could be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The key is not where it should be.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The command cannot be started.
    #[error("failed to start {command}: {error}")]
    Start {
        /// Which.
        command: String,
        /// Why.
        error: io::Error,
    },
    /// The kernel refused.
    #[error("failed to be told of ends of processes: {0}")]
    Kernel(io::Error),
    /// Nobody asked for it.
    #[error("a keeper is started by `mainstay gate -- COMMAND`, and by nobody else")]
    Alone,
}

enum Heard {
    Word(Word),
    /// The command has ended.
    Ended(u8),
    /// No descendant is left.
    Empty,
}

// === impl Word ===

impl Word {
    /// As it is said.
    #[must_use]
    pub fn line(self) -> String {
        match self {
            Self::Until(until) => format!("until {until}\n"),
            Self::End => "end\n".into(),
            Self::Signal(number) => format!("signal {number}\n"),
        }
    }

    /// What a line says. Whatever is not understood ends the command.
    fn read(line: &str) -> Self {
        let (word, number) = line.split_once(' ').unwrap_or((line, ""));
        match (word, number.parse::<u64>()) {
            ("until", Ok(until)) => Self::Until(until),
            ("signal", Ok(number)) => i32::try_from(number).map_or(Self::End, Self::Signal),
            _ => Self::End,
        }
    }
}

/// A command that was started.
struct Kept<'a> {
    command: Pid,
    /// What it has for an orderly stop (milliseconds).
    grace: u64,
    /// Until when it may run.
    until: u64,
    /// When it was asked to stop.
    told: Option<u64>,
    /// How it ended.
    code: Option<u8>,
    heard: &'a Receiver<Heard>,
}

/// Keeps one command until nothing of it is left, and returns its code.
pub fn keep(duty: &Duty) -> Result<u8, KeepError> {
    strays::adopt().map_err(KeepError::Kernel)?;
    let (says, heard) = mpsc::channel();
    let ears = says.clone();
    thread::spawn(move || listen(&ears));
    let Ok(Heard::Word(Word::Until(until))) = heard.recv() else { return Err(KeepError::Alone) };
    if let Some(key) = &duty.key {
        key.place()?;
    }
    let code = start(&duty.command).map(|command| {
        thread::spawn(move || reap(command, &says));
        Kept { command, grace: duty.grace, until, told: None, code: None, heard: &heard }.watch()
    });
    if let Some(key) = &duty.key {
        key.wipe()?;
    }
    code
}

impl Kept<'_> {
    fn watch(mut self) -> u8 {
        loop {
            let wait = self.look(boot_time());
            match self.heard.recv_timeout(Duration::from_millis(wait)) {
                // What was asked to stop does not go on.
                Ok(Heard::Word(Word::Until(later))) if self.told.is_none() => self.until = self.until.max(later),
                Ok(Heard::Word(Word::Until(_))) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Heard::Word(Word::End)) => self.stop(),
                Ok(Heard::Word(Word::Signal(number))) => {
                    if let Some(signal) = Signal::from_named_raw(number) {
                        self.signal(signal);
                    }
                }
                Ok(Heard::Ended(code)) => self.code = Some(code),
                Ok(Heard::Empty) | Err(RecvTimeoutError::Disconnected) => return self.code.unwrap_or(0),
            }
        }
    }

    /// Does what is due, and says when to look again (milliseconds).
    fn look(&mut self, now: u64) -> u64 {
        let end = self.told.map_or(self.until, |told| told.saturating_add(self.grace).min(self.until));
        if self.code.is_some() || !lasts(end, now) {
            strays::kill_children();
            return AGAIN;
        }
        let stop = self.until.saturating_sub(self.grace);
        if self.told.is_none() && !lasts(stop, now) {
            self.stop();
        }
        let next = if self.told.is_some() { end } else { stop };
        next.saturating_sub(now).clamp(1, LOOK)
    }

    /// Asks it to stop, once.
    fn stop(&mut self) {
        if self.told.is_none() {
            self.told = Some(boot_time());
            self.signal(Signal::TERM);
        }
    }

    fn signal(&self, signal: Signal) {
        if self.code.is_none() {
            // It may have ended a moment ago; a number that has just become free is nobody else's so soon.
            let _ = kill_process_group(self.command, signal);
        }
    }
}

/// Becomes the command, which dies with the process `parent`; returns only if it cannot.
#[must_use]
pub fn become_command(command: &[OsString], parent: i32) -> KeepError {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return KeepError::Kernel(error.into());
    }
    // It may have died before the kernel was asked.
    if getppid().is_none_or(|pid| pid.as_raw_nonzero().get() != parent) {
        return KeepError::Alone;
    }
    let Some((program, arguments)) = command.split_first() else { return KeepError::Alone };
    let error = Command::new(program).args(arguments).exec();
    KeepError::Start { command: program.to_string_lossy().into_owned(), error }
}

/// Starts the command in a group of its own.
fn start(command: &[OsString]) -> Result<Pid, KeepError> {
    let name = command.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let failed = |error| KeepError::Start { command: name, error };
    let own = rustix::process::getpid().as_raw_nonzero().to_string();
    let stage = env::current_exe().and_then(|program| {
        Command::new(program)
            .args(["keep", "--below", &own, "--"])
            .args(command)
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
    });
    stage.map(|stage| Pid::from_child(&stage)).map_err(failed)
}

/// Passes on what the launcher says, and that it has ended.
fn listen(says: &Sender<Heard>) {
    for line in io::stdin().lock().lines() {
        let word = line.map_or(Word::End, |line| Word::read(&line));
        if says.send(Heard::Word(word)).is_err() || word == Word::End {
            return;
        }
    }
    let _ = says.send(Heard::Word(Word::End));
}

/// Passes on how the command ended, and when nothing is left.
fn reap(command: Pid, says: &Sender<Heard>) {
    while let Some((pid, code)) = strays::next() {
        if pid == command && says.send(Heard::Ended(code)).is_err() {
            return;
        }
    }
    let _ = says.send(Heard::Empty);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read_as_it_was_said_and_anything_else_is_the_end() {
        for word in [Word::Until(7), Word::End, Word::Signal(10)] {
            assert_eq!(Word::read(word.line().trim_end()), word);
        }
        for odd in ["", "until", "until -1", "until 7 8", "signal x", "go on"] {
            assert_eq!(Word::read(odd), Word::End);
        }
    }
}
