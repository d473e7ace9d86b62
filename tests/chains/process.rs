//! Programs, started on loopback and ended with the test.

use std::{
    env,
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A running program. It ends when this is dropped.
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

/// The program of this name: `geth`, `anvil`…, from the variable that `make` sets.
pub fn program(name: &str) -> PathBuf {
    let variable = format!("PROGRAM_{}", name.to_uppercase());
    let path = env::var(&variable).unwrap_or_else(|_| panic!("{variable} is not set: use make chains"));
    let path = PathBuf::from(path);
    assert!(path.exists(), "{} does not exist: use make chains", path.display());
    path
}

/// A port that nobody listens at now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Process {
    /// Starts a program with its output in a file of `dir`.
    pub fn start(program: &Path, args: &[&str], dir: &Path) -> Self {
        let name = program.file_name().unwrap().to_string_lossy().into_owned();
        fs::create_dir_all(dir).unwrap();
        let log = dir.join(format!("{name}-{}.log", free_port()));
        let out = File::create(&log).unwrap();
        let child = Command::new(program)
            .args(args)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap_or_else(|error| panic!("failed to start {}: {error}", program.display()));
        Self { child, name, log }
    }

    /// Runs a program to its end, and returns what it said.
    pub fn run(program: &Path, args: &[&str], dir: &Path) -> String {
        fs::create_dir_all(dir).unwrap();
        let output = Command::new(program).args(args).current_dir(dir).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{} {args:?}: {said}{complained}", program.display());
        if said.trim().is_empty() { complained } else { said }
    }

    /// The end of its log, for messages.
    pub fn tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(12).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A stopped process would never hear a gentler word.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the end of {}'s log:\n{}", self.name, self.tail());
        }
    }
}

/// Waits until something is true, and says what was waited for if it never is.
pub async fn wait_for(what: &str, most: Duration, mut is: impl AsyncFnMut() -> bool) {
    let end = tokio::time::Instant::now() + most;
    while !is().await {
        assert!(tokio::time::Instant::now() < end, "waited {} s for {what}", most.as_secs());
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// A client for the tests' own questions.
pub fn http() -> reqwest::Client {
    mainstay::telemetry::tls::install();
    reqwest::Client::builder().no_proxy().build().unwrap()
}
