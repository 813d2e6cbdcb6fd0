//! Colours and the style sheet. Text on them keeps a contrast of 4.5 to 1 (WCAG 2.2 §1.4.3).

use super::super::{NetworkKind, Role};

/// The style sheet of the picture.
pub(super) const STYLE: &str = "
text { font-family: 'Noto Sans', 'DejaVu Sans', 'Liberation Sans', Arial, sans-serif; fill: #1f2933; font-size: 11px }
.h1 { font-size: 24px; font-weight: 700 } .h2 { font-size: 17px; font-weight: 700 } .h3 { font-size: 13px; fill: #52606d }
.label { font-size: 12px; font-weight: 700; fill: #52606d } .name { font-weight: 700 } .small { font-size: 9.5px; fill: #3e4c59 }
.dc { fill: #f5f7fa; stroke: #9aa5b1; rx: 8px } .mesh { fill: #ffffff; stroke: #9aa5b1; stroke-dasharray: 6 3; rx: 8px }
.rack { fill: #ffffff; stroke: #cbd2d9; rx: 6px } .chassis { fill: #e4e7eb; stroke: #7b8794; rx: 5px }
.machine { fill: #ffffff; stroke: #616e7c; rx: 4px } .empty { fill: none; stroke: #9aa5b1; stroke-dasharray: 4 3; rx: 4px }
.chip { fill: #f8fafc; stroke: #cbd2d9; rx: 3px } .system { fill: #e4e7eb; stroke: #9aa5b1; rx: 3px }
.drain { fill: #f8fafc; stroke: #b91c1c; stroke-dasharray: 3 2; rx: 3px } .pill { fill: #ffffff; stroke: #7b8794; rx: 5px }
.track { fill: #d9e2ec; rx: 2px } .bar { rx: 2px } .mark { rx: 1px }
";

/// The colour of a role: neighbours on the way of a connection have neighbouring colours.
pub(super) fn role(role: Role) -> &'static str {
    match role {
        Role::Firewall => "#b91c1c",
        Role::Router => "#ea580c",
        Role::Vpn => "#f472b6",
        Role::Knock => "#9d174d",
        Role::Facade => "#d97706",
        Role::Dns => "#a16207",
        Role::ReverseProxy => "#0ea5e9",
        Role::Http => "#1d4ed8",
        Role::Mx => "#16a34a",
        Role::Proxy => "#65a30d",
        Role::Relay => "#ca8a04",
        Role::Directory => "#0d9488",
        Role::Storage => "#14532d",
        Role::Database => "#7c3aed",
        Role::Ldap => "#c026d3",
        Role::StorageArray => "#334155",
        Role::XenHost => "#94a3b8",
        Role::Log => "#78716c",
        Role::Monitoring => "#57534e",
        Role::Backup => "#292524",
    }
}

/// The colour of a kind of network.
pub(super) fn network(kind: NetworkKind) -> &'static str {
    match kind {
        NetworkKind::Uplink => "#7f1d1d",
        NetworkKind::Public => "#dc2626",
        NetworkKind::Service => "#2563eb",
        NetworkKind::Storage => "#15803d",
        NetworkKind::Management => "#a16207",
    }
}

/// The colour of a share that is given away: the fuller, the warmer.
pub(super) fn share(part: f64) -> &'static str {
    if part > 1.0 {
        "#b91c1c"
    } else if part > 0.85 {
        "#d97706"
    } else {
        "#3b82f6"
    }
}

/// The colour of what is meant to be given away whole, such as an array.
pub(super) fn full(part: f64) -> &'static str {
    if part > 1.0 { "#b91c1c" } else { "#3b82f6" }
}
