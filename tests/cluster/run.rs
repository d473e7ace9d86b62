//! Running other programs, and failures that say what was wrong, where, and what to do.
use std::fmt::{self, Display};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// Why a command of the launcher gave up.
#[derive(Debug)]
pub struct Failure {
    message: String,
    code: u8,
}

/// The launcher's result.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// The user has to change something before this can work: exit code 2.
    pub fn refused(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 2 }
    }

    /// The exit code for this failure.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self { message, code: 1 }
    }
}

impl From<&str> for Failure {
    fn from(message: &str) -> Self {
        message.to_owned().into()
    }
}

/// Adds what was being done to an error.
pub trait Context<T> {
    /// Puts `what` before the error.
    fn context(self, what: impl Display) -> Result<T>;
}

impl<T, E: Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl Display) -> Result<T> {
        self.map_err(|error| format!("{what}: {error}").into())
    }
}

/// Writes a file and names it when that fails.
pub fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    std::fs::write(path, content).context(format_args!("writing {}", path.display()))
}

/// Makes a folder with its parents and names it when that fails.
pub fn make_dir(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).context(format_args!("making {}", path.display()))
}

/// A command with arguments.
pub fn command<S: AsRef<std::ffi::OsStr>>(
    program: impl AsRef<std::ffi::OsStr>,
    args: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

/// Splits a line at its blanks into a command: for fixed lines without quoting.
pub fn line(text: &str) -> Command {
    let mut words = text.split_whitespace();
    command(words.next().unwrap_or_default(), words)
}

/// Runs a command to its end and returns its standard output.
pub fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let done = command.stdin(Stdio::null()).output().context(format_args!("starting `{shown}`"))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&done.stderr);
    Err(format!("`{shown}` failed ({}): {}", done.status, stderr.trim()).into())
}

/// Runs a command with `input` on its standard input and returns its standard output.
pub fn feed(command: &mut Command, input: &[u8]) -> Result<String> {
    use std::io::Write;
    let shown = shown(command);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context(format_args!("starting `{shown}`"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input).context(format_args!("writing to `{shown}`"))?;
    }
    let done = child.wait_with_output().context(format_args!("waiting for `{shown}`"))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&done.stderr);
    Err(format!("`{shown}` failed ({}): {}", done.status, stderr.trim()).into())
}

/// Runs a fixed line to its end.
pub fn run(text: &str) -> Result<()> {
    output(&mut line(text)).map(drop)
}

/// Asks `ready` again and again until it gives something, or fails with its last complaint.
pub fn wait_for<T>(what: &str, limit: Duration, mut ready: impl FnMut() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        match ready() {
            Ok(value) => return Ok(value),
            Err(error) if start.elapsed() > limit => {
                return Err(format!("{what}: not after {} s: {error}", limit.as_secs()).into());
            }
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}

/// The last lines of a log, indented, for an error message.
pub fn tail(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let start = lines.len().saturating_sub(15);
    lines.get(start..).unwrap_or_default().join("\n  ")
}

fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}
