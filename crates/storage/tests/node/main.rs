//! A storage node with a real directory on loopback: LMTP in, POP3 out.

mod lmtp;
mod pop3;
mod quota;
mod roles;
mod site;
mod wire;
