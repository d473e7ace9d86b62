//! What watching costs: a thousand pages of a hundred samples every five seconds beside Prometheus on the same pages, how
//! many probes one core can make, and how much room ten thousand targets take.
//!
//! Everything runs on loopback, each part in a process of its own, so that its processor time is its own. `PROMETHEUS`
//! names the rival.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, missing_docs)]
// Rates for people.
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
#![allow(clippy::cast_possible_wrap)]

use std::{
    env,
    fmt::Write as _,
    fs,
    net::Ipv4Addr,
    process::{Child, Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use axum::{Router, http::header, routing::get};
use mainstay::{
    api::{
        Network, NodeHealthPolicy,
        policy::{Exporter, PortName},
    },
    policy::{Source as Asked, SourceKind, validate, validate_network},
    signal::{Mono, Poll, Signal, Value},
    telemetry::{AnySource, Client, Expected, Probe, Runner, Source, SystemClock, address::Reach},
    world::{Key, PodView, TargetKey, World},
};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

const TARGETS: usize = 1000;
const EVERY: Duration = Duration::from_secs(5);
const WARM_UP: Duration = Duration::from_secs(12);
const MEASURED: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["scrape", port] => runtime(1, scrape(port.parse().unwrap())),
        ["probe", port, way] => runtime(1, probe(port.parse().unwrap(), way)),
        ["memory"] => memory(),
        [] => return runtime(2, measure()),
        _ => eprintln!("no arguments: the parts are started by the whole"),
    }
    ExitCode::SUCCESS
}

fn runtime<T>(workers: usize, task: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    runtime.unwrap().block_on(task)
}

async fn measure() -> ExitCode {
    let Ok(prometheus) = env::var("PROMETHEUS") else {
        eprintln!("name the rival: PROMETHEUS=$(command -v prometheus)");
        return ExitCode::from(2);
    };
    let served = Arc::new(AtomicU64::new(0));
    let port = serve(Arc::clone(&served)).await;
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load before: {}", load.split(' ').take(3).collect::<Vec<_>>().join(" "));

    let dir = tempfile::tempdir().unwrap();
    let targets: Vec<String> = (0..TARGETS).map(|index| format!("'{}:{port}'", address(index))).collect();
    let config = format!(
        "global: {{scrape_interval: 5s}}\nscrape_configs:\n- job_name: nodes\n  static_configs:\n  - targets: [{}]\n",
        targets.join(",")
    );
    fs::write(dir.path().join("prometheus.yml"), config).unwrap();
    let theirs = {
        let mut command = Command::new(&prometheus);
        command.args([
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            "--web.listen-address=127.0.0.1:0",
        ]);
        cost(command.current_dir(dir.path()), &served).await
    };
    let ours = cost(&mut part(&["scrape", &port.to_string()]), &served).await;
    let version = Command::new(&prometheus).arg("--version").output().unwrap();
    let version =
        String::from_utf8_lossy(if version.stdout.is_empty() { &version.stderr } else { &version.stdout })
            .into_owned();
    println!("rival: {}", version.lines().next().unwrap_or_default());
    println!(
        "{TARGETS} pages of 100 samples every {} s, {} s measured after {} s:",
        EVERY.as_secs(),
        MEASURED.as_secs(),
        WARM_UP.as_secs()
    );
    println!("  prometheus  {theirs:>7.0} µs of processor time per scrape");
    println!("  mainstay    {ours:>7.0} µs, {:.2} of it (promised at most 0.33)", ours / theirs);

    let mut fine = ours <= theirs / 3.0;
    for (way, promised) in [("close", 7_000.0), ("keep", 15_000.0)] {
        let output = part(&["probe", &port.to_string(), way]).output().unwrap();
        let rate: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(0.0);
        println!("probes a second and core, {way}: {rate:.0} (promised {promised})");
        fine &= rate >= promised;
    }
    let output = part(&["memory"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    print!("{text}");
    fine &= text.contains("MiB resident") && !text.contains("TOO MUCH");
    ExitCode::from(u8::from(!fine))
}

/// This program again, as one of its parts.
fn part(args: &[&str]) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(args);
    command
}

/// Microseconds of processor time per scrape of a program, measured after it has settled.
async fn cost(command: &mut Command, served: &AtomicU64) -> f64 {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    tokio::time::sleep(WARM_UP).await;
    let (before, from) = (processor_time(&child), served.load(Relaxed));
    tokio::time::sleep(MEASURED).await;
    let (after, to) = (processor_time(&child), served.load(Relaxed));
    let _ = child.kill();
    let _ = child.wait();
    (after - before) * 1e6 / (to - from).max(1) as f64
}

/// Seconds of processor time of a process, in user and kernel mode.
fn processor_time(child: &Child) -> f64 {
    ticks(&format!("/proc/{}/stat", child.id())) / 100.0
}

fn ticks(path: &str) -> f64 {
    let stat = fs::read_to_string(path).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    ticks(11) + ticks(12)
}

/// Every target has an address of its own; all of them are this machine.
fn address(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 1, (index / 250) as u8, (index % 250) as u8 + 1)
}

/// Serves pages of a hundred samples at every address of loopback, and a small answer for probes.
async fn serve(served: Arc<AtomicU64>) -> u16 {
    let mut page = String::from(
        "# TYPE cometbft_consensus_height gauge\ncometbft_consensus_height{chain_id=\"hub\"} 81204\n",
    );
    for index in 0..99 {
        let _ = writeln!(
            page,
            "cometbft_something_of_interest_{index}{{chain_id=\"hub\",channel=\"c-{index}\"}} {index}.5"
        );
    }
    let page: &'static str = page.leak();
    let count = move |body: &'static str| {
        let served = Arc::clone(&served);
        move || {
            let served = Arc::clone(&served);
            async move {
                served.fetch_add(1, Relaxed);
                ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], body)
            }
        }
    };
    let close = || async { ([(header::CONNECTION, "close")], "{\"height\":1}") };
    let router = Router::new()
        .route("/metrics", get(count(page)))
        .route("/keep", get(|| async { "{\"height\":1}" }))
        .route("/close", get(close));
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

fn source(client: &Client, kind: SourceKind, base: &str) -> AnySource {
    let asked = Asked { name: "x".into(), kind, every: 5_000, timeout: 5_000 };
    let family = mainstay::api::Family::Other;
    AnySource::with(&asked, client, family, &[], Expected::any(), &|_: &PortName| Ok(base.to_owned())).unwrap()
}

/// The operator's own runner over a thousand pages.
async fn scrape(port: u16) {
    let client = Client::new(Reach::Anywhere, &[]).unwrap();
    let (out, mut polls) = mpsc::channel(1024);
    let runner = Runner::new(Arc::new(SystemClock::start()), out, 256);
    for index in 0..TARGETS {
        let kind = SourceKind::Scrape {
            port: PortName::Number(1),
            path: "/metrics".into(),
            reads: Some(Exporter::CometBFT),
            picks: Vec::new(),
        };
        let source = source(&client, kind, &format!("http://{}:{port}", address(index)));
        let asks = watch::channel(Arc::from([])).1;
        tokio::spawn(runner.run(Probe { key: index, source, every: EVERY, asks }, CancellationToken::new()));
    }
    while let Some((_, poll)) = polls.recv().await {
        assert!(!poll.values.is_empty());
    }
}

/// Probes as fast as they go; prints how many a second of processor time makes.
async fn probe(port: u16, way: &str) {
    let client = Client::new(Reach::Anywhere, &[]).unwrap();
    let done = Arc::new(AtomicU64::new(0));
    for index in 0..32 {
        let pick = mainstay::policy::Pick {
            signal: Signal::Head,
            at: "/height".into(),
            labels: Vec::new(),
            combine: None,
        };
        let kind = SourceKind::HttpJson { port: PortName::Number(1), path: format!("/{way}"), picks: vec![pick] };
        let mut source = source(&client, kind, &format!("http://{}:{port}", address(index)));
        let (done, clock) = (Arc::clone(&done), SystemClock::start());
        tokio::spawn(async move {
            loop {
                let poll = source.poll(&clock, &[]).await;
                assert!(poll.values.iter().all(|(_, value)| value.is_ok()), "{poll:?}");
                done.fetch_add(1, Relaxed);
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (before, from) = (ticks("/proc/self/stat"), done.load(Relaxed));
    tokio::time::sleep(Duration::from_secs(6)).await;
    let spent = (ticks("/proc/self/stat") - before) / 100.0;
    println!("{:.0}", (done.load(Relaxed) - from) as f64 / spent);
}

/// Ten thousand targets with fifty signals each.
fn memory() {
    const MANY: usize = 10_000;
    let signals: Vec<String> = (0..48).map(|index| format!("custom/s{index}")).collect();
    let picks: Vec<_> =
        signals.iter().map(|signal| json!({"signal": signal, "metric": signal.replace('/', "_")})).collect();
    let network: Network = serde_json::from_value(json!({
        "apiVersion": "mainstay.dev/v1alpha1", "kind": "Network", "metadata": {"name": "net", "uid": "net"},
        "spec": {"family": "Other", "chainId": "x", "allowedNamespaces": ["n"]},
    }))
    .unwrap();
    let policies = (0..100).map(|index| {
        let sources: Vec<_> = picks
            .chunks(16)
            .enumerate()
            .map(|(part, picks)| json!({"name": format!("m{part}"), "scrape": {"port": 1}, "signals": picks}))
            .collect();
        let object: NodeHealthPolicy = serde_json::from_value(json!({
            "apiVersion": "mainstay.dev/v1alpha1", "kind": "NodeHealthPolicy",
            "metadata": {"name": format!("p{index}"), "namespace": "n", "uid": format!("p{index}"), "generation": 1},
            "spec": {
                "network": "net", "role": "FullNode", "selector": {"matchLabels": {"p": index.to_string()}},
                "telemetry": sources,
                "rules": [{"name": "a", "signal": "custom/s1", "above": 5, "for": "1m"}],
            },
        }))
        .unwrap();
        validate(&object, mainstay::api::Family::Other).unwrap()
    });
    let pods: Vec<Arc<PodView>> = (0..MANY)
        .map(|index| {
            let pod: PodView = serde_json::from_value(json!({
                "metadata": {"name": format!("pod-{index}"), "namespace": "n", "uid": format!("uid-{index}"),
                    "labels": {"p": (index % 100).to_string()}},
                "spec": {"containers": []}, "status": {"phase": "Running", "podIP": "10.0.0.1"},
            }))
            .unwrap();
            Arc::new(pod)
        })
        .collect();
    let mut world = World::default();
    let network = validate_network(&network).unwrap();
    drop(world.sync(vec![network], policies.collect(), &pods, Mono(0), Mono(0)));
    let begun = Instant::now();
    for round in 1..4_u64 {
        let at = Mono(round * 5_000);
        for index in 0..MANY {
            let policy = Key { namespace: "n".into(), name: format!("p{}", index % 100) };
            let target = TargetKey { policy, uid: format!("uid-{index}") };
            for part in 0..3 {
                let values = signals[part * 16..(part + 1) * 16]
                    .iter()
                    .map(|name| (Signal::named(name).unwrap(), Ok(Value::Micros(1_000_000 * round as i64))));
                let common =
                    [(Signal::Reachable, Ok(Value::Whole(1))), (Signal::RpcLatency, Ok(Value::Micros(900)))];
                let values = values.chain(common).collect();
                let poll = Poll { asked_at: at, observed_at: at, values, ..Poll::default() };
                world.file(&target, &format!("m{part}"), &poll, at);
            }
        }
    }
    let filed = MANY as f64 * 9.0 / begun.elapsed().as_secs_f64();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = resident.trim().trim_end_matches("kB").trim().parse().unwrap();
    let verdict = if kib <= 200 * 1024 { "" } else { ": TOO MUCH" };
    println!("{MANY} targets with 50 signals: {} MiB resident (promised at most 200){verdict}", kib / 1024);
    println!("polls filed and judged a second: {filed:.0}");
    drop(world);
}
