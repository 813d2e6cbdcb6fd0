//! Logs to read: files, folders of them, compressed ones, standard input.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use flate2::read::MultiGzDecoder;

use super::line::Entry;

/// Octets of one line, or of one value of a journal's entry; what is longer is passed over.
const LONGEST: u64 = 1 << 20;
/// Fields of one entry of a journal.
const FIELDS: usize = 1024;
/// Folders in folders.
const DEPTH: usize = 16;

/// Logs that can be read several times.
pub struct Logs {
    files: Vec<(PathBuf, Option<File>)>,
    /// Entries that were read the last time.
    pub entries: u64,
}

impl Logs {
    /// Finds the files. Standard input is copied to a file without a name, since what leads from one line to another may stand before it.
    pub fn open(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let mut files = Vec::new();
        for path in paths {
            if path.as_os_str() == "-" {
                files.push((path.clone(), Some(copied_input()?)));
            } else {
                find(path, DEPTH, &mut files).with_context(|| path.display().to_string())?;
            }
        }
        if files.is_empty() {
            bail!("no log file is there");
        }
        Ok(Self { files, entries: 0 })
    }

    /// Gives every entry that holds one of `needles`, with the file that it is in.
    pub fn each(&mut self, needles: &[String], mut take: impl FnMut(Entry, &Path)) -> anyhow::Result<()> {
        self.entries = 0;
        for (path, input) in &self.files {
            let file = match input {
                Some(input) => {
                    let mut input = input.try_clone()?;
                    input.seek(SeekFrom::Start(0))?;
                    input
                }
                None => File::open(path).with_context(|| path.display().to_string())?,
            };
            let reader: Box<dyn Read> = if path.extension().is_some_and(|suffix| suffix == "gz") {
                Box::new(MultiGzDecoder::new(file))
            } else {
                Box::new(file)
            };
            let mut reader = BufReader::with_capacity(256 << 10, reader);
            let front = reader.fill_buf().with_context(|| path.display().to_string())?;
            if front.starts_with(b"LPKSHHRH") {
                bail!("{}: a journal's own file; give the output of `journalctl -o export`", path.display());
            }
            let exported = front.starts_with(b"__CURSOR=") || front.starts_with(b"__REALTIME_TIMESTAMP=");
            let read = if exported { journal } else { lines };
            self.entries += read(reader, needles, &mut |entry| take(entry, path))
                .with_context(|| path.display().to_string())?;
        }
        Ok(())
    }
}

/// A copy of standard input that no other program sees, gone with the command.
fn copied_input() -> anyhow::Result<File> {
    let path = std::env::temp_dir().join(format!("chasqui-trace-{}", std::process::id()));
    let mut options = File::options();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .with_context(|| path.display().to_string())?;
    std::fs::remove_file(&path)?;
    io::copy(&mut io::stdin().lock(), &mut file).context("standard input")?;
    Ok(file)
}

fn find(path: &Path, depth: usize, files: &mut Vec<(PathBuf, Option<File>)>) -> io::Result<()> {
    if !std::fs::metadata(path)?.is_dir() {
        files.push((path.to_owned(), None));
        return Ok(());
    }
    let mut inside: Vec<PathBuf> =
        std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    inside.sort();
    for path in inside {
        let kind = std::fs::symlink_metadata(&path)?.file_type();
        if kind.is_file() || kind.is_dir() && depth > 0 {
            find(&path, depth - 1, files)?;
        }
    }
    Ok(())
}

fn holds(octets: &[u8], needles: &[String]) -> bool {
    needles.iter().any(|needle| memchr::memmem::find(octets, needle.as_bytes()).is_some())
}

fn lines(mut reader: impl BufRead, needles: &[String], take: &mut dyn FnMut(Entry)) -> io::Result<u64> {
    let mut count = 0;
    let mut line = Vec::new();
    while next_line(&mut reader, &mut line)? {
        count += 1;
        if holds(&line, needles)
            && let Some(entry) = Entry::parse(&String::from_utf8_lossy(&line))
        {
            take(entry);
        }
    }
    Ok(count)
}

/// The next line without its end; an empty one in place of one that is too long.
fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    if reader.by_ref().take(LONGEST).read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() as u64 == LONGEST {
        line.clear();
        reader.skip_until(b'\n')?;
    }
    Ok(true)
}

/// The journal's export format: `NAME=value` lines, or `NAME`, a length of eight octets and the value; an empty line behind each entry.
fn journal(mut reader: impl BufRead, needles: &[String], take: &mut dyn FnMut(Entry)) -> io::Result<u64> {
    let mut count = 0;
    let mut line = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut wanted = false;
    loop {
        let more = next_line(&mut reader, &mut line)?;
        if !more || line.is_empty() {
            count += u64::from(!fields.is_empty());
            let entry = std::mem::take(&mut fields);
            if std::mem::take(&mut wanted) {
                take(Entry::of_journal(entry));
            }
            if !more {
                return Ok(count);
            }
            continue;
        }
        let (name, value) = match memchr::memchr(b'=', &line) {
            Some(at) => {
                let (name, value) = line.split_at(at);
                (String::from_utf8_lossy(name).into_owned(), value.get(1..).unwrap_or_default().to_vec())
            }
            None => (String::from_utf8_lossy(&line).into_owned(), counted(&mut reader)?),
        };
        wanted |= holds(&value, needles);
        if fields.len() < FIELDS {
            fields.push((name, String::from_utf8_lossy(&value).into_owned()));
        }
    }
}

/// A value behind its length, and the line end behind it.
fn counted(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    reader.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let mut value = Vec::new();
    reader.by_ref().take(length.min(LONGEST)).read_to_end(&mut value)?;
    let rest = length.saturating_sub(LONGEST);
    io::copy(&mut reader.by_ref().take(rest), &mut io::sink())?;
    let mut end = [0];
    reader.read_exact(&mut end)?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(read: impl Fn(&[u8], &mut dyn FnMut(Entry)) -> io::Result<u64>, octets: &[u8]) -> Vec<Entry> {
        let mut found = Vec::new();
        let _ = read(octets, &mut |entry| found.push(entry));
        found
    }

    #[test]
    fn an_export_with_counted_values_is_read() {
        let mut export =
            b"__CURSOR=x\n__REALTIME_TIMESTAMP=5\n_HOSTNAME=mx1\nTARGET=chasqui_mx\nMESSAGE\n".to_vec();
        export.extend(7_u64.to_le_bytes());
        export.extend(b"two\nout\nDELIVERY=abc\n\n__CURSOR=y\nMESSAGE=other\n\n");
        let needles = ["abc".to_owned()];
        let found = all(|octets, take| journal(octets, &needles, take), &export);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].event.as_str(), found[0].field("delivery")), ("two\nout", Some("abc")));
    }

    #[test]
    fn a_line_without_end_costs_no_more_than_the_limit() {
        let mut octets = vec![b'x'; 3 << 20];
        octets.extend(b"\n2026-11-22T11:00:00Z  INFO chasqui_mx: message delivery=abc\n");
        let needles = ["abc".to_owned()];
        assert_eq!(all(|octets, take| lines(octets, &needles, take), &octets).len(), 1);
    }

    proptest! {
        #[test]
        fn any_octets_are_read_to_their_end(octets in proptest::collection::vec(any::<u8>(), 0..500)) {
            let needles = [String::new()];
            all(|octets, take| journal(octets, &needles, take), &octets);
            all(|octets, take| lines(octets, &needles, take), &octets);
        }
    }
}
