//! Any page of metrics: well-known names of known software, and names that a policy picks.
//!
//! A poll is one GET. The page is read as it arrives and needs no room of its own; up to 16 MiB are read. A metric that
//! is not on the page is not offered.

use std::{sync::Arc, time::Duration};

use super::{
    ask::Trouble,
    client::{Client, Deadline, Piece},
    clock::Clock,
    exposition::{self, Format, LONGEST_LINE, Reader, Sink, Summary},
    extract::{Extract, Kept},
    report::Report,
    source::Source,
    text::excerpt,
};
use crate::{
    api::policy::Exporter,
    policy::Pick,
    signal::{Mono, Poll, Signal, Unknown, Wall},
};

/// How much of a page is read (bytes).
pub const PAGE_CAP: usize = 16 * 1024 * 1024;

const ACCEPT: &str = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1";

/// The metrics of one target.
#[derive(Clone, Debug)]
pub struct Scrape {
    client: Client,
    url: Result<String, Unknown>,
    timeout: Duration,
    signals: Arc<[Signal]>,
    reads: Option<Exporter>,
    extract: Arc<Extract>,
    /// What is remembered from one page to the next.
    kept: Kept,
}

/// What pages of metrics tell, one after the other: the part of a scrape that needs no network.
#[derive(Clone, Debug)]
pub struct Gauger {
    extract: Arc<Extract>,
    kept: Kept,
}

impl Gauger {
    /// For pages of this software.
    #[must_use]
    pub fn new(reads: Exporter) -> Self {
        let extract = Extract::new(Some(reads), &[]);
        let kept = extract.nothing_kept();
        Self { extract: Arc::new(extract), kept }
    }

    /// The signals of one page, and what became of its lines.
    pub fn page(&mut self, page: &[u8], format: Format, now: Mono, wall: Wall) -> (Poll, Summary) {
        let mut found = self.extract.page(wall);
        let summary = exposition::read(page, format, &mut found);
        let values = found.values(&mut self.kept, now, wall);
        (Poll { asked_at: now, observed_at: now, values, ..Poll::default() }, summary)
    }
}

/// Cuts a page that arrives in pieces into whole lines.
pub(super) struct Lines<'a, S> {
    reader: Reader,
    sink: &'a mut S,
    /// The beginning of a line whose end has not arrived.
    partial: Vec<u8>,
    /// The rest of a line that is too long.
    skipping: bool,
}

impl Scrape {
    /// The page at `base` and `path`.
    #[must_use]
    pub fn new(
        client: Client,
        base: Result<String, Unknown>,
        path: &str,
        timeout: Duration,
        reads: Option<Exporter>,
        picks: &[Pick],
        signals: Vec<Signal>,
    ) -> Self {
        let extract = Extract::new(reads, picks);
        let kept = extract.nothing_kept();
        Self {
            client,
            url: base.map(|base| format!("{base}{path}")),
            timeout,
            signals: signals.into(),
            reads,
            extract: Arc::new(extract),
            kept,
        }
    }
}

impl Source for Scrape {
    fn signals(&self) -> &[Signal] {
        &self.signals
    }

    async fn poll(&mut self, clock: &dyn Clock, _asks: &[u64]) -> Poll {
        let signals = Arc::clone(&self.signals);
        let mut report = Report::begin(&signals, clock);
        let url = match &self.url {
            Ok(url) => url,
            Err(why) => return report.unasked(why),
        };
        let mut page = self.extract.page(clock.wall());
        let mut lines = Lines::new(Format::Text, &mut page);
        let deadline = Deadline::within(self.timeout);
        let mut on = |piece: Piece<'_>| match piece {
            Piece::ContentType(what) => lines.format(Format::of(what)),
            Piece::Body(bytes) => lines.piece(bytes),
        };
        let told = self.client.stream(url, ACCEPT, deadline, PAGE_CAP, &mut on).await;
        let summary = lines.finish();
        let checked = told.map_err(Trouble::Failed).and_then(|(status, latency)| {
            if status != 200 {
                return Err(Trouble::invalid(&format!("HTTP {status}")));
            }
            if summary.series == 0 {
                let why = summary.first_bad.as_ref().map_or("it is empty".into(), |(_, why)| why.clone());
                return Err(Trouble::invalid(&format!("no page of metrics: {why}")));
            }
            Ok(latency)
        });
        let latency = match checked {
            Ok(latency) => latency,
            Err(trouble) => return report.failed(&trouble, clock),
        };
        report.answered(latency, clock);
        if let Some((line, why)) = &summary.first_bad {
            tracing::debug!(url, bad = summary.bad, line, why, "a page of metrics has lines that cannot be read");
        }
        let mut any = false;
        for (signal, value) in page.values(&mut self.kept, clock.mono(), clock.wall()) {
            any = true;
            report.put(signal, value);
        }
        if let (Some(reads), false) = (self.reads, any) {
            let why = format!("none of the {} series on the page is one of {reads:?}'s", summary.series);
            report.rest(&Unknown::Invalid(excerpt(why.as_bytes())));
        }
        report.end()
    }
}

impl<'a, S: Sink> Lines<'a, S> {
    pub fn new(format: Format, sink: &'a mut S) -> Self {
        Self { reader: Reader::new(format), sink, partial: Vec::new(), skipping: false }
    }

    /// The format is known once the answer begins.
    pub fn format(&mut self, format: Format) {
        self.reader = Reader::new(format);
    }

    pub fn piece(&mut self, mut bytes: &[u8]) {
        if self.skipping || !self.partial.is_empty() {
            let Some(end) = memchr::memchr(b'\n', bytes) else { return self.keep(bytes) };
            if !self.skipping {
                self.keep(&bytes[..=end]);
            }
            if !std::mem::take(&mut self.skipping) {
                let line = std::mem::take(&mut self.partial);
                self.reader.read(&line, self.sink);
            }
            bytes = &bytes[end + 1..];
        }
        let whole = memchr::memrchr(b'\n', bytes).map_or(0, |end| end + 1);
        self.reader.read(&bytes[..whole], self.sink);
        self.keep(&bytes[whole..]);
    }

    pub fn finish(mut self) -> Summary {
        if !self.partial.is_empty() {
            let line = std::mem::take(&mut self.partial);
            self.reader.read(&line, self.sink);
        }
        self.reader.finish()
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.skipping {
            return;
        }
        if self.partial.len() + bytes.len() > LONGEST_LINE {
            self.partial.extend_from_slice(&bytes[..bytes.len().min(256)]);
            let beginning = std::mem::take(&mut self.partial);
            self.reader.overlong(&beginning, self.sink);
            self.skipping = true;
            return;
        }
        self.partial.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::exposition::Series;

    fn in_pieces(page: &[u8], size: usize) -> (Vec<String>, Summary) {
        let mut told = Vec::new();
        let mut sink = |series: &Series<'_>| told.push(format!("{} {}", series.name(), series.value()));
        let mut lines = Lines::new(Format::Text, &mut sink);
        for piece in page.chunks(size) {
            lines.piece(piece);
        }
        let summary = lines.finish();
        (told, summary)
    }

    #[test]
    fn a_page_means_the_same_however_it_arrives() {
        let page = b"# TYPE a gauge\na 1\nb{c=\"d\ne\"} 2\n\nf 3\ng{h=\"\xff\"} 4\ni 5";
        let whole = in_pieces(page, page.len());
        assert_eq!((whole.0.len(), whole.1.bad), (3, 3));
        for size in 1..page.len() {
            assert_eq!(in_pieces(page, size), whole, "{size}");
        }
    }

    /// T17
    #[test]
    fn a_label_of_ten_megabytes_costs_its_own_line_only() {
        let page = [b"a 1\nb{c=\"".as_slice(), &vec![b'x'; 10_000_000], b"\"} 2\nd 3\n"].concat();
        let (told, summary) = in_pieces(&page, 10_000);
        assert_eq!((told.len(), summary.bad, summary.lines), (2, 1, 3));
    }
}
