use crate::authorization::{Offer, Passwords};
use crate::reply;

/// The reply to `CAPA` (RFC 2449 §5).
#[derive(Debug, Clone, Copy)]
pub struct Capabilities {
    start_tls: bool,
    user: bool,
    external: bool,
}

impl Capabilities {
    /// Before log-in: what `offer` allows at this moment.
    #[must_use]
    pub fn authorization(offer: &Offer) -> Self {
        Self {
            start_tls: offer.start_tls && !offer.tls_active,
            user: offer.passwords_now(),
            external: offer.external,
        }
    }

    /// After log-in: no STLS (RFC 2595 §4), no way to log in again.
    #[must_use]
    pub fn transaction() -> Self {
        Self { start_tls: false, user: false, external: false }
    }

    /// Appends the whole multi-line reply.
    pub fn write(&self, out: &mut Vec<u8>) {
        reply::ok(out, "capabilities follow");
        for always in ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER"] {
            reply::line(out, format_args!("{always}"));
        }
        if self.user {
            reply::line(out, format_args!("USER"));
        }
        match (self.user, self.external) {
            (true, true) => reply::line(out, format_args!("SASL PLAIN LOGIN EXTERNAL")),
            (true, false) => reply::line(out, format_args!("SASL PLAIN LOGIN")),
            (false, true) => reply::line(out, format_args!("SASL EXTERNAL")),
            (false, false) => {}
        }
        if self.start_tls {
            reply::line(out, format_args!("STLS"));
        }
        reply::line(out, format_args!("IMPLEMENTATION Chasqui"));
        reply::end(out);
    }
}

impl Offer {
    /// Whether a password may be sent at this moment.
    #[must_use]
    pub fn passwords_now(&self) -> bool {
        match self.passwords {
            Passwords::Never => false,
            Passwords::WithTls => self.tls_active,
            Passwords::Always => true,
        }
    }
}
