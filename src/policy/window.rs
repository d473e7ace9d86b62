//! Times that come again, with their time zones: a library knows when; which of them are open is asked here, of an instant
//! that is given.

use cronexpr::{Crontab, parse_crontab};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::{self, policy::Schedule};

use super::Problem;

/// A time that comes again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// Whether nothing is begun in it; else nothing is begun outside of it.
    pub denies: bool,
    /// When it begins: five fields of cron and the time zone.
    pub begins: String,
    /// How long it lasts (milliseconds).
    pub lasts: u64,
    /// Why.
    pub reason: String,
}

/// Beginnings that are looked through to find the end of windows that overlap.
const MOST_BEGINNINGS: usize = 64;

impl Window {
    /// A window as it was written.
    pub fn of(written: &api::policy::Window, place: &str) -> Result<Self, Problem> {
        let (denies, Schedule { cron, duration, time_zone }) = match (&written.deny, &written.allow) {
            (Some(deny), None) => (true, deny),
            (None, Some(allow)) => (false, allow),
            _ => return Err(Problem::new(place, "exactly one of deny and allow")),
        };
        let begins = format!("{cron} {time_zone}");
        if let Err(error) = parse_crontab(&begins) {
            let why = error.to_string();
            // The last line points at what is wrong; the others repeat what was written.
            let why = why.lines().last().unwrap_or_default().trim_start_matches([' ', '^']);
            let help =
                format!("{why}; write minute, hour, day of month, month and day of week, such as 0 9 * * MON");
            return Err(Problem::new(place, help));
        }
        Ok(Self { denies, begins, lasts: duration.as_millis(), reason: written.reason.clone() })
    }

    /// Until when (milliseconds since the Unix epoch) it is open, if it is open at `wall`; and when it opens next, else.
    fn stands(&self, wall: i64) -> Stands {
        let Ok(crontab) = parse_crontab(&self.begins) else { return Stands::Unknown };
        let lasts = i64::try_from(self.lasts).unwrap_or(i64::MAX);
        let Some(first) = next(&crontab, wall.saturating_sub(lasts)) else { return Stands::Closed(None) };
        if first > wall {
            return Stands::Closed(Some(first));
        }
        let mut last = first;
        for _ in 0..MOST_BEGINNINGS {
            match next(&crontab, last).filter(|begins| *begins <= last.saturating_add(lasts)) {
                Some(begins) => last = begins,
                None => return Stands::Open(Some(last.saturating_add(lasts))),
            }
        }
        Stands::Open(None)
    }
}

/// How a window stands.
enum Stands {
    Open(Option<i64>),
    Closed(Option<i64>),
    /// It was read once, and cannot be now.
    Unknown,
}

/// The beginning after an instant.
fn next(crontab: &Crontab, after: i64) -> Option<i64> {
    let after = Timestamp::from_millisecond(after).ok()?;
    let found: Timestamp = crontab.find_next(after).ok()?.timestamp();
    Some(found.as_millisecond())
}

/// Why nothing may be begun at this time (milliseconds since the Unix epoch), and until when, as far as that is known.
#[must_use]
pub fn closed(windows: &[Window], wall: i64) -> Option<(String, Option<i64>)> {
    let because =
        |window: &Window| if window.reason.is_empty() { String::new() } else { format!(": {}", window.reason) };
    for window in windows.iter().filter(|window| window.denies) {
        match window.stands(wall) {
            Stands::Open(until) => return Some((format!("a window denies it{}", because(window)), until)),
            Stands::Unknown => return Some((format!("the window {} cannot be read", window.begins), None)),
            Stands::Closed(_) => {}
        }
    }
    let mut opens: Option<i64> = None;
    let mut allows = windows.iter().filter(|window| !window.denies).peekable();
    let last = allows.peek().copied()?;
    for window in allows {
        match window.stands(wall) {
            Stands::Open(_) => return None,
            Stands::Closed(at) => opens = [opens, at].into_iter().flatten().min(),
            Stands::Unknown => {}
        }
    }
    Some((format!("no window allows it now{}", because(last)), opens))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Duration;

    fn window(denies: bool, cron: &str, hours: u64, zone: &str) -> Window {
        let schedule = Schedule {
            cron: cron.into(),
            duration: Duration::from_millis(hours * 3_600_000),
            time_zone: zone.into(),
        };
        let (deny, allow) = if denies { (Some(schedule), None) } else { (None, Some(schedule)) };
        Window::of(&api::policy::Window { deny, allow, reason: "release hour".into() }, "x").unwrap()
    }

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn a_window_denies_in_its_own_time_zone_and_says_until_when() {
        let monday = [window(true, "0 9 * * MON", 2, "Europe/Berlin")];
        // In November Berlin is an hour ahead of UTC, in July two.
        for (begin, end) in
            [("2026-11-23T08:00:00Z", "2026-11-23T10:00:00Z"), ("2026-07-20T07:00:00Z", "2026-07-20T09:00:00Z")]
        {
            assert_eq!(closed(&monday, at(begin) - 1), None, "{begin}");
            let (why, until) = closed(&monday, at(begin)).unwrap();
            assert_eq!((why.as_str(), until), ("a window denies it: release hour", Some(at(end))), "{begin}");
            assert!(closed(&monday, at(end) - 1).is_some());
            assert_eq!(closed(&monday, at(end)), None, "{end}");
        }
    }

    #[test]
    fn outside_of_every_window_that_allows_nothing_is_begun() {
        let hours = [window(false, "0 9 * * MON-FRI", 8, "UTC"), window(false, "0 20 * * *", 1, "UTC")];
        assert_eq!(closed(&hours, at("2026-11-25T12:00:00Z")), None);
        assert_eq!(closed(&hours, at("2026-11-25T20:30:00Z")), None);
        let (why, until) = closed(&hours, at("2026-11-25T18:00:00Z")).unwrap();
        assert!(why.contains("no window allows it now"), "{why}");
        assert_eq!(until, Some(at("2026-11-25T20:00:00Z")));
        let both = [window(false, "0 0 * * *", 24, "UTC"), window(true, "0 12 * * *", 1, "UTC")];
        assert!(closed(&both, at("2026-11-25T12:30:00Z")).is_some(), "what denies counts first");
        assert_eq!(closed(&both, at("2026-11-25T14:00:00Z")), None, "each day begins where the last ends");
    }

    #[test]
    fn what_never_comes_or_always_lasts_is_no_trouble() {
        let always = [window(true, "* * * * *", 1, "UTC")];
        assert_eq!(closed(&always, at("2026-11-25T12:00:30Z")).unwrap().1, None);
        let leap = [window(true, "0 0 29 2 *", 1, "UTC")];
        assert_eq!(closed(&leap, at("2026-11-25T12:00:00Z")), None);
        assert_eq!(closed(&[], 0), None);
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_what_to_write() {
        let wrong = |cron: &str, zone: &str| {
            let schedule =
                Schedule { cron: cron.into(), duration: Duration::from_millis(1), time_zone: zone.into() };
            let written = api::policy::Window { deny: Some(schedule), allow: None, reason: String::new() };
            Window::of(&written, "spec.guard.windows[0]").unwrap_err().to_string()
        };
        for (cron, zone) in [("0 25 * * *", "UTC"), ("0 9 * * NEVER", "UTC"), ("0 9 * * MON", "Mars/Olympus")] {
            let why = wrong(cron, zone);
            assert!(why.contains("spec.guard.windows[0]") && why.contains("0 9 * * MON"), "{why}");
        }
    }
}
