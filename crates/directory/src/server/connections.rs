//! The TCP side: for the rare answer that fits in no datagram. The same questions and answers, behind a length.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chasqui_base::net::{Peer, Stream};
use chasqui_base::tls::{PeerRoles, Role, RoleTls};
use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;

use super::desk::Desk;
use crate::wire::answers::AnswerWriter;
use crate::wire::questions::{Question, Questions};
use crate::wire::{self, MAX_MESSAGE};

/// Longest message of questions: a datagram's worth is all a client ever sends.
const MAX_QUESTIONS_MESSAGE: usize = 64 * 1024;

/// Who asks over a connection.
#[derive(Clone, Copy)]
struct Asker {
    ip: IpAddr,
    roles: PeerRoles,
}

/// Whether the certificate grants a role of Chasqui's: that of a mere host is none.
fn is_ours(roles: PeerRoles) -> bool {
    Role::ALL.into_iter().any(|role| role != Role::Host && roles.has(role))
}

impl Asker {
    /// Whether the question is one that the asker's role has. Only whom users log in at, and the operator, may have passwords checked;
    /// only who stores mail, and the operator, may report quotas.
    fn may_ask(self, question: &Question<'_>) -> bool {
        let any = |needed: &[Role]| needed.iter().any(|role| self.roles.has(*role));
        match question {
            Question::Verify { .. } | Question::ScramBegin(_) | Question::ScramFinish { .. } => {
                any(&[Role::Proxy, Role::Relay, Role::Webmail, Role::Admin])
            }
            Question::MaySendAs { .. } => any(&[Role::Relay, Role::Webmail, Role::Admin]),
            Question::OverQuota { .. } => any(&[Role::Storage, Role::Admin]),
            Question::LookUp(_) | Question::Ping | Question::NotUnderstood => is_ours(self.roles),
        }
    }
}

/// Serves one connection until it ends or stays idle. With `tls` the certificate must grant a role, and the role decides what may be
/// asked (E19).
pub(crate) async fn serve(desk: Arc<Desk>, tls: Option<RoleTls>, stream: Stream, peer: Peer) {
    let idle = desk.limits.load().tcp_idle.get();
    let ip = peer.ip();
    let (stream, roles) = match tls {
        Some(tls) => match tokio::time::timeout(idle, tls.accept(stream)).await {
            Ok(Ok((_, roles))) if !is_ours(roles) => {
                return tracing::warn!(peer = %ip, "refused a connection: its certificate grants no role");
            }
            Ok(Ok(accepted)) => accepted,
            Ok(Err(error)) => return tracing::info!(peer = %ip, %error, "refused a connection"),
            Err(_) => return,
        },
        None => (stream, PeerRoles::loopback()),
    };
    desk.metrics.connections.inc();
    if let Err(error) = Box::pin(converse(&desk, Asker { ip, roles }, stream, idle)).await {
        tracing::debug!(peer = %ip, %error, "a connection ended");
    }
}

async fn converse(desk: &Arc<Desk>, asker: Asker, mut stream: Stream, idle: Duration) -> io::Result<()> {
    let mut received = Vec::new();
    loop {
        let reading = wire::stream::read_message(&mut stream, &mut received, MAX_QUESTIONS_MESSAGE);
        let Ok(message) = tokio::time::timeout(idle, reading).await else { return Ok(()) };
        let Some(message) = message? else { return Ok(()) };
        let answers = answer(desk, asker, &message).await?;
        let sending = async {
            stream.write_all(&wire::stream::length(&answers)).await?;
            stream.write_all(&answers).await?;
            stream.flush().await
        };
        tokio::time::timeout(idle, sending).await??;
    }
}

async fn answer(desk: &Arc<Desk>, asker: Asker, message: &[u8]) -> io::Result<Vec<u8>> {
    let questions =
        Questions::read(message).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let count = questions.count;
    let mut questions = questions.map(|question| {
        if asker.may_ask(&question) {
            return question;
        }
        tracing::warn!(peer = %asker.ip, "a question that is not of the peer's role was not answered");
        Question::NotUnderstood
    });
    let first = questions.next();
    if let (1, Some(question)) = (count, first)
        && question.is_slow()
    {
        let (done, content) = oneshot::channel();
        let send = move |content: &[u8]| _ = done.send(content.to_vec());
        desk.answer_later(question, MAX_MESSAGE, Box::new(send));
        return content.await.map_err(|_| io::ErrorKind::Interrupted.into());
    }
    let mut writer = AnswerWriter::new();
    writer.begin(wire::now(), count, MAX_MESSAGE);
    let (view, limits) = (desk.view(), desk.limits.load());
    for question in first.into_iter().chain(questions) {
        desk.answer(&view, &limits, question, &mut writer);
    }
    Ok(writer.content().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chasqui_base::pki;

    /// What a peer may ask that has these roles in its certificate: look-ups, checks of passwords, reports of quotas.
    async fn may_ask(roles: &[Role]) -> [bool; 3] {
        let dir = tempfile::tempdir().unwrap();
        let authority = pki::create_ca(dir.path(), "test").unwrap();
        let issue = |name: &str, roles: &[Role]| {
            RoleTls::load(&authority.issue(dir.path(), name, roles, &["localhost"]).unwrap()).unwrap()
        };
        let (server, client) = (issue("directory", &[Role::Directory]), issue("peer", roles));
        let (here, there) = Stream::pair().unwrap();
        let (accepted, connected) =
            tokio::join!(server.accept(here), client.connect(there, "localhost", Role::Directory));
        connected.unwrap();
        let asker = Asker { ip: IpAddr::from([192, 0, 2, 1]), roles: accepted.unwrap().1 };
        [
            Question::LookUp("ana@ours.test"),
            Question::Verify { login: "ana@ours.test", password: "x" },
            Question::OverQuota { account: "ana@ours.test", over: true },
        ]
        .map(|question| asker.may_ask(&question))
    }

    #[tokio::test]
    async fn a_role_may_ask_what_it_needs_and_no_more() {
        assert_eq!(may_ask(&[Role::Mx]).await, [true, false, false]);
        assert_eq!(may_ask(&[Role::Proxy]).await, [true, true, false]);
        assert_eq!(may_ask(&[Role::Relay]).await, [true, true, false]);
        assert_eq!(may_ask(&[Role::Storage]).await, [true, false, true]);
        assert_eq!(may_ask(&[Role::Mx, Role::Admin]).await, [true, true, true]);
        assert_eq!(may_ask(&[Role::Host]).await, [false, false, false]);
    }
}
