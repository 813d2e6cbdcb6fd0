//! The plan as an SVG picture: what each tier needs, and the racks with their guests. No script, no font from elsewhere; every
//! part has a title that assistive programs read.

use std::fmt::Write as _;

use super::{Center, Fleet};
use crate::capacity::{Capacity, Source, Sum, gigabytes, thousands};
use crate::demand::Demand;
use crate::site::{Model, escaped};

const WIDTH: f64 = 1_200.0;
const MARGIN: f64 = 40.0;
const INNER: f64 = WIDTH - 2.0 * MARGIN;
const BAR: f64 = 22.0;
const BLADE: f64 = 24.0;
/// A colour for each kind, in the order of the kinds; dark enough for the white text on them.
const COLOURS: [&str; 14] = [
    "#1b6ca8", "#7a4b9a", "#1f7a4d", "#b3402a", "#8a6100", "#35506b", "#a83279", "#4f7a28", "#5a4fcf",
    "#94461c", "#4a6572", "#6b705c", "#2f4858", "#8c2f55",
];

/// The picture.
pub fn picture(demand: &Demand, capacity: &Capacity, fleet: &Fleet) -> String {
    let mut body = String::new();
    let mut y = 52.0;
    let users = thousands(demand.users.into());
    let model = if demand.model == Model::Paper { "the paper's rules" } else { "our own measurements" };
    words(&mut body, MARGIN, y, "title", &format!("{}: {users} accounts of {}", demand.name, demand.quota));
    y += 26.0;
    let figure = |key| capacity.figure(key).map(|figure| figure.text.clone()).unwrap_or_default();
    let requests = figure("requests").replace(" /s", " requests/s");
    let line = [requests, figure("bandwidth"), figure("iops"), figure("net")];
    let drives = thousands(capacity.drives.drives.into());
    words(
        &mut body,
        MARGIN,
        y,
        "small",
        &format!("Planned with {model}. {}, {} net on {drives} drives.", line[..3].join(", "), line[3]),
    );
    y = tiers(&mut body, capacity, y + 40.0);
    for center in &fleet.datacenters {
        y = racks(&mut body, center, y + 44.0);
    }
    let height = y + MARGIN;
    let summary = format!(
        "Bars: cores and memory of each tier, {} in all. Racks: {} hosts on blades, their guests side by side by cores.",
        capacity.total.text(),
        fleet.hosts()
    );
    let name = escaped(&demand.name);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" height=\"{height:.0}\" role=\"img\" aria-labelledby=\"t d\">\n\
         <title id=\"t\">Capacity plan of {name} for {users} accounts</title>\n<desc id=\"d\">{summary}</desc>\n{STYLE}\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    )
}

const STYLE: &str = "<style>\
text{font-family:system-ui,'DejaVu Sans',sans-serif;font-size:13px;fill:#1c2530}\
.title{font-size:24px;font-weight:600}.head{font-size:17px;font-weight:600}.small{fill:#4a5561}\
.end{text-anchor:end}.in{fill:#ffffff;font-size:11px}.slot{font-size:10px;fill:#4a5561}\
</style>\n<defs><pattern id=\"free\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
<rect width=\"6\" height=\"6\" fill=\"#f4f6f8\"/><line x1=\"0\" y1=\"0\" x2=\"0\" y2=\"6\" stroke=\"#c9d1d9\" stroke-width=\"1.5\"/></pattern></defs>";

/// A source's colour and what its bars say.
fn source(source: Source) -> (&'static str, &'static str) {
    match source {
        Source::Demand => ("#35506b", "given"),
        Source::Paper => ("#1b6ca8", "a rule of the paper"),
        Source::Measured => ("#1f7a4d", "measured by our benchmarks, with margin"),
        Source::Assumed => ("#8a6100", "assumed"),
    }
}

/// Two bars for each tier, cores and memory, each column with its own scale.
fn tiers(body: &mut String, capacity: &Capacity, top: f64) -> f64 {
    let (cores_at, memory_at, most) = (MARGIN + 130.0, MARGIN + 660.0, 350.0);
    words(body, MARGIN, top, "head", "What each tier needs");
    words(body, cores_at, top + 24.0, "small", "cores");
    words(body, memory_at, top + 24.0, "small", "memory");
    let sums: Vec<Sum> = capacity.tiers.iter().map(|tier| Sum::of(std::iter::once(tier))).collect();
    let largest = |of: fn(&Sum) -> u64| sums.iter().map(of).max().unwrap_or(1).max(1) as f64;
    let (cores, memory) = (largest(|sum| sum.cores), largest(|sum| sum.memory.0));
    let mut y = top + 34.0;
    for (tier, sum) in capacity.tiers.iter().zip(&sums) {
        let (colour, word) = source(tier.source);
        let later = tier.name.role().is_none();
        let text_cores = thousands(sum.cores.into());
        let text_memory = format!("{} GB", gigabytes(sum.memory.0.into()));
        let _ =
            write!(body, "<g><title>{}: {text_cores} cores, {text_memory}, {word}</title>", tier.name.word());
        words(body, cores_at - 10.0, y + 13.0, "end", tier.name.word());
        let mut bar = |x: f64, part: f64, text: &str| {
            let width = (most * part).max(2.0);
            // What has no hosts yet is only an outline: room that is kept free.
            let fill = if later { "url(#free)" } else { colour };
            let _ = write!(
                body,
                "<rect x=\"{x}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" rx=\"2\" fill=\"{fill}\" stroke=\"{colour}\"/>",
                BAR - 6.0
            );
            words(body, x + width + 8.0, y + 13.0, "", text);
        };
        bar(cores_at, sum.cores as f64 / cores, &text_cores);
        bar(memory_at, sum.memory.0 as f64 / memory, &text_memory);
        body.push_str("</g>\n");
        y += BAR;
    }
    y += 22.0;
    let mut x = MARGIN;
    for (colour, word) in [Source::Paper, Source::Measured, Source::Assumed].map(source) {
        x = key(body, x, y, colour, word);
    }
    key(body, x, y, "url(#free)", "kept free: no hosts yet");
    y
}

/// An entry of a legend; where the next one begins.
fn key(body: &mut String, x: f64, y: f64, fill: &str, word: &str) -> f64 {
    let _ = write!(
        body,
        "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"14\" height=\"14\" rx=\"2\" fill=\"{fill}\" stroke=\"#4a5561\" stroke-width=\"0.5\"/>",
        y - 11.0
    );
    words(body, x + 20.0, y, "", word);
    x + 44.0 + word.len() as f64 * 7.0
}

/// The chassis side by side, a row for each slot; a blade's guests side by side, each as wide as its cores.
fn racks(body: &mut String, center: &Center, top: f64) -> f64 {
    let rack = &center.rack;
    let guests = rack.guests();
    words(
        body,
        MARGIN,
        top,
        "head",
        &format!(
            "{}: {} {}, {guests} guests",
            center.name,
            rack.blades.len(),
            if rack.chassis == 0 {
                "servers".to_owned()
            } else {
                format!("blades in {} chassis", rack.chassis)
            },
        ),
    );
    let mut y = top + 24.0;
    let mut x = MARGIN;
    let colour = |which: usize| COLOURS[which % COLOURS.len()];
    for (which, kind) in center.kinds.iter().enumerate() {
        let word = format!("{} {}", kind.count, kind.name);
        if x + 44.0 + word.len() as f64 * 7.0 > WIDTH - MARGIN {
            (x, y) = (MARGIN, y + 22.0);
        }
        x = key(body, x, y, colour(which), &word);
    }
    if x + 160.0 > WIDTH - MARGIN {
        (x, y) = (MARGIN, y + 22.0);
    }
    x = key(body, x, y, "#dfe4e9", "the blade's own");
    if x + 400.0 > WIDTH - MARGIN {
        (x, y) = (MARGIN, y + 22.0);
    }
    let free =
        format!("free: {} are kept for webmail and relay, the rest for a failure", center.kept_free.text());
    key(body, x, y, "url(#free)", &free);
    y += 18.0;

    let columns = rack.blades.iter().map(|blade| blade.chassis + 1).max().unwrap_or(1);
    let columns = columns.min(40);
    let gap = if columns > 12 { 4.0 } else { 12.0 };
    let width = ((INNER + gap) / columns as f64 - gap).min(360.0);
    let per_core = width / f64::from(rack.cores.max(1));
    let rows = rack.blades.iter().map(|blade| blade.slot).max().unwrap_or(1);
    let bands = rack.blades.iter().map(|blade| blade.chassis / columns + 1).max().unwrap_or(1);
    let band = 26.0 + f64::from(rows) * BLADE;
    for number in 0..rack.chassis.max(if rack.chassis == 0 { columns } else { 0 }) {
        let (x, y) =
            (MARGIN + (number % columns) as f64 * (width + gap), y + (number / columns) as f64 * band);
        let word = if rack.chassis == 0 { "server" } else { "chassis" };
        let text = if width < 70.0 { format!("{}", number + 1) } else { format!("{word} {}", number + 1) };
        words(body, x, y + 14.0, "slot", &text);
    }
    for blade in &rack.blades {
        let x = MARGIN + (blade.chassis % columns) as f64 * (width + gap);
        let y = y + 20.0 + (blade.chassis / columns) as f64 * band + f64::from(blade.slot - 1) * BLADE;
        let names: Vec<String> = blade
            .guests
            .iter()
            .map(|(which, number)| format!("{}{number}", center.kinds[*which].name))
            .collect();
        let _ = write!(
            body,
            "<g><title>{} {}, slot {}: {}; {} cores free</title><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"url(#free)\" stroke=\"#8a949e\" stroke-width=\"0.6\"/>",
            if rack.chassis == 0 { "server" } else { "chassis" },
            blade.chassis + 1,
            blade.slot,
            if names.is_empty() { "no guests".to_owned() } else { names.join(", ") },
            blade.free.cores,
            BLADE - 3.0,
        );
        let taken: u64 = blade.guests.iter().map(|(which, _)| center.kinds[*which].cores).sum();
        let own = u64::from(rack.cores).saturating_sub(taken + blade.free.cores);
        let mut at = x;
        let mut part = |cores: u64, fill: &str, name: &str| {
            // A small guest of a large blade is still to be seen.
            let wide = (cores as f64 * per_core).max(2.5).min(x + width - at);
            let _ = write!(
                body,
                "<rect x=\"{at:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{:.1}\" fill=\"{fill}\" stroke=\"#ffffff\" stroke-width=\"0.4\"/>",
                BLADE - 3.0
            );
            // The whole name where there is room, else the number: the legend has the colour.
            let number = name.trim_start_matches(|c: char| !c.is_ascii_digit());
            let fitting = [name, number].into_iter().find(|text| wide > text.len() as f64 * 6.6 + 5.0);
            if let Some(text) = fitting.filter(|text| !text.is_empty()) {
                words(body, at + 3.0, y + 14.5, "in", text);
            }
            at += wide;
        };
        part(own, "#dfe4e9", "");
        for ((which, _), name) in blade.guests.iter().zip(&names) {
            part(center.kinds[*which].cores, colour(*which), name);
        }
        body.push_str("</g>\n");
    }
    y + bands as f64 * band
}

fn words(body: &mut String, x: f64, y: f64, class: &str, text: &str) {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    let _ = writeln!(body, "<text x=\"{x:.1}\" y=\"{y:.1}\"{class}>{}</text>", escaped(text));
}
