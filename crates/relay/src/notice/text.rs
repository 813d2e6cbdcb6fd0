//! What a notice says to a person, in the languages of the site.

use super::{About, Action, Kind, Told, parts};
use crate::config::Language;
use std::fmt::Write as _;

/// Recipients that the text names; the fields behind it name all.
const NAMED: usize = 50;

/// ASCII, so that it needs no encoding.
pub(super) fn subject(kind: Kind, languages: &[Language]) -> String {
    let say = |language: &Language| match (language, kind) {
        (Language::Es, Kind::Failure) => "Mensaje no entregado",
        (Language::Es, Kind::Delay { .. }) => "Mensaje demorado",
        (Language::Es, Kind::Success) => "Mensaje entregado",
        (Language::En, Kind::Failure) => "Undelivered message",
        (Language::En, Kind::Delay { .. }) => "Delayed message",
        (Language::En, Kind::Success) => "Delivered message",
    };
    let languages = spoken(languages);
    languages.iter().map(say).collect::<Vec<_>>().join(" / ")
}

/// The text, lines separated by LF.
pub(super) fn explain(about: &About<'_>, kind: Kind, told: &[Told]) -> String {
    let mut text = String::new();
    for (number, language) in spoken(&about.settings.languages).iter().enumerate() {
        if number > 0 {
            text.push_str("\n----------------------------------------------------------------\n\n");
        }
        match language {
            Language::Es => spanish(&mut text, about, kind, told),
            Language::En => english(&mut text, about, kind, told),
        }
    }
    text
}

/// English, where the configuration names no language.
fn spoken(languages: &[Language]) -> &[Language] {
    if languages.is_empty() { &[Language::En] } else { languages }
}

fn spanish(text: &mut String, about: &About<'_>, kind: Kind, told: &[Told]) {
    let host = about.hostname;
    let sent = parts::date(about.envelope.received);
    // Writing to a String cannot fail.
    let _ = match kind {
        Kind::Failure => write!(
            text,
            "Le escribe el sistema de correo de {host}.\n\n\
             El mensaje que usted envió ({sent}) NO pudo entregarse a estos destinatarios,\n\
             y no se intentará más:\n"
        ),
        Kind::Delay { until } => write!(
            text,
            "Le escribe el sistema de correo de {host}.\n\n\
             El mensaje que usted envió ({sent}) todavía no pudo entregarse a estos\n\
             destinatarios. NO HACE FALTA ENVIARLO DE NUEVO: se seguirá intentando\n\
             hasta {}:\n",
            parts::date(until)
        ),
        Kind::Success => write!(
            text,
            "Le escribe el sistema de correo de {host}.\n\n\
             Como usted pidió, le avisamos de lo que pasó con su mensaje ({sent}):\n"
        ),
    };
    each(text, told, |told| match (told.action, &told.remote) {
        (Action::Failed | Action::Delayed, Some(remote)) => format!("El servidor {remote} respondió:"),
        (Action::Failed | Action::Delayed, None) => "El motivo:".into(),
        (Action::Delivered, _) => "Está en el buzón.".into(),
        (Action::Relayed, Some(remote)) => {
            format!("Lo recibió el servidor {remote}, que no avisará de la entrega.")
        }
        (Action::Relayed, None) => "Lo recibió otro servidor, que no avisará de la entrega.".into(),
        (Action::Expanded, _) => "Es una lista; se envió a cada uno de sus miembros.".into(),
    });
    more(text, told, "y a otros");
    let _ = match kind {
        Kind::Failure => write!(
            text,
            "\nRevise la dirección, o consulte al administrador de su correo. Más abajo están los\ndetalles técnicos y el encabezado de su mensaje.\n"
        ),
        Kind::Delay { .. } => write!(text, "\nSi al cabo no se puede, se le avisará.\n"),
        Kind::Success => Ok(()),
    };
}

fn english(text: &mut String, about: &About<'_>, kind: Kind, told: &[Told]) {
    let host = about.hostname;
    let sent = parts::date(about.envelope.received);
    let _ = match kind {
        Kind::Failure => write!(
            text,
            "This is the mail system at {host}.\n\n\
             The message that you sent ({sent}) could NOT be delivered to these recipients,\n\
             and will not be tried again:\n"
        ),
        Kind::Delay { until } => write!(
            text,
            "This is the mail system at {host}.\n\n\
             The message that you sent ({sent}) has not yet been delivered to these\n\
             recipients. THERE IS NO NEED TO SEND IT AGAIN: it will be tried\n\
             until {}:\n",
            parts::date(until)
        ),
        Kind::Success => write!(
            text,
            "This is the mail system at {host}.\n\n\
             As you asked, this is what became of your message ({sent}):\n"
        ),
    };
    each(text, told, |told| match (told.action, &told.remote) {
        (Action::Failed | Action::Delayed, Some(remote)) => format!("The server {remote} said:"),
        (Action::Failed | Action::Delayed, None) => "The reason:".into(),
        (Action::Delivered, _) => "It is in the mailbox.".into(),
        (Action::Relayed, Some(remote)) => {
            format!("The server {remote} took it and will not tell of its delivery.")
        }
        (Action::Relayed, None) => "Another server took it and will not tell of its delivery.".into(),
        (Action::Expanded, _) => "This is a list; it was sent on to each of its members.".into(),
    });
    more(text, told, "and to others");
    let _ = match kind {
        Kind::Failure => write!(
            text,
            "\nCheck the address, or ask your mail administrator. The technical details and the header\nof your message are below.\n"
        ),
        Kind::Delay { .. } => write!(text, "\nIf in the end it cannot be delivered you will be told.\n"),
        Kind::Success => Ok(()),
    };
}

fn each(text: &mut String, told: &[Told], what: impl Fn(&Told) -> String) {
    for told in told.iter().take(NAMED) {
        let _ = write!(text, "\n  <{}>\n    {}\n", clean(&told.recipient.address), clean(&what(told)));
        if matches!(told.action, Action::Failed | Action::Delayed) {
            let said = told.said.as_ref().unwrap_or(&told.status).to_string();
            let _ = writeln!(text, "    {}", clean(&said));
            let status = told.status.to_string();
            if status != said && told.action == Action::Failed {
                let _ = writeln!(text, "    {}", clean(&status));
            }
        }
    }
}

fn more(text: &mut String, told: &[Told], others: &str) {
    if let Some(rest) = told.len().checked_sub(NAMED).filter(|rest| *rest > 0) {
        let _ = write!(text, "\n  ({others}: {rest})\n");
    }
}

/// Without control characters, and no longer than a person reads.
fn clean(text: &str) -> String {
    text.chars().take(1000).map(|c| if c.is_control() { '?' } else { c }).collect()
}
