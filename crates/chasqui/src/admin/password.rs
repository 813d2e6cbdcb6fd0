//! Where a password comes from: the terminal, a file or standard input. Never the command line, which every user of the
//! host can read.

use std::io::{BufRead, IsTerminal};
use std::path::Path;

use anyhow::{Context, bail};
use chasqui_base::Secret;

use crate::cli::PasswordSource;

/// The longest password that is read, in octets: more is a wrong file.
const LONGEST: u64 = 1024;

/// Reads the password of `whose` from its source.
pub fn read(source: &PasswordSource, whose: &str) -> anyhow::Result<Secret> {
    let password = match &source.password_file {
        Some(file) => from_file(file)?,
        None if source.password_stdin => first_line(std::io::stdin().lock()).context("standard input")?,
        None => prompt(whose)?,
    };
    if password.expose().is_empty() {
        bail!("the password is empty");
    }
    Ok(password)
}

fn from_file(file: &Path) -> anyhow::Result<Secret> {
    let opened = std::fs::File::open(file).with_context(|| file.display().to_string())?;
    first_line(std::io::BufReader::new(opened)).with_context(|| file.display().to_string())
}

/// The first line without its end.
fn first_line(from: impl BufRead) -> anyhow::Result<Secret> {
    let mut line = String::new();
    from.take(LONGEST + 2).read_line(&mut line).context("the password cannot be read")?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    if length as u64 > LONGEST {
        bail!("the password is longer than {LONGEST} octets");
    }
    Ok(Secret::new(line))
}

/// Asks twice, without showing what is typed.
fn prompt(whose: &str) -> anyhow::Result<Secret> {
    if !std::io::stdin().is_terminal() {
        bail!("no terminal to ask for the password at: use --password-file FILE or --password-stdin");
    }
    let first = Secret::new(rpassword::prompt_password(format!("Password for {whose}: "))?);
    let second = Secret::new(rpassword::prompt_password("The same again: ")?);
    if !first.matches(second.expose()) {
        bail!("the two passwords differ; nothing was changed");
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_without_its_end() {
        assert_eq!(first_line("clave larga\r\notra".as_bytes()).unwrap().expose(), "clave larga");
        assert_eq!(first_line(" con espacios ".as_bytes()).unwrap().expose(), " con espacios ");
    }

    #[test]
    fn a_file_that_is_no_password_is_refused() {
        assert!(first_line("x".repeat(5000).as_bytes()).is_err());
    }
}
