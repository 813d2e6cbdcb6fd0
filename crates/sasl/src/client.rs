//! The client's side of PLAIN (RFC 4616), for smarthosts. SCRAM's is [`crate::scram::Client`].

use chasqui_base::Secret;

/// The initial response of PLAIN. A name or password with NUL cannot be said.
#[must_use]
pub fn plain(login: &str, password: &Secret) -> Option<Secret> {
    if login.is_empty() || login.contains('\0') || password.expose().contains('\0') {
        return None;
    }
    let mut text = String::with_capacity(login.len() + password.expose().len() + 2);
    text.push('\0');
    text.push_str(login);
    text.push('\0');
    text.push_str(password.expose());
    Some(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_is_name_and_password() {
        let secret = |text: &str| Secret::new(text.to_owned());
        assert_eq!(plain("ana", &secret("llave")), Some(secret("\0ana\0llave")));
        assert_eq!(plain("ana", &secret("a\0b")), None);
    }
}
