//! For tests: what a store did to its disk, in order, and what a power cut could have left of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// One step.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each field is what its name says: a file's number, a path, octets")]
pub enum Event {
    /// Octets at the end of a file.
    Write { file: u64, octets: Vec<u8> },
    /// Octets at the end of the file that has the name now.
    Append { path: PathBuf, octets: Vec<u8> },
    /// A file's content is synced.
    SyncFile { file: u64 },
    /// A file gets a name.
    Link { file: u64, path: PathBuf },
    /// The file of a name gets another.
    Copy { from: PathBuf, to: PathBuf },
    /// A name is replaced by another.
    Rename { from: PathBuf, to: PathBuf },
    /// A name goes.
    Unlink { path: PathBuf },
    /// A directory is made.
    Mkdir { path: PathBuf },
    /// Everything is synced.
    SyncAll,
    /// A directory is synced.
    SyncDir { path: PathBuf },
    /// The test's own remark.
    Note(String),
}

/// Writes down what happens; steps happen one at a time while it does.
#[derive(Default)]
pub struct Recorder {
    log: Mutex<(Vec<Event>, u64)>,
}

impl Recorder {
    /// A number for a new file.
    pub fn next_file(&self) -> u64 {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.1 += 1;
        log.1
    }

    /// Does a step, and writes it down when it succeeds.
    pub fn record<T, E>(
        &self,
        op: impl FnOnce() -> Result<T, E>,
        event: impl FnOnce() -> Event,
    ) -> Result<T, E> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let result = op();
        if result.is_ok() {
            match event() {
                // In two, so that a cut leaves half of it too.
                Event::Append { path, octets } => {
                    let (front, back) = octets.split_at(octets.len() / 2);
                    for octets in [front.to_vec(), back.to_vec()] {
                        log.0.push(Event::Append { path: path.clone(), octets });
                    }
                }
                event => log.0.push(event),
            }
        }
        result
    }

    /// Writes a remark down.
    pub fn note(&self, text: String) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).0.push(Event::Note(text));
    }

    /// All steps until now.
    pub fn events(&self) -> Vec<Event> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }
}

/// Builds under `into` what a power cut after `events` could leave of the tree under `root`. What was synced is there; of the rest,
/// `survives` decides step by step. A directory's change is synced by a later sync of that directory, a rename by one of either
/// directory (it is atomic); content by a later sync of its file.
pub fn power_cut(events: &[Event], root: &Path, into: &Path, mut survives: impl FnMut() -> bool) {
    let parent = |path: &Path| path.parent().unwrap_or(Path::new("")).to_owned();
    let events = &by_number(events)[..];
    // From the end: which steps have a sync after them?
    let mut synced_files = BTreeSet::new();
    let mut synced_dirs = BTreeSet::new();
    let mut synced_all = false;
    let mut keeps = vec![false; events.len()];
    for (at, event) in events.iter().enumerate().rev() {
        keeps[at] = synced_all
            || match event {
                Event::SyncAll => {
                    synced_all = true;
                    true
                }
                Event::SyncFile { file } => {
                    synced_files.insert(*file);
                    true
                }
                Event::SyncDir { path } => {
                    synced_dirs.insert(path.clone());
                    true
                }
                Event::Write { file, .. } => synced_files.contains(file),
                Event::Link { path, .. } | Event::Unlink { path } | Event::Mkdir { path } => {
                    synced_dirs.contains(&parent(path))
                }
                Event::Copy { to, .. } => synced_dirs.contains(&parent(to)),
                Event::Rename { from, to } => {
                    synced_dirs.contains(&parent(from)) || synced_dirs.contains(&parent(to))
                }
                // These were given their numbers; what has none has no file either.
                Event::Append { .. } | Event::Note(_) => true,
            }
            || survives();
    }
    // A copy's source may have a name that did not survive: it is the file that gets the name.
    let mut true_names: BTreeMap<PathBuf, u64> = BTreeMap::new();
    let mut names: BTreeMap<PathBuf, u64> = BTreeMap::new();
    let mut dirs: BTreeSet<PathBuf> = BTreeSet::from([root.to_owned()]);
    let mut contents: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for (event, keeps) in events.iter().zip(keeps) {
        match event {
            Event::Write { file, octets } if keeps => {
                contents.entry(*file).or_default().extend_from_slice(octets)
            }
            Event::Link { file, path } => {
                true_names.insert(path.clone(), *file);
                if keeps {
                    names.insert(path.clone(), *file);
                }
            }
            Event::Copy { from, to } => {
                if let Some(file) = true_names.get(from).copied() {
                    true_names.insert(to.clone(), file);
                    if keeps {
                        names.insert(to.clone(), file);
                    }
                }
            }
            Event::Rename { from, to } => {
                move_names(&mut true_names, from, to);
                if keeps {
                    // The file under its true name, whatever name it had kept.
                    if let Some(file) = true_names.get(to).copied() {
                        names.remove(from);
                        names.insert(to.clone(), file);
                    } else {
                        move_names(&mut names, from, to);
                    }
                    dirs = dirs.iter().map(|dir| moved(dir, from, to).unwrap_or(dir.clone())).collect();
                }
            }
            Event::Unlink { path } => {
                true_names.remove(path);
                if keeps {
                    names.remove(path);
                }
            }
            Event::Mkdir { path } if keeps => {
                dirs.insert(path.clone());
            }
            _ => {}
        }
    }
    let place = |path: &Path| into.join(path.strip_prefix(root).unwrap_or(path));
    for dir in &dirs {
        // Sorted, so parents come first; without its parent a directory is lost.
        let _ = std::fs::create_dir(place(dir));
    }
    let mut placed: BTreeMap<u64, PathBuf> = BTreeMap::new();
    for (path, file) in names {
        let to = place(&path);
        if !to.parent().is_some_and(Path::is_dir) {
            continue;
        }
        match placed.get(&file) {
            Some(first) => std::fs::hard_link(first, &to).unwrap(),
            None => {
                std::fs::write(&to, contents.get(&file).map_or(&[][..], Vec::as_slice)).unwrap();
                placed.insert(file, to);
            }
        }
    }
}

/// The same steps, with the numbers of files in place of the names that they had at the time.
fn by_number(events: &[Event]) -> Vec<Event> {
    let mut names: BTreeMap<PathBuf, u64> = BTreeMap::new();
    let step = |event: &Event| {
        match event {
            Event::Link { file, path } => drop(names.insert(path.clone(), *file)),
            Event::Copy { from, to } => {
                if let Some(file) = names.get(from).copied() {
                    names.insert(to.clone(), file);
                }
            }
            Event::Rename { from, to } => move_names(&mut names, from, to),
            Event::Unlink { path } => drop(names.remove(path)),
            Event::Append { path, octets } => {
                if let Some(file) = names.get(path).copied() {
                    return Event::Write { file, octets: octets.clone() };
                }
            }
            _ => {}
        }
        event.clone()
    };
    events.iter().map(step).collect()
}

fn moved(path: &Path, from: &Path, to: &Path) -> Option<PathBuf> {
    let below = path.strip_prefix(from).ok()?;
    Some(if below.as_os_str().is_empty() { to.to_owned() } else { to.join(below) })
}

fn move_names(names: &mut BTreeMap<PathBuf, u64>, from: &Path, to: &Path) {
    let affected: Vec<(PathBuf, u64)> =
        names.iter().filter(|(path, _)| path.starts_with(from)).map(|(p, f)| (p.clone(), *f)).collect();
    for (path, file) in affected {
        names.remove(&path);
        if let Some(new) = moved(&path, from, to) {
            names.insert(new, file);
        }
    }
}
