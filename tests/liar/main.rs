//! A node's RPC port behind which nothing is right: `liar MODE` answers every request on port 26657 in one of the
//! ways of [`Mode`], until its standard input ends.

#![allow(clippy::disallowed_methods)]

use std::{
    io::{BufRead, BufReader, Read, Write, stdin},
    net::{TcpListener, TcpStream},
    process::ExitCode,
    thread,
    time::Duration,
};

/// The ways to answer.
#[derive(Clone, Copy)]
enum Mode {
    /// A page for people.
    Html,
    /// An error, with HTTP 200.
    Error,
    /// An answer without what was asked for.
    Missing,
    /// 1 GiB.
    Huge,
    /// One byte a second.
    Drip,
    /// 100 000 brackets deep.
    Nested,
}

fn main() -> ExitCode {
    let mode = match std::env::args().nth(1).as_deref() {
        Some("html") => Mode::Html,
        Some("error") => Mode::Error,
        Some("missing") => Mode::Missing,
        Some("huge") => Mode::Huge,
        Some("drip") => Mode::Drip,
        Some("nested") => Mode::Nested,
        _ => {
            eprintln!("usage: liar html|error|missing|huge|drip|nested");
            return ExitCode::from(2);
        }
    };
    let listener = match TcpListener::bind(("0.0.0.0", 26657)) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("port 26657: {error}");
            return ExitCode::FAILURE;
        }
    };
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever asks hangs up when it has had enough; that is the point.
            thread::spawn(move || drop(lie(&stream, mode)));
        }
    });
    // Lives as long as whoever started it.
    drop(stdin().read_to_end(&mut Vec::new()));
    ExitCode::SUCCESS
}

fn lie(stream: &TcpStream, mode: Mode) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut asked = false;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line.trim().is_empty() {
                break;
            }
            asked = true;
        }
        if asked {
            answer(stream, mode)?;
        }
    }
}

fn answer(mut stream: &TcpStream, mode: Mode) -> std::io::Result<()> {
    let whole = |kind: &str, body: &str| {
        format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let json = |body: &str| whole("application/json", body);
    match mode {
        Mode::Html => stream.write_all(whole("text/html", "<html><body>502 Bad Gateway</body></html>").as_bytes()),
        Mode::Error => stream.write_all(
            json(r#"{"jsonrpc":"2.0","id":-1,"error":{"code":-32603,"message":"Internal error"}}"#).as_bytes(),
        ),
        Mode::Missing => {
            stream.write_all(json(r#"{"jsonrpc":"2.0","id":-1,"result":{"sync_info":{}}}"#).as_bytes())
        }
        Mode::Nested => stream.write_all(json(&"[".repeat(100_000)).as_bytes()),
        Mode::Huge => {
            const GIB: usize = 1 << 30;
            let chunk = vec![b' '; 1 << 16];
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {GIB}\r\n\r\n")?;
            for _ in 0..GIB / chunk.len() {
                stream.write_all(&chunk)?;
            }
            Ok(())
        }
        Mode::Drip => {
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n")?;
            for _ in 0..100_000 {
                stream.write_all(b" ")?;
                thread::sleep(Duration::from_secs(1));
            }
            Ok(())
        }
    }
}
