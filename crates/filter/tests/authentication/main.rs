//! Whole messages through the exchanger's verdict: keys and policies in signed zones of a real name server, signatures by another
//! implementation (mail-auth), and every way in which DNS can fail.

mod decisions;
mod fixture;
mod limits;
mod outcomes;
mod reports;
