//! Delivery with group commit across accounts.
//!
//! A worker takes every delivery that waits (at most `batch`) through these steps together:
//! 1. for each: recognise a retry, check the quota, take a UID, write the content;
//! 2. sync the contents;
//! 3. link each into its folder's `new/`;
//! 4. sync the folders;
//! 5. only then publish to the views and acknowledge.
//!
//! A batch of `sync_together` deliveries or more syncs the whole file system once for step 2 and once for step 4
//! (`Committer`), and shares these syncs with the batches of other workers; a smaller one, or one with an account on
//! another file system, syncs each file and folder.
//!
//! Measured with `examples/deliver.rs` on two cores and ext4 that other programs used too: medians of five interleaved rounds,
//! 10 KB messages to 256 accounts, messages/s:
//!
//! | workers | 8 senders, each file | 8 senders, together | 32 senders, each file | 32 senders, together |
//! | --- | --- | --- | --- | --- |
//! | 2 | 561 | 1841 | 3279 | 7109 |
//! | 4 | 2188 | 3030 | 4234 | 7707 |
//! | 8 | 2631 | 3636 | 6079 | 7853 |
//! | 16 | 3532 | 3907 | 7207 | 6168 |
//!
//! One thread that syncs the files of a batch one after the other gains nothing from the batch: the blocks of a later file are
//! allocated only in its own sync, after the commit that the earlier one made. Sixteen threads with a file each come near,
//! because the kernel commits for all that wait, but cost a thread and two switches a message. Hence the defaults: 8 workers,
//! together from 2 deliveries on.

use std::path::PathBuf;
use std::time::Instant;

use hashbrown::HashMap;
use tokio::sync::oneshot;
use tracing::{debug, warn};

use crate::error::MailError;
use crate::file_name::{Base, Letters};
use crate::folder::Entry;
use crate::incoming::Source;
use crate::state_file::seconds_since_epoch;
use crate::store::{Delivered, Delivery};
use crate::uid::Uid;
use crate::worker::{Site, Worker};
use chasqui_base::disk::{Disk, Fresh};

/// One delivery in a worker's queue.
pub(crate) struct DeliverJob {
    pub(crate) source: Source,
    pub(crate) delivery: Delivery,
    pub(crate) reply: oneshot::Sender<Result<Delivered, MailError>>,
    pub(crate) queued: Instant,
}

/// One that is on its way to disk.
struct Placed {
    job: DeliverJob,
    place: Place,
}

/// Where it goes.
struct Place {
    entry: Entry,
    uid_validity: u32,
    // The folder.
    dir: PathBuf,
    // The file, if the content is this delivery's own.
    fresh: Option<Fresh>,
    // On another file system than the root.
    apart: bool,
}

enum Placement {
    New(Place),
    // Here already, or in this batch.
    Known(Delivered),
}

impl Worker {
    /// Commits these deliveries and answers each.
    pub(crate) fn commit(&mut self, jobs: Vec<DeliverJob>) {
        let started = Instant::now();
        let site = self.site.clone();
        site.metrics.batch.observe(jobs.len() as f64);
        let (mut placed, mut duplicates) = (Vec::with_capacity(jobs.len()), Vec::new());
        for job in jobs {
            match self.place(&job) {
                Ok(Placement::New(place)) => placed.push(Placed { job, place }),
                Ok(Placement::Known(delivered)) => duplicates.push((job, delivered)),
                Err(error) => refuse(&site, job, error),
            }
        }
        let together = site.config.sync_together;
        let together =
            together > 0 && placed.len() >= together && !placed.iter().any(|placed| placed.place.apart);
        let whole = || site.committer.sync().map_err(MailError::from);

        let synced = if together { whole() } else { Ok(()) };
        let placed = self.survivors(placed, |placed| match (&synced, &placed.place.fresh) {
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
                Ok(()) => sync_once(&site.disk, &mut dirs, placed.place.dir.join("new")),
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
    fn place(&mut self, job: &DeliverJob) -> Result<Placement, MailError> {
        let site = self.site.clone();
        let Delivery { account, folder, id, quota, received } = &job.delivery;
        let (cabinet, _) = self.cabinet(account)?;
        let apart = cabinet.apart;
        let drawer = cabinet.drawer(folder)?;
        let uid_validity = drawer.file.uid_validity;
        if let Some(known) = drawer.ids(site.config.departed_window.get()).get(id) {
            return Ok(Placement::Known(Delivered {
                uid: known.unwrap_or(Uid::MIN),
                uid_validity,
                duplicate: true,
            }));
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
        Ok(Placement::New(Place { entry, uid_validity, dir, fresh, apart }))
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
            cabinet.discount(placed.place.entry.size, 1);
            if let Ok(drawer) = cabinet.drawer(folder) {
                drawer.ids(window).remove(id);
            }
        }
    }

    /// Step 5.
    fn publish(&mut self, placed: Placed) {
        let Placed { job, place: Place { entry, uid_validity, .. } } = placed;
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
        self.place.dir.join(self.place.entry.file(&site.host))
    }

    /// Step 3.
    fn link(&self, site: &Site) -> Result<(), MailError> {
        let target = self.target(site);
        match (&self.place.fresh, &self.job.source) {
            (Some(fresh), _) => fresh.link_to(&target)?,
            (None, Source::File(shared, _)) => {
                shared.link_or_copy(&target, &self.place.dir.join("tmp"), self.place.entry.time)?;
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
