//! What is lost during the day, and when.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use chasqui_base::Span;
use serde::Serialize;

use crate::site::{Role, Site};

/// Something is lost at a time of the day.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Event {
    /// Seconds after midnight.
    pub at: u32,
    /// What kind of thing.
    pub kind: EventKind,
    /// Its name in the site file.
    pub name: String,
    /// Seconds until it is there again. Default: that of the assumptions.
    pub lasts: Option<u64>,
}

/// What can be lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A machine with all guests on it.
    Blade,
    /// A chassis with all its blades.
    Chassis,
    /// A controller of disk arrays.
    Controller,
    /// A directory server.
    Directory,
    /// Any one host.
    Host,
}

const KINDS: [(&str, EventKind); 5] = [
    ("blade", EventKind::Blade),
    ("chassis", EventKind::Chassis),
    ("controller", EventKind::Controller),
    ("directory", EventKind::Directory),
    ("host", EventKind::Host),
];

/// Why an event cannot be played.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EventError {
    /// It is not written as an event.
    #[error(
        "`{0}` is no event: write it as TIME=KIND:NAME, such as 10:00=blade:blade-3 or 15:00=controller:array1/45m; \
             kinds are blade, chassis, controller, directory and host"
    )]
    Form(String),
    /// The site has no such thing.
    #[error("`{event}`: the site has no {kind} `{name}`; there are: {there}")]
    Unknown {
        /// The event.
        event: String,
        /// The kind that was looked for.
        kind: &'static str,
        /// The name.
        name: String,
        /// The names that the site has.
        there: String,
    },
}

impl FromStr for Event {
    type Err = EventError;

    fn from_str(text: &str) -> Result<Self, EventError> {
        let wrong = || EventError::Form(text.to_owned());
        let (time, rest) = text.split_once('=').ok_or_else(wrong)?;
        let (kind, rest) = rest.split_once(':').ok_or_else(wrong)?;
        let (name, lasts) = match rest.split_once('/') {
            Some((name, lasts)) => (name, Some(lasts.parse::<Span>().map_err(|_| wrong())?.get().as_secs())),
            None => (rest, None),
        };
        let (_, kind) = KINDS.into_iter().find(|(word, _)| *word == kind).ok_or_else(wrong)?;
        let mut at = 0;
        let parts: Vec<&str> = time.split(':').collect();
        for (part, most) in parts.iter().zip([24, 60, 60]) {
            let number: u32 = part.parse().map_err(|_| wrong())?;
            if number >= most {
                return Err(wrong());
            }
            at = at * 60 + number;
        }
        match parts.len() {
            2 => at *= 60,
            3 => {}
            _ => return Err(wrong()),
        }
        if name.is_empty() {
            return Err(wrong());
        }
        Ok(Self { at, kind, name: name.to_owned(), lasts })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (word, _) = KINDS.into_iter().find(|(_, kind)| *kind == self.kind).unwrap_or(KINDS[4]);
        write!(f, "{}={word}:{}", clock(f64::from(self.at)), self.name)?;
        self.lasts.map_or(Ok(()), |lasts| write!(f, "/{}", Span::secs(lasts)))
    }
}

/// A time of the day, to the minute, or to the second where that says more.
pub(super) fn clock(at: f64) -> String {
    let at = at as u64;
    let (hours, minutes, seconds) = (at / 3_600, at / 60 % 60, at % 60);
    if seconds == 0 {
        format!("{hours:02}:{minutes:02}")
    } else {
        format!("{hours:02}:{minutes:02}:{seconds:02}")
    }
}

/// A time of the day, to the minute.
pub(super) fn minute(at: f64) -> String {
    clock(at - at % 60.0)
}

impl Event {
    /// The hosts that are gone with it.
    pub(super) fn hosts(&self, site: &Site) -> Result<BTreeSet<String>, EventError> {
        let on = |lost: &dyn Fn(&str) -> bool| -> BTreeSet<String> {
            site.hosts.iter().filter(|(_, host)| lost(&host.machine)).map(|(name, _)| name.clone()).collect()
        };
        let with = |role| site.hosts_with(role).map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
        let one = || BTreeSet::from([self.name.clone()]);
        let (kind, there, hosts) = match self.kind {
            EventKind::Blade => {
                ("machine", site.machines.keys().cloned().collect(), on(&|machine| machine == self.name))
            }
            EventKind::Chassis => {
                let inside = |machine: &str| {
                    site.machines.get(machine).and_then(|m| m.chassis.as_deref()) == Some(&self.name)
                };
                ("chassis", site.chassis.keys().cloned().collect(), on(&inside))
            }
            EventKind::Controller => ("storage controller", with(Role::StorageArray), one()),
            EventKind::Directory => ("directory server", with(Role::Directory), one()),
            EventKind::Host => ("host", site.hosts.keys().cloned().collect::<Vec<_>>(), one()),
        };
        if there.contains(&self.name) {
            return Ok(hosts);
        }
        let there = if there.is_empty() { "none".into() } else { there.join(", ") };
        Err(EventError::Unknown { event: self.to_string(), kind, name: self.name.clone(), there })
    }

    /// Whether guests with volumes on arrays can start elsewhere meanwhile.
    pub(super) fn leaves_other_machines(&self) -> bool {
        matches!(self.kind, EventKind::Blade | EventKind::Chassis)
    }
}

/// The events that are played unless others are asked for: in the busiest hour a blade with a storage node, at noon a chassis, in
/// the afternoon a storage controller and a directory server; of each the first by name, if the site has a second one.
pub fn usual(site: &Site) -> Vec<Event> {
    let second = |names: Vec<&str>| (names.len() > 1).then(|| names[0].to_owned());
    let blade = site.hosts_with(Role::Storage).map(|(_, host)| host.machine.as_str()).next();
    let machines = site.machines.keys().map(String::as_str).collect();
    let chassis = site.chassis.keys().map(String::as_str).collect();
    let names = |role| site.hosts_with(role).map(|(name, _)| name).collect();
    let events = [
        ("10:30", EventKind::Blade, second(machines).and(blade.map(str::to_owned))),
        ("12:00", EventKind::Chassis, second(chassis)),
        ("14:30", EventKind::Controller, second(names(Role::StorageArray))),
        ("16:00", EventKind::Directory, second(names(Role::Directory))),
    ];
    let seconds = |time: &str| {
        let (hours, minutes) = time.split_once(':').unwrap_or(("0", "0"));
        hours.parse().unwrap_or(0) * 3_600 + minutes.parse().unwrap_or(0) * 60
    };
    let event = |(time, kind, name): (&str, _, Option<String>)| {
        name.map(|name| Event { at: seconds(time), kind, name, lasts: None })
    };
    events.into_iter().filter_map(event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_written_as_time_kind_and_name() {
        let event: Event = "15:30=controller:array1/45m".parse().unwrap();
        let expected =
            Event { at: 55_800, kind: EventKind::Controller, name: "array1".into(), lasts: Some(2_700) };
        assert_eq!(event, expected);
        assert_eq!(event.to_string(), "15:30=controller:array1/45m");
        assert_eq!("00:00:07=blade:b".parse::<Event>().unwrap().to_string(), "00:00:07=blade:b");
    }

    #[test]
    fn what_is_no_event_is_refused_with_how_to_write_it() {
        for text in [
            "",
            "10:00",
            "10:00=blade",
            "10:00=blade:",
            "24:00=blade:x",
            "10=blade:x",
            "10:00=cow:x",
            "10:00=blade:x/soon",
        ] {
            let said = text.parse::<Event>().unwrap_err().to_string();
            assert!(said.contains("write it as TIME=KIND:NAME"), "{text}: {said}");
        }
    }
}
