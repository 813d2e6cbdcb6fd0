//! Delivery with group commit across accounts.
//!
//! A worker takes every delivery that waits (at most `batch`) through these steps together:
//! 1. for each: recognise a retry, check the quota, take a UID, write the content;
//! 2. sync the contents;
//! 3. link each into its folder's `new/`;
//! 4. sync the folders;
//! 5. only then publish to the views and acknowledge.
//!
//! Workers run side by side, and a journalling file system commits for all that wait at one time, so that batches of different
//! workers share commits too. What was measured is in `examples/commit_variants.rs` and `docs/benchmarks.md`.

use std::path::PathBuf;
use std::time::Instant;

use hashbrown::HashMap;
use tokio::sync::oneshot;
use tracing::{debug, warn};

use crate::disk::{Disk, Fresh};
use crate::error::MailError;
use crate::file_name::{Base, Letters};
use crate::folder::Entry;
use crate::incoming::Source;
use crate::state_file::seconds_since_epoch;
use crate::store::{Delivered, Delivery};
use crate::uid::Uid;
use crate::worker::{Site, Worker};

/// One delivery in a worker's queue.
pub(crate) struct DeliverJob {
    pub(crate) source: Source,
    pub(crate) delivery: Delivery,
    pub(crate) reply: oneshot::Sender<Result<Delivered, MailError>>,
    pub(crate) queued: Instant,
}

/// One that has a UID and is on its way to disk.
struct Placed {
    job: DeliverJob,
    entry: Entry,
    uid_validity: u32,
    // The folder.
    dir: PathBuf,
    // The file, if the content is this delivery's own.
    fresh: Option<Fresh>,
}

enum Placement {
    New(Box<Placed>),
    // Of this UID: here already, or in this batch.
    Duplicate(DeliverJob, Delivered),
}

impl Worker {
    /// Commits these deliveries and answers each.
    pub(crate) fn commit(&mut self, jobs: Vec<DeliverJob>) {
        let started = Instant::now();
        let site = self.site.clone();
        site.metrics.batch.observe(jobs.len() as f64);
        let (mut placed, mut duplicates) = (Vec::with_capacity(jobs.len()), Vec::new());
        for job in jobs {
            match self.place(job) {
                Ok(Placement::New(new)) => placed.push(*new),
                Ok(Placement::Duplicate(job, delivered)) => duplicates.push((job, delivered)),
                Err((job, error)) => refuse(&site, *job, error),
            }
        }
        let together = site.config.sync_together > 0 && placed.len() >= site.config.sync_together;
        let whole = || site.committer.sync().map_err(MailError::from);

        let synced = if together { whole() } else { Ok(()) };
        let placed = self.survivors(placed, |placed| match (&synced, &placed.fresh) {
            (Err(error), _) => Err(error.again()),
            (Ok(()), Some(fresh)) if !together => Ok(fresh.sync()?),
            (Ok(()), _) => Ok(()),
        });
        let placed = self.survivors(placed, |placed| placed.link(&site));
        let synced = if together { whole() } else { Ok(()) };
        let mut dirs = HashMap::new();
        let placed = self.survivors(placed, |placed| {
            let synced = match &synced {
                Err(error) => Err(error.again()),
                Ok(()) if together => Ok(()),
                Ok(()) => sync_once(&site.disk, &mut dirs, placed.dir.join("new")),
            };
            synced.inspect_err(|_| placed.unlink(&site))
        });
        site.metrics.commit_seconds.observe(started.elapsed().as_secs_f64());
        for placed in placed {
            self.publish(placed);
        }
        // Last: one whose first copy was in this batch shares its fate.
        for (job, delivered) in duplicates {
            self.answer_duplicate(job, delivered);
        }
    }

    /// Step 1.
    fn place(&mut self, job: DeliverJob) -> Result<Placement, (Box<DeliverJob>, MailError)> {
        match self.try_place(&job) {
            Ok(Ok((entry, uid_validity, dir, fresh))) => {
                Ok(Placement::New(Box::new(Placed { job, entry, uid_validity, dir, fresh })))
            }
            Ok(Err(delivered)) => Ok(Placement::Duplicate(job, delivered)),
            Err(error) => Err((Box::new(job), error)),
        }
    }

    #[allow(clippy::type_complexity, reason = "taken apart at its one caller")]
    fn try_place(
        &mut self,
        job: &DeliverJob,
    ) -> Result<Result<(Entry, u32, PathBuf, Option<Fresh>), Delivered>, MailError> {
        let site = self.site.clone();
        let Delivery { account, folder, id, quota, received } = &job.delivery;
        let (cabinet, _) = self.cabinet(account)?;
        let drawer = cabinet.drawer(folder)?;
        let uid_validity = drawer.file.uid_validity;
        if let Some(known) = drawer.ids(site.config.departed_window.get()).get(id) {
            return Ok(Err(Delivered { uid: known.unwrap_or(Uid::MIN), uid_validity, duplicate: true }));
        }
        if drawer.len() >= site.config.max_messages {
            return Err(MailError::LimitExceeded("the folder has too many messages"));
        }
        let size = job.source.len();
        cabinet.check_quota(*quota, size, 1)?;
        let drawer = cabinet.drawer(folder)?;
        let time = seconds_since_epoch(*received);
        let fresh = match &job.source {
            Source::Memory(octets) => {
                let mut fresh = site.disk.fresh(&drawer.dir.join("tmp"))?;
                fresh.write(octets)?;
                fresh.set_time(time)?;
                Some(fresh)
            }
            Source::File(..) => None,
        };
        let uid = drawer.take_uid()?;
        drawer.ids(site.config.departed_window.get()).insert(*id, Some(uid));
        let dir = drawer.dir.clone();
        cabinet.count(size, 1);
        let base = Base::Own(*id);
        let entry = Entry {
            uid,
            letters: Letters::default(),
            in_new: true,
            recent: true,
            size,
            time,
            mod_seq: 0,
            base,
        };
        Ok(Ok((entry, uid_validity, dir, fresh)))
    }

    /// Those for which `step` succeeds; the others are taken back and refused.
    fn survivors(
        &mut self,
        placed: Vec<Placed>,
        mut step: impl FnMut(&Placed) -> Result<(), MailError>,
    ) -> Vec<Placed> {
        let mut left = Vec::with_capacity(placed.len());
        for placed in placed {
            match step(&placed) {
                Ok(()) => left.push(placed),
                Err(error) => {
                    self.take_back(&placed);
                    refuse(&self.site.clone(), placed.job, error);
                }
            }
        }
        left
    }

    fn take_back(&mut self, placed: &Placed) {
        let window = self.site.config.departed_window.get();
        let Delivery { account, folder, id, .. } = &placed.job.delivery;
        if let Ok((cabinet, _)) = self.cabinet(account) {
            cabinet.discount(placed.entry.size, 1);
            if let Ok(drawer) = cabinet.drawer(folder) {
                drawer.ids(window).remove(id);
            }
        }
    }

    /// Step 5.
    fn publish(&mut self, placed: Placed) {
        let Placed { job, entry, uid_validity, .. } = placed;
        let (uid, size) = (entry.uid, entry.size);
        let Delivery { account, folder, id, .. } = &job.delivery;
        if let Ok(drawer) = self.cabinet(account).and_then(|(cabinet, _)| cabinet.drawer(folder)) {
            drawer.folder.change(|state| state.add([entry]));
        }
        self.site.metrics.delivered.inc();
        self.site.metrics.delivery_seconds.observe(job.queued.elapsed().as_secs_f64());
        debug!(delivery = %id, %account, folder = folder.as_str(), %uid, size, "stored");
        // Whoever asked may have gone; the message is stored all the same, and a retry will be recognised.
        let _ = job.reply.send(Ok(Delivered { uid, uid_validity, duplicate: false }));
    }

    fn answer_duplicate(&mut self, job: DeliverJob, delivered: Delivered) {
        let window = self.site.config.departed_window.get();
        let Delivery { account, folder, id, .. } = &job.delivery;
        let known = self
            .cabinet(account)
            .and_then(|(cabinet, _)| Ok(cabinet.drawer(folder)?.ids(window).contains_key(id)));
        if !matches!(known, Ok(true)) {
            return refuse(&self.site.clone(), job, known.err().unwrap_or(MailError::Busy));
        }
        self.site.metrics.duplicates.inc();
        debug!(delivery = %id, %account, "a retry of a delivery that is stored already");
        let _ = job.reply.send(Ok(delivered));
    }
}

impl Placed {
    fn target(&self, site: &Site) -> PathBuf {
        self.dir.join(self.entry.file(&site.host))
    }

    /// Step 3.
    fn link(&self, site: &Site) -> Result<(), MailError> {
        let target = self.target(site);
        match (&self.fresh, &self.job.source) {
            (Some(fresh), _) => fresh.link_to(&target)?,
            (None, Source::File(shared, _)) => {
                shared.link_to(&target)?;
            }
            (None, Source::Memory(_)) => return Err(MailError::Busy),
        }
        Ok(())
    }

    fn unlink(&self, site: &Site) {
        if let Err(error) = site.disk.unlink(&self.target(site)) {
            warn!(delivery = %self.job.delivery.id, %error, "a refused message could not be removed again");
        }
    }
}

/// Syncs `dir` once for all who ask.
pub(crate) fn sync_once(
    disk: &Disk,
    synced: &mut HashMap<PathBuf, Result<(), MailError>>,
    dir: PathBuf,
) -> Result<(), MailError> {
    match synced.entry(dir).or_insert_with_key(|dir| disk.sync_dir(dir).map_err(MailError::from)) {
        Ok(()) => Ok(()),
        Err(error) => Err(error.again()),
    }
}

fn refuse(site: &Site, job: DeliverJob, error: MailError) {
    site.metrics.refused.inc();
    debug!(delivery = %job.delivery.id, account = %job.delivery.account, %error, "not stored");
    let _ = job.reply.send(Err(error));
}
