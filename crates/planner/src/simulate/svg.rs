//! The day as a picture: the load of each tier, and how slow the slowest hundredth was.

use std::fmt::Write;

use super::report::Report;
use crate::capacity::thousands;
use crate::site::escaped;

const LEFT: f64 = 130.0;
const WIDTH: f64 = 840.0;
const ROW: f64 = 56.0;
const TOP: f64 = 84.0;
/// Loads above this are drawn as this.
const MOST: f64 = 1.5;

/// A picture of the day, for a page or a report.
pub fn svg(report: &Report) -> String {
    let rows = report.tiers.len() + report.work.len();
    let height = TOP + rows as f64 * ROW + 40.0;
    let mut text = String::new();
    let title = format!("{}: a day of {} accounts", escaped(&report.site), thousands(report.users.into()));
    // Writing into a String cannot fail.
    let _ = write!(
        text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1000 {height}\" role=\"img\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>{title}</title>\n<desc>{}</desc>\n<rect width=\"1000\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"16\">{title}</text>\n",
        escaped(&headline(report)),
    );
    let _ =
        writeln!(text, "<text x=\"{LEFT}\" y=\"42\" fill=\"#444444\">{}</text>", escaped(&headline(report)));
    for (number, tier) in report.tiers.iter().enumerate() {
        let base = TOP + (number as f64 + 1.0) * ROW - 8.0;
        let busy = tier.curve.iter().copied().fold(0.0, f64::max);
        let colour = if busy > 1.0 {
            "#b3261e"
        } else if busy > 0.8 {
            "#b26a00"
        } else {
            "#2e6f40"
        };
        row(&mut text, base, tier.name, &format!("peak {:.0} %", tier.peak.load * 100.0));
        let at = |load: f64| base - load.min(MOST) / MOST * (ROW - 16.0);
        area(&mut text, base, &tier.curve, &at, colour);
        let full = at(1.0);
        let _ = writeln!(
            text,
            "<line x1=\"{LEFT}\" y1=\"{full:.1}\" x2=\"{}\" y2=\"{full:.1}\" stroke=\"#999999\" stroke-dasharray=\"3 3\"/>",
            LEFT + WIDTH
        );
    }
    for (number, work) in report.work.iter().enumerate() {
        let base = TOP + ((report.tiers.len() + number) as f64 + 1.0) * ROW - 8.0;
        let slowest = work.curve.iter().copied().fold(0.0, f64::max);
        row(&mut text, base, &format!("{}, 99 %", work.name), &format!("worst {}", seconds(slowest)));
        // From a millisecond to a hundred seconds, each power of ten the same step.
        let at = |time: f64| base - ((time.max(1e-3) / 1e-3).log10() / 5.0).min(1.0) * (ROW - 16.0);
        area(&mut text, base, &work.curve, &at, "#33508a");
    }
    let bottom = TOP + rows as f64 * ROW;
    for hour in (0..=24).step_by(2) {
        let x = LEFT + f64::from(hour) / 24.0 * WIDTH;
        let _ = writeln!(
            text,
            "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#444444\">{hour:02}</text>",
            bottom + 16.0
        );
    }
    for (number, effect) in report.events.iter().enumerate() {
        let (time, _) = effect.event.split_once('=').unwrap_or(("0:0", ""));
        let x = LEFT + share_of_day(time) * WIDTH;
        let _ = writeln!(
            text,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#b3261e\" stroke-width=\"1\"><title>{}</title></line>\n\
             <text x=\"{:.1}\" y=\"{}\" fill=\"#b3261e\">{}</text>",
            escaped(&effect.event),
            x + 3.0,
            TOP - 18.0 + if number % 2 == 0 { 0.0 } else { 14.0 },
            escaped(effect.event.split_once('=').map_or("", |(_, what)| what)),
        );
    }
    text.push_str("</svg>\n");
    text
}

/// What fails first, in a sentence.
pub(super) fn headline(report: &Report) -> String {
    let first = &report.bottleneck;
    match (&first.at, &first.event) {
        (Some(at), Some(event)) => {
            format!("First bottleneck: {} ({}) at {at}, after {event}", first.tier, first.server)
        }
        (Some(at), None) => format!("First bottleneck: {} ({}) at {at}", first.tier, first.server),
        (None, _) => format!("No bottleneck; the busiest is {} at {:.0} %", first.tier, first.load * 100.0),
    }
}

/// A time as people read it.
pub(super) fn seconds(time: f64) -> String {
    match time {
        t if t >= 100.0 => format!("{t:.0} s"),
        t if t >= 1.0 => format!("{t:.1} s"),
        t if t >= 1e-3 => format!("{:.1} ms", t * 1e3),
        t => format!("{:.0} µs", t * 1e6),
    }
}

fn row(text: &mut String, base: f64, name: &str, note: &str) {
    let _ = writeln!(
        text,
        "<text x=\"{0}\" y=\"{1}\" text-anchor=\"end\">{2}</text>\n<text x=\"{0}\" y=\"{3}\" text-anchor=\"end\" fill=\"#666666\" font-size=\"10\">{4}</text>\n\
         <line x1=\"{LEFT}\" y1=\"{base}\" x2=\"{5}\" y2=\"{base}\" stroke=\"#cccccc\"/>",
        LEFT - 8.0,
        base - 18.0,
        escaped(name),
        base - 4.0,
        escaped(note),
        LEFT + WIDTH,
    );
}

fn area(text: &mut String, base: f64, curve: &[f64], at: &dyn Fn(f64) -> f64, colour: &str) {
    let step = WIDTH / curve.len().max(1) as f64;
    let mut path = format!("M{LEFT} {base}");
    for (number, value) in curve.iter().enumerate() {
        let _ = write!(path, "L{:.1} {:.1}", LEFT + (number as f64 + 0.5) * step, at(*value));
    }
    let _ = write!(path, "L{} {base}Z", LEFT + WIDTH);
    let _ =
        writeln!(text, "<path d=\"{path}\" fill=\"{colour}\" fill-opacity=\"0.35\" stroke=\"{colour}\"/>");
}

fn share_of_day(time: &str) -> f64 {
    let units = [3_600.0, 60.0, 1.0];
    let parts = time.split(':').zip(units).map(|(part, unit)| part.parse::<f64>().unwrap_or(0.0) * unit);
    parts.sum::<f64>() / 86_400.0
}
