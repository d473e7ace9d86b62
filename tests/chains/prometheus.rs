//! A real Prometheus that scrapes a real node.

use std::{fs, time::Duration};

use mainstay::{
    signal::{Signal, Unknown, Value},
    telemetry::{Client, Prometheus, Query, SystemClock, address::Reach},
};

use crate::{
    ethereum::answers,
    process::{Process, free_port, program, wait_for},
};

#[ignore = "needs geth and prometheus: make chains"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_query_tells_every_target_and_how_old_its_sample_is() {
    let dir = tempfile::tempdir().unwrap();
    let (rpc, metrics, port) = (free_port(), free_port(), free_port());
    let (at, page) = (rpc.to_string(), metrics.to_string());
    let args =
        ["--dev", "--dev.period", "1", "--http", "--http.port", &at, "--metrics", "--metrics.addr", "127.0.0.1"];
    let more = ["--metrics.port", &page, "--ipcdisable", "--port", "0", "--authrpc.port", "0"];
    let geth = Process::start(&program("geth"), &[&args[..], &more].concat(), &dir.path().join("geth"));
    answers(rpc).await;
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: nodes\n  metrics_path: /debug/metrics/prometheus\n  \
         static_configs:\n  - targets: ['127.0.0.1:{metrics}']\n    labels: {{namespace: eth, pod: geth-0}}\n  \
         - targets: ['127.0.0.1:1']\n    labels: {{namespace: eth, pod: gone-0}}\n"
    );
    fs::write(dir.path().join("prometheus.yml"), config).unwrap();
    let listen = format!("--web.listen-address=127.0.0.1:{port}");
    let args = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", &listen];
    let _prometheus = Process::start(&program("prometheus"), &args, dir.path());

    let client = Client::new(Reach::Anywhere, &[]).unwrap();
    let server = Prometheus::new(client, &format!("http://127.0.0.1:{port}"), None);
    let query = Query {
        text: "chain_head_block{namespace=\"$namespace\"}".into(),
        namespace: "eth".into(),
        target_label: "pod".into(),
        signal: Signal::Head,
        stale_after: 5_000,
        timeout: Duration::from_secs(5),
    };
    let targets = ["geth-0".to_owned(), "gone-0".to_owned()];
    let clock = SystemClock::start();
    let head = async || server.ask(&query, &targets, &clock).await[0].1.values[0].1.clone();
    wait_for("a sample", Duration::from_secs(60), async || head().await.is_ok()).await;
    let told = server.ask(&query, &targets, &clock).await;
    assert!(matches!(told[0].1.values[0].1, Ok(Value::Whole(0..))));
    assert!(matches!(&told[1].1.values[0].1, Err(Unknown::Invalid(why)) if why.contains("gone-0")));
    let history = async || server.history(&query, Duration::from_secs(600), &clock).await.unwrap();
    // It ends at the last whole second, and the first sample may be younger.
    wait_for("a history", Duration::from_secs(60), async || !history().await.is_empty()).await;
    let history = history().await;
    assert!(!history["geth-0"].is_empty() && !history.contains_key("gone-0"));
    // Prometheus goes on showing the last sample for five minutes; we do not believe it for so long.
    drop(geth);
    wait_for("the sample to be too old", Duration::from_secs(60), async || {
        matches!(head().await, Err(Unknown::Stale(_) | Unknown::Invalid(_)))
    })
    .await;
}
