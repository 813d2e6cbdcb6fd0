//! OAUTHBEARER (RFC 7628): a token in place of a password.

use crate::exchange::{Claim, SaslError};
use chasqui_base::Secret;

/// The challenge that says that a token was refused (RFC 7628 §3.2.2). The client answers it with one `%x01`, and only then is
/// refused by the protocol.
pub const FAILURE: &str = r#"{"status":"invalid_token"}"#;

/// `gs2-header kvsep *(key "=" value kvsep) kvsep` (RFC 7628 §3.1).
pub(crate) fn parse(text: &str) -> Result<Claim, SaslError> {
    let (header, pairs) = text.split_once('\u{1}').ok_or(SaslError::Malformed)?;
    // RFC 7628 §3.1: no channel binding.
    let authorize = header
        .strip_prefix("n,")
        .or_else(|| header.strip_prefix("y,"))
        .and_then(|rest| rest.strip_suffix(','))
        .ok_or(SaslError::Malformed)?;
    let authorize = match authorize.strip_prefix("a=") {
        Some(name) => Some(crate::scram::name(name).ok_or(SaslError::Malformed)?),
        None if authorize.is_empty() => None,
        None => return Err(SaslError::Malformed),
    };
    let pairs = pairs.strip_suffix("\u{1}\u{1}").ok_or(SaslError::Malformed)?;
    let mut token = None;
    for pair in pairs.split('\u{1}') {
        let (key, value) = pair.split_once('=').ok_or(SaslError::Malformed)?;
        // Host and port are hints; other keys are for later versions.
        if key == "auth" && token.replace(bearer(value)?).is_some() {
            return Err(SaslError::Malformed);
        }
    }
    Ok(Claim::Bearer { authorize, token: token.ok_or(SaslError::Malformed)? })
}

/// `Bearer token` (RFC 6750 §2.1), the scheme in any case.
fn bearer(value: &str) -> Result<Secret, SaslError> {
    let (scheme, token) = value.split_once(' ').ok_or(SaslError::Malformed)?;
    let token = token.trim_start_matches(' ');
    let valid = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    if !scheme.eq_ignore_ascii_case("Bearer") || token.is_empty() || !token.bytes().all(valid) {
        return Err(SaslError::Malformed);
    }
    Ok(Secret::new(token.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read() {
        let text =
            "n,a=ana@ejemplo.test,\u{1}host=mail.ejemplo.test\u{1}port=587\u{1}auth=Bearer dmY=\u{1}\u{1}";
        let Ok(Claim::Bearer { authorize, token }) = parse(text) else { panic!() };
        assert_eq!((authorize.as_deref(), token.expose()), (Some("ana@ejemplo.test"), "dmY="));
    }

    #[test]
    fn malformed_tokens_are_refused() {
        for text in [
            "",
            "n,,",
            "n,,\u{1}\u{1}",
            "n,,\u{1}auth=Bearer x\u{1}",
            "n,,\u{1}auth=Basic x\u{1}\u{1}",
            "n,,\u{1}auth=Bearer \u{1}\u{1}",
            "n,,\u{1}auth=Bearer a b\u{1}\u{1}",
            "n,,\u{1}auth=Bearer a\u{1}auth=Bearer b\u{1}\u{1}",
            "p=tls-exporter,,\u{1}auth=Bearer x\u{1}\u{1}",
            "n,b,\u{1}auth=Bearer x\u{1}\u{1}",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
