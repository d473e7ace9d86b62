//! Many targets: none disturbs another.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use mainstay::{
    signal::{Mono, Poll, Signal, Unknown, Value, Wall},
    telemetry::{Asks, Clock, Probe, Runner, SIMULTANEOUS_POLLS, Source},
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{clock, garbage, hostile::Server, node, of};

const EVERY: Duration = Duration::from_secs(1);

/// Virtual time.
struct Virtual(Instant);

impl Clock for Virtual {
    fn mono(&self) -> Mono {
        Mono(u64::try_from(self.0.elapsed().as_millis()).unwrap())
    }

    fn wall(&self) -> Wall {
        Wall(0)
    }
}

/// A source that takes a while, or panics.
#[derive(Clone, Default)]
struct Toy {
    takes: Duration,
    panics: bool,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

/// Counts a poll as long as it is under way, however it ends.
struct UnderWay<'a>(&'a Toy);

impl<'a> UnderWay<'a> {
    fn begin(toy: &'a Toy) -> Self {
        toy.most.fetch_max(toy.now.fetch_add(1, SeqCst) + 1, SeqCst);
        Self(toy)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, SeqCst);
    }
}

impl Source for Toy {
    fn signals(&self) -> &[Signal] {
        &[Signal::Head]
    }

    async fn poll(&mut self, clock: &dyn Clock, _asks: &[u64]) -> Poll {
        let asked_at = clock.mono();
        let _under_way = UnderWay::begin(self);
        assert!(!self.panics, "as told");
        tokio::time::sleep(self.takes).await;
        Poll {
            asked_at,
            observed_at: clock.mono(),
            values: vec![(Signal::Head, Ok(Value::Whole(7)))],
            ..Poll::default()
        }
    }
}

/// Nobody asks for blocks.
fn asks() -> Asks {
    watch::channel(Arc::from([])).1
}

/// Runs toys for so many virtual seconds; the polls of each.
async fn run(toys: Vec<Toy>, simultaneous: usize, seconds: u64) -> BTreeMap<usize, Vec<Poll>> {
    let (out, mut polls) = mpsc::channel(16);
    let runner = Runner::new(Arc::new(Virtual(Instant::now())), out, simultaneous);
    let stop = CancellationToken::new();
    for (key, source) in toys.into_iter().enumerate() {
        tokio::spawn(runner.run(Probe { key, source, every: EVERY, asks: asks() }, stop.clone()));
    }
    drop(runner);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        stop.cancel();
    });
    let mut told: BTreeMap<usize, Vec<Poll>> = BTreeMap::new();
    // Ends when the last probe has ended and dropped its sender.
    while let Some((key, poll)) = polls.recv().await {
        told.entry(key).or_default().push(poll);
    }
    told
}

#[tokio::test(start_paused = true)]
async fn every_target_is_polled_once_per_interval_and_not_all_at_once() {
    let told = run(vec![Toy::default(); 1000], SIMULTANEOUS_POLLS, 10).await;
    assert_eq!(told.len(), 1000);
    assert!(told.values().all(|polls| (9..=11).contains(&polls.len())));
    let mut at: BTreeMap<u64, usize> = BTreeMap::new();
    for poll in told.values().flatten() {
        *at.entry(poll.asked_at.0 % 1000).or_default() += 1;
    }
    // A hundred places in the interval: ten targets at each, in ten rounds, and as uneven as chance has it.
    assert!(at.len() >= 90 && at.values().all(|fired| *fired <= 250), "most at once: {:?}", at.values().max());
}

/// T02
#[tokio::test(start_paused = true)]
async fn a_slow_poll_skips_ticks_and_never_runs_twice_at_once() {
    let slow = Toy { takes: Duration::from_millis(2_500), ..Toy::default() };
    let told = run(vec![slow.clone()], SIMULTANEOUS_POLLS, 30).await;
    assert_eq!(slow.most.load(SeqCst), 1);
    let polls = &told[&0];
    assert!((9..=10).contains(&polls.len()), "{}", polls.len());
    assert!(polls.windows(2).all(|pair| pair[1].asked_at.since(pair[0].asked_at) == 3_000));
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_panics_is_one_failed_poll() {
    let bad = Toy { panics: true, ..Toy::default() };
    let told = run(vec![bad, Toy::default()], SIMULTANEOUS_POLLS, 10).await;
    assert!(told[&0].len() >= 9 && told[&1].len() >= 9);
    for poll in &told[&0] {
        assert_eq!(of(poll, Signal::Head), &Err(Unknown::OurSide("the probe panicked: as told".into())));
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_turn_is_not_held_against_the_target() {
    let toy = Toy { takes: Duration::from_millis(900), ..Toy::default() };
    let told = run(vec![toy.clone(); 8], 2, 30).await;
    assert_eq!(toy.most.load(SeqCst), 2);
    assert_eq!(told.len(), 8);
    for poll in told.values().flatten() {
        assert_eq!(poll.observed_at.since(poll.asked_at), 900);
    }
    // Turns are taken in order, so nobody starves.
    let (least, most) = (told.values().map(Vec::len).min(), told.values().map(Vec::len).max());
    assert!(most.unwrap() - least.unwrap() <= 2, "{least:?} {most:?}");
}

#[tokio::test(start_paused = true)]
async fn probes_end_when_nobody_listens() {
    let (out, polls) = mpsc::channel(1);
    let runner = Runner::new(Arc::new(Virtual(Instant::now())), out, 1);
    let probe = Probe { key: 0, source: Toy::default(), every: EVERY, asks: asks() };
    drop(polls);
    tokio::time::timeout(10 * EVERY, runner.run(probe, CancellationToken::new())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_hung_poll_is_dropped_when_the_probe_is_stopped() {
    let hung = Toy { takes: Duration::from_secs(1 << 20), ..Toy::default() };
    let told = run(vec![hung], 1, 5).await;
    assert!(told.is_empty());
}

/// Every row of the table beside healthy nodes, over real sockets: each bad node gives its one reason per poll, and
/// the healthy ones go on at their pace.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_neighbours_cost_only_themselves() {
    let (out, mut polls) = mpsc::channel(16);
    let runner = Runner::new(Arc::new(clock()), out, SIMULTANEOUS_POLLS);
    let stop = CancellationToken::new();
    let mut servers = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for (row, act, _) in garbage::table() {
        servers.push(Server::start(move |_| act.clone()).await);
        names.push(row.to_owned());
    }
    for healthy in 0..3 {
        servers.push(Server::healthy().await);
        names.push(format!("healthy {healthy}"));
    }
    for (server, key) in servers.iter().zip(&names) {
        // Only the hostile ones may run out of time, however busy the machine of the test is.
        let timeout = if key.starts_with("healthy") { 20_000 } else { 400 };
        let source = node(server.address, Duration::from_millis(timeout));
        tokio::spawn(runner.run(
            Probe { key: key.clone(), source, every: Duration::from_millis(500), asks: asks() },
            stop.clone(),
        ));
    }
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    let rounds = async {
        while told.len() < names.len() || told.values().any(|polls| *polls < 4) {
            let (key, poll) = polls.recv().await.unwrap();
            let healthy = key.starts_with("healthy");
            assert_eq!(of(&poll, Signal::Head).is_ok(), healthy, "{key}: {poll:?}");
            *told.entry(key).or_default() += 1;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), rounds).await.expect("a target was starved");
    stop.cancel();
    // Nobody was kept waiting for a neighbour: when the slowest had 4 polls, the others had not many more.
    let (least, most) = (told.values().min().unwrap(), told.values().max().unwrap());
    assert!(most - least <= 12, "{told:?}");
}
