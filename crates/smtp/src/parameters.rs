//! The parameters of MAIL and RCPT.

use crate::{
    command::{Body, Dialect, Hold, Mail},
    mailbox::ReversePath,
    notification::RecipientParameters,
    reply::{Reply, replies},
    xtext,
};
use std::str::FromStr;

/// The longest wait that HOLDFOR can ask for has nine digits (RFC 4865 §6).
const HOLD_DIGITS: usize = 9;

/// Reads the parameters of MAIL.
///
/// # Errors
/// 555 for one that is not offered, which after HELO is every one (RFC 5321 §4.1.1.11); 501 for one that is malformed or given
/// twice.
pub(crate) fn of_mail(parameters: &str, dialect: Dialect, mail: &mut Mail) -> Result<(), Reply> {
    let offers = dialect.offers;
    let mut body = None;
    for parameter in parameters.split_ascii_whitespace() {
        let (name, value) = split(parameter);
        let is = |expected: &str| name.eq_ignore_ascii_case(expected);
        if !dialect.extended {
            return Err(replies::UNKNOWN_PARAMETER);
        } else if is("SIZE") {
            once(&mut mail.size, value.and_then(number))?;
        } else if is("BODY") {
            once(&mut body, value.and_then(|value| of_body(value, offers.binary_mime)))?;
        } else if is("SMTPUTF8") {
            flag(&mut mail.smtputf8, value)?;
        } else if offers.auth && is("AUTH") {
            once(&mut mail.auth, value.and_then(of_auth))?;
        } else if offers.dsn && is("RET") {
            once(&mut mail.ret, parsed(value))?;
        } else if offers.dsn && is("ENVID") {
            once(&mut mail.envelope_id, parsed(value))?;
        } else if offers.require_tls && is("REQUIRETLS") {
            flag(&mut mail.require_tls, value)?;
        } else if offers.future_release && is("HOLDFOR") {
            // RFC 4865 §5: HOLDFOR and HOLDUNTIL exclude each other, as two of the same do.
            once(&mut mail.hold, value.and_then(hold_for))?;
        } else if offers.future_release && is("HOLDUNTIL") {
            once(&mut mail.hold, value.and_then(hold_until))?;
        } else if offers.priority && is("MT-PRIORITY") {
            once(&mut mail.priority, value.and_then(of_priority))?;
        } else if offers.delivery_id && is("XDELIVERYID") {
            once(&mut mail.delivery_id, parsed(value))?;
        } else if offers.junk && is("XJUNK") {
            flag(&mut mail.junk, value)?;
        } else if offers.queued && is("XQUEUED") {
            once(&mut mail.queued, value.and_then(number))?;
        } else {
            return Err(replies::UNKNOWN_PARAMETER);
        }
    }
    mail.body = body.unwrap_or_default();
    Ok(())
}

/// Reads the parameters of RCPT.
///
/// # Errors
/// As [`of_mail`].
pub(crate) fn of_recipient(parameters: &str, dialect: Dialect) -> Result<RecipientParameters, Reply> {
    let mut found = RecipientParameters::default();
    for parameter in parameters.split_ascii_whitespace() {
        let (name, value) = split(parameter);
        if !dialect.extended || !dialect.offers.dsn {
            return Err(replies::UNKNOWN_PARAMETER);
        } else if name.eq_ignore_ascii_case("NOTIFY") {
            once(&mut found.notify, parsed(value))?;
        } else if name.eq_ignore_ascii_case("ORCPT") {
            once(&mut found.original, parsed(value))?;
        } else {
            return Err(replies::UNKNOWN_PARAMETER);
        }
    }
    Ok(found)
}

/// RFC 1870 §4: one to twenty digits; RFC 3030 §2 the same. A number beyond `u64` is no size of anything.
pub(crate) fn number(text: &str) -> Option<u64> {
    if text.len() > 20 || !text.bytes().all(|b| b.is_ascii_digit()) { None } else { text.parse().ok() }
}

fn split(parameter: &str) -> (&str, Option<&str>) {
    match parameter.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (parameter, None),
    }
}

/// RFC 5321 §4.1.1.11: a parameter is given at most once.
fn once<T>(place: &mut Option<T>, value: Option<T>) -> Result<(), Reply> {
    let value = value.ok_or(replies::BAD_PARAMETER)?;
    if place.replace(value).is_some() { Err(replies::BAD_PARAMETER) } else { Ok(()) }
}

/// A parameter without a value.
fn flag(place: &mut bool, value: Option<&str>) -> Result<(), Reply> {
    if value.is_some() || std::mem::replace(place, true) { Err(replies::BAD_PARAMETER) } else { Ok(()) }
}

fn parsed<T: FromStr>(value: Option<&str>) -> Option<T> {
    value?.parse().ok()
}

fn of_body(value: &str, binary: bool) -> Option<Body> {
    match value.to_ascii_uppercase().as_str() {
        "7BIT" => Some(Body::SevenBit),
        "8BITMIME" => Some(Body::EightBitMime),
        "BINARYMIME" if binary => Some(Body::BinaryMime),
        _ => None,
    }
}

/// RFC 4954 §5: `<>`, or a mailbox in xtext.
fn of_auth(value: &str) -> Option<ReversePath> {
    if value == "<>" {
        return Some(ReversePath::Null);
    }
    let path: ReversePath = xtext::decode(value)?.parse().ok()?;
    (path != ReversePath::Null).then_some(path)
}

/// RFC 4865 §6: one to nine digits, the first not 0.
fn hold_for(value: &str) -> Option<Hold> {
    let seconds = number(value)?;
    (value.len() <= HOLD_DIGITS && !value.starts_with('0')).then_some(Hold::For(seconds))
}

/// RFC 4865 §6: a date and time of RFC 3339. One before 1970 is no time to wait for.
fn hold_until(value: &str) -> Option<Hold> {
    let time = chrono::DateTime::parse_from_rfc3339(value).ok()?;
    u64::try_from(time.timestamp()).ok().map(Hold::Until)
}

/// RFC 6710 §7: -9 to 9, without leading zeros or a plus sign.
fn of_priority(value: &str) -> Option<i8> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let valid = matches!(digits.as_bytes(), [b'1'..=b'9']) || value == "0";
    if valid { value.parse().ok() } else { None }
}
