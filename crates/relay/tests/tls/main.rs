//! What a destination demands of TLS, and whether a connection meets it: against a real authoritative server with signed zones, and
//! real TLS and HTTPS servers in the process.

mod authority;
mod dane;
mod demands;
mod reports;
mod site;
mod sts;
