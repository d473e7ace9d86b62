//! The real process of a launcher and its command: when it starts, when it ends, and what is left behind.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use mainstay::failover::{Epoch, Event, HandOver, Height, Held, Phase, Record, Timing};
use tempfile::TempDir;

use crate::rig::{ANYWHERE, Gate, POD, Server, gate, identity, refused};

const HOLD: u64 = 3_000;
const HAND_OVER: HandOver = HandOver::Launcher(Held::Command, Timing { hold: HOLD, drift: 0, margin: 0 });
/// A busy machine is late.
const SLACK: Duration = Duration::from_millis(400);

/// Says that it has started, with what it was given, and goes on for ever.
const LASTING: &str = "echo $$ $MAINSTAY_EPOCH $MAINSTAY_FLOOR >> started; while :; do sleep 0.05; done";
/// The same, and cannot be asked to end.
const STUBBORN: &str = "trap '' TERM; echo $$ >> started; while :; do sleep 0.05; done";

/// Where a launcher runs: in memory, as the key wants it.
struct Site(TempDir);

impl Site {
    fn new() -> Self {
        let site = Self(tempfile::tempdir_in("/dev/shm").unwrap());
        fs::write(site.path("secret"), "the key").unwrap();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, server: &Server, script: &str) -> Command {
        let mut command = gate(&self.path("kubeconfig"), server.port, &identity(), ANYWHERE);
        command.current_dir(self.0.path()).args(["--grace", "1", "--key-from", "secret"]);
        command.arg("--key-to").arg(self.path("key")).args(["--", "sh", "-c", script]);
        command
    }

    fn start(&self, server: &Server, script: &str) -> Gate {
        let log = fs::OpenOptions::new().append(true).create(true).open(self.path("log")).unwrap();
        Gate::of(self.command(server, script).stdout(log.try_clone().unwrap()).stderr(log))
    }

    /// A launcher whose command runs, and the number of its process.
    fn running(&self, server: &Server, script: &str) -> (Gate, u32) {
        server.offer_to(POD, HAND_OVER);
        let launcher = self.start(server, script);
        within("it starts", Duration::from_secs(20), || !self.words("started").is_empty());
        (launcher, self.words("started")[0].parse().unwrap())
    }

    fn words(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        // A line that is being written has no end yet.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.split_whitespace().map(Into::into).collect()
    }

    fn has_key(&self) -> bool {
        self.path("key").exists()
    }
}

fn within(what: &str, time: Duration, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < time, "{what}: not within {time:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process runs; one that nobody has waited for has ended all the same.
fn runs(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// The keeper of a command, which is its parent.
fn keeper(command: u32) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{command}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn send(name: &str, process: u32) {
    assert!(Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status().unwrap().success());
}

fn is_sealed(record: &Record) -> bool {
    record.sealed.is_some()
}

#[test]
fn on_a_standby_nothing_runs_and_on_the_holder_its_command_does() {
    let (server, site) = (Server::of_nobody(100), Site::new());
    server.offer_to("uid-b", HAND_OVER);
    let _launcher = site.start(&server, LASTING);
    within("it looks", Duration::from_secs(20), || server.asked.lock().unwrap().is_some());
    thread::sleep(Duration::from_secs(1));
    assert!(site.words("started").is_empty() && !site.has_key());
    assert_eq!(server.record().claims, 0);
    // The place changes hands.
    server.step(Event::Wanted { epoch: Epoch(1) });
    server.step(Event::Released { epoch: Epoch(1), uid: "uid-b".into() });
    server.offer_to(POD, HAND_OVER);
    within("it starts", Duration::from_secs(5), || !site.words("started").is_empty());
    assert_eq!(site.words("started")[1..], ["2", "100"], "its epoch and its floor");
    assert_eq!(fs::read_to_string(site.path("key")).unwrap(), "the key");
}

#[test]
fn without_an_api_server_it_is_killed_when_its_hold_ends_and_not_later() {
    let (server, site) = (Server::of_nobody(100), Site::new());
    let (launcher, command) = site.running(&server, STUBBORN);
    thread::sleep(Duration::from_secs(1));
    assert!(runs(command));
    server.hangs.store(true, Ordering::Relaxed);
    within("it ends", Duration::from_secs(10), || !runs(command));
    // The hold counts from before the question.
    let held = server.asked.lock().unwrap().unwrap().elapsed();
    println!("killed {held:?} after the last question that was answered");
    assert!(held <= Duration::from_millis(HOLD) + SLACK, "{held:?}");
    assert!(held >= Duration::from_millis(HOLD - 500), "it had time: {held:?}");
    within("the key is wiped", Duration::from_secs(1), || !site.has_key());
    // Its place is sealed as soon as somebody answers.
    assert!(!is_sealed(&server.record()));
    server.hangs.store(false, Ordering::Relaxed);
    assert_eq!(launcher.end().0, Some(137));
    assert!(is_sealed(&server.record()));
    assert_eq!(site.words("started").len(), 1);
}

#[test]
fn a_launcher_that_stands_still_takes_its_command_along() {
    let (server, site) = (Server::of_nobody(100), Site::new());
    let (launcher, command) = site.running(&server, STUBBORN);
    launcher.signal("STOP");
    thread::sleep(Duration::from_millis(200));
    within("it ends", Duration::from_secs(10), || !runs(command));
    let held = server.asked.lock().unwrap().unwrap().elapsed();
    println!("killed {held:?} after the last question, under a launcher that is stopped");
    assert!(held <= Duration::from_millis(HOLD) + SLACK, "{held:?}");
    launcher.signal("CONT");
    assert_eq!(launcher.end().0, Some(137));
    assert!(is_sealed(&server.record()) && !site.has_key());
}

#[test]
fn a_launcher_that_is_killed_takes_all_of_its_command_along() {
    let (server, site) = (Server::of_nobody(100), Site::new());
    // One that runs away from its group and its parent.
    let script = format!("setsid sh -c 'echo $$ > stray; while :; do sleep 0.05; done' & {STUBBORN}");
    let (launcher, command) = site.running(&server, &script);
    within("the stray starts", Duration::from_secs(5), || !site.words("stray").is_empty());
    let stray = site.words("stray")[0].parse().unwrap();
    let keeper = keeper(command);
    drop(launcher);
    // A second of grace, for it is asked first.
    within("all of it ends", Duration::from_secs(2), || !runs(command) && !runs(stray) && !runs(keeper));
    assert!(!site.has_key());
    assert!(!is_sealed(&server.record()), "nobody has said so");
}

#[test]
fn a_keeper_that_is_killed_takes_its_command_along_and_the_place_is_sealed() {
    let (server, site) = (Server::of_nobody(100), Site::new());
    let script = format!("setsid sh -c 'echo $$ > stray; while :; do sleep 0.05; done' & {STUBBORN}");
    let (launcher, command) = site.running(&server, &script);
    within("the stray starts", Duration::from_secs(5), || !site.words("stray").is_empty());
    let stray = site.words("stray")[0].parse().unwrap();
    send("KILL", keeper(command));
    within("all of it ends", Duration::from_secs(2), || !runs(command) && !runs(stray));
    assert_eq!(launcher.end().0, Some(137));
    assert!(is_sealed(&server.record()) && !site.has_key());
}

#[test]
fn a_keeper_that_stands_still_is_killed_and_its_command_with_it() {
    let (server, site) = (Server::of_nobody(100), Site::new());
    let (_launcher, command) = site.running(&server, STUBBORN);
    send("STOP", keeper(command));
    server.hangs.store(true, Ordering::Relaxed);
    within("it ends", Duration::from_secs(10), || !runs(command));
    let held = server.asked.lock().unwrap().unwrap().elapsed();
    println!("killed {held:?} after the last question, under a keeper that is stopped");
    assert!(held <= Duration::from_millis(HOLD + 1_000) + SLACK, "{held:?}");
}

#[test]
fn a_second_process_of_the_pod_starts_nothing() {
    let (server, site) = (Server::of_nobody(100), Site::new());
    let (first, command) = site.running(&server, LASTING);
    let second = Site::new();
    let other = second.start(&server, LASTING);
    thread::sleep(Duration::from_secs(2));
    assert!(runs(command) && second.words("started").is_empty());
    assert_eq!(server.record().claims, 1);
    // Nor when the first was killed, for nobody saw its command end.
    drop(first);
    thread::sleep(Duration::from_millis(HOLD + 1_000));
    assert!(second.words("started").is_empty() && server.record().claims == 1);
    // What an operator sees is a container that does not stay up.
    assert_eq!(other.end().0, Some(2));
    let log = fs::read_to_string(second.path("log")).unwrap();
    assert!(log.contains("delete the pod"), "{log}");
    assert!(!is_sealed(&server.record()));
}

#[test]
fn told_to_end_it_lets_its_command_stop_and_seals() {
    let (server, site) = (Server::of_nobody(100), Site::new());
    let script = "trap 'echo asked > asked; exit 7' TERM; echo $$ > started; while :; do sleep 0.05; done";
    let (launcher, command) = site.running(&server, script);
    launcher.signal("TERM");
    let (code, took) = launcher.end();
    assert_eq!(code, Some(7), "{}", fs::read_to_string(site.path("log")).unwrap());
    println!("ended after {took:?}");
    assert!(!runs(command) && site.words("asked") == ["asked"] && !site.has_key());
    let record = server.record();
    assert_eq!((record.sealed, matches!(record.phase, Phase::Active(_))), (Some(Height(100)), true));
}

#[test]
fn a_command_that_ends_by_itself_ends_its_epoch_and_the_next_process_has_the_next_one() {
    let (server, site) = (Server::of_nobody(100), Site::new());
    let (launcher, _) = site.running(&server, "echo $$ >> started; sleep 0.3; exit 3");
    assert_eq!(launcher.end().0, Some(3));
    assert!(is_sealed(&server.record()));
    server.step(Event::Wanted { epoch: Epoch(1) });
    server.step(Event::Found { proof: None, share: mainstay::failover::Share::Unknown, waited: 0 });
    server.offer_to(POD, HAND_OVER);
    let _next = site.start(&server, LASTING);
    within("it starts again", Duration::from_secs(5), || site.words("started").len() == 4);
    assert_eq!(site.words("started")[2..], ["2", "100"]);
}

#[test]
fn a_place_that_is_revoked_is_left_and_sealed() {
    let (server, site) = (Server::of_nobody(100), Site::new());
    let (launcher, command) = site.running(&server, LASTING);
    server.step(Event::Wanted { epoch: Epoch(1) });
    let begun = Instant::now();
    within("it ends", Duration::from_secs(5), || !runs(command));
    assert_eq!(launcher.end().0, Some(143));
    println!("revoked, ended and sealed after {:?}", begun.elapsed());
    let record = server.record();
    assert!(is_sealed(&record) && matches!(record.phase, Phase::Revoking { .. }));
}

#[test]
fn other_signals_are_the_commands() {
    let (server, site) = (Server::of_nobody(100), Site::new());
    let script = "trap 'echo hup >> heard' HUP; trap 'echo usr1 >> heard' USR1; echo $$ > started; \
                  while :; do sleep 0.05; done";
    let (launcher, command) = site.running(&server, script);
    launcher.signal("HUP");
    within("it hears", Duration::from_secs(5), || site.words("heard") == ["hup"]);
    launcher.signal("USR1");
    within("it hears", Duration::from_secs(5), || site.words("heard") == ["hup", "usr1"]);
    assert!(runs(command));
}

#[test]
fn what_cannot_be_started_seals_too_and_a_key_is_not_written_to_a_disk() {
    let (server, site) = (Server::of_nobody(100), Site::new());
    server.offer_to(POD, HAND_OVER);
    let mut command = gate(&site.path("kubeconfig"), server.port, &identity(), ANYWHERE);
    command.args(["--", "/no/such/program"]);
    let launcher = Gate::of(&mut command);
    assert_eq!(launcher.end().0, Some(2));
    assert!(is_sealed(&server.record()));
    let mut command = gate(&site.path("kubeconfig"), server.port, &identity(), ANYWHERE);
    command.args(["--key-from", "/from", "--key-to", "/proc/key", "--", "true"]);
    let said = refused(&mut command);
    assert!(said.contains("medium Memory"), "{said}");
}
