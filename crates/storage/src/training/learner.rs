//! One run of a learner: its command with a message on standard input.

use std::io;
use std::process::Stdio;

use chasqui_mailstore::{Access, Account, Content, FolderName, MailError, Uid};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStdin, Command};

use super::TrainingConfig;

/// Octets that are read from the store and written to the command at once.
const PIECE: u64 = 64 * 1024;

/// Octets of what the command complains that are kept for the log.
const COMPLAINT: u64 = 500;

/// Why a message was not learnt.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the message is not there any more")]
    Gone,
    #[error("the message is too large")]
    TooLarge,
    #[error(transparent)]
    Store(MailError),
    #[error("the command cannot be run: {0}")]
    Command(#[from] io::Error),
    #[error("the command took too long")]
    Late,
    #[error("the command failed ({status}): {complaint}")]
    Failed { status: std::process::ExitStatus, complaint: String },
}

impl Failure {
    /// Its name in the metrics.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::TooLarge => "too_large",
            Self::Late => "late",
            Self::Store(_) | Self::Command(_) | Self::Failed { .. } => "failed",
        }
    }
}

impl From<MailError> for Failure {
    fn from(error: MailError) -> Self {
        match error {
            MailError::NoSuchFolder | MailError::Gone => Self::Gone,
            error => Self::Store(error),
        }
    }
}

/// Runs `command` for a message of `account`.
pub(super) async fn learn(
    command: &[String],
    config: &TrainingConfig,
    account: &Account,
    folder: &FolderName,
    uid: Uid,
) -> Result<(), Failure> {
    let content = account.open(folder, Access::ReadOnly).await?.content(uid).await?;
    if content.size() > config.max_size.as_u64() {
        return Err(Failure::TooLarge);
    }
    let user = account.address().as_str();
    tokio::time::timeout(config.deadline.get(), tell(command, user, &content))
        .await
        .unwrap_or(Err(Failure::Late))
}

async fn tell(command: &[String], user: &str, content: &Content) -> Result<(), Failure> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let mut child = Command::new(program)
        .args(arguments.iter().map(|argument| argument.replace("{user}", user)))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let complaint = async {
        let mut complaint = Vec::new();
        if let Some(stderr) = stderr {
            let mut stderr = stderr;
            (&mut stderr).take(COMPLAINT).read_to_end(&mut complaint).await?;
            // The rest is read and dropped, so that the command does not wait for a reader.
            tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await?;
        }
        io::Result::Ok(String::from_utf8_lossy(&complaint).trim().to_owned())
    };
    let (told, complaint) = tokio::join!(write(stdin, content), complaint);
    told?;
    let complaint = complaint?;
    let status = child.wait().await?;
    if status.success() { Ok(()) } else { Err(Failure::Failed { status, complaint }) }
}

async fn write(stdin: Option<ChildStdin>, content: &Content) -> Result<(), Failure> {
    let Some(mut stdin) = stdin else { return Ok(()) };
    let mut at = 0;
    while at < content.size() {
        let piece = content.read(at..at + PIECE).await?;
        if piece.is_empty() {
            break;
        }
        at += piece.len() as u64;
        match stdin.write_all(&piece).await {
            // A command that knows enough ends early: its status says what came of it.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
    Ok(())
}
