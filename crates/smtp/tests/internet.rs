//! The sending side, against strangers: scripts of a server's replies, and what the client says to them.

use chasqui_base::Secret;
use chasqui_smtp::{
    Body, ClientError, ClientEvent, ClientLimits, ClientSession, DotStuffer, Envelope, Framing, Protocol,
    RecipientParameters, Reply, Ret, ReversePath,
};

const RECIPIENTS: [&str; 2] = ["c@d.test", "e@f.test"];

struct Talk {
    client: ClientSession,
    /// What the client said since it was last looked at.
    said: String,
    input: Vec<u8>,
}

impl Talk {
    /// A greeted client. `hello` are the lines of the reply to EHLO behind the first.
    fn new(hello: &[&str]) -> Self {
        let client = ClientSession::new(Protocol::Smtp, "relay.test", ClientLimits::default());
        let mut talk = Self { client, said: String::new(), input: Vec::new() };
        assert_eq!(talk.hears("220 x"), [ClientEvent::Greeted]);
        talk.said();
        let mut reply = String::from("250-x\r\n");
        hello.iter().for_each(|line| reply.push_str(&format!("250-{line}\r\n")));
        reply.push_str("250 HELP");
        assert_eq!(talk.hears(&reply), [ClientEvent::Ready]);
        talk
    }

    fn tries(&mut self, replies: &str) -> Result<Vec<ClientEvent>, ClientError> {
        self.input.extend_from_slice(replies.as_bytes());
        self.input.extend_from_slice(b"\r\n");
        let mut events = Vec::new();
        loop {
            let (used, event) = self.client.receive(&self.input)?;
            self.input.drain(..used);
            self.said.push_str(std::str::from_utf8(&self.client.take_output()).unwrap());
            match event {
                Some(event) => events.push(event),
                None => return Ok(events),
            }
        }
    }

    fn hears(&mut self, replies: &str) -> Vec<ClientEvent> {
        self.tries(replies).unwrap()
    }

    fn said(&mut self) -> String {
        self.said.push_str(std::str::from_utf8(&self.client.take_output()).unwrap());
        std::mem::take(&mut self.said)
    }

    fn opens(&mut self, eager: bool) -> ClientEvent {
        let path = "a@b.test".parse().unwrap();
        self.client.open(&Envelope::new(&path, &RECIPIENTS, 5), eager).unwrap()
    }

    fn codes(&mut self) -> Vec<Option<u16>> {
        self.client.results().into_iter().map(|reply| reply.map(|reply| reply.code())).collect()
    }
}

const DATA: ClientEvent = ClientEvent::SendText(Framing::Dots);
const CHUNK: ClientEvent = ClientEvent::SendText(Framing::Counted);

#[test]
fn a_server_that_knows_only_helo_is_spoken_to_line_by_line() {
    let client = ClientSession::new(Protocol::Smtp, "relay.test", ClientLimits::default());
    let mut talk = Talk { client, said: String::new(), input: Vec::new() };
    assert_eq!(talk.hears("220 old"), [ClientEvent::Greeted]);
    assert_eq!(talk.said(), "EHLO relay.test\r\n");
    assert_eq!(talk.hears("502 what?"), [ClientEvent::Send]);
    assert_eq!(talk.said(), "HELO relay.test\r\n");
    assert_eq!(talk.hears("250-x\r\n250 PIPELINING"), [ClientEvent::Ready]);
    assert_eq!(talk.opens(true), ClientEvent::Send);
    assert_eq!(talk.said(), "MAIL FROM:<a@b.test>\r\n");
    assert_eq!(talk.hears("250 ok"), [ClientEvent::Send]);
    assert_eq!(talk.said(), "RCPT TO:<c@d.test>\r\n");
    assert_eq!(talk.hears("550 no"), [ClientEvent::Send]);
    assert_eq!(talk.said(), "RCPT TO:<e@f.test>\r\n");
    assert_eq!(talk.hears("250 ok"), [ClientEvent::Send]);
    assert_eq!(talk.said(), "DATA\r\n");
    assert_eq!(talk.hears("354 go"), [DATA]);
    assert_eq!(talk.hears("250 taken"), [ClientEvent::Done]);
    assert_eq!(talk.codes(), [Some(550), Some(250)]);
    // A second message on the same connection.
    talk.opens(false);
    assert_eq!(talk.said(), "MAIL FROM:<a@b.test>\r\n");
    assert_eq!(talk.hears("452 later"), [ClientEvent::Done]);
    assert_eq!((talk.codes(), talk.said()), (vec![Some(452), Some(452)], String::new()));
}

#[test]
fn brackets_may_stand_in_quotes_and_nowhere_else() {
    let mut talk = Talk::new(&["PIPELINING"]);
    let path = "a@b.test".parse().unwrap();
    for bad in ["a<b@d.test", "a>b@d.test", "\"a<b\"@d.test> SIZE=1", "\"a\r\nRSET\"@d.test", "\"a\"<@d.test"]
    {
        let opened = talk.client.open(&Envelope::new(&path, &[bad], 5), true);
        assert!(matches!(opened, Err(ClientError::Address(_))), "{bad:?} {opened:?}");
    }
    assert_eq!(talk.said(), "");
    talk.client.open(&Envelope::new(&path, &["\"a<b\"@d.test"], 5), true).unwrap();
    assert_eq!(talk.said(), "MAIL FROM:<a@b.test>\r\nRCPT TO:<\"a<b\"@d.test>\r\nDATA\r\n");
}

#[test]
fn commands_go_out_together_where_pipelining_is_offered() {
    let mut talk = Talk::new(&["PIPELINING"]);
    assert_eq!(talk.opens(true), ClientEvent::Send);
    assert_eq!(talk.said(), "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nRCPT TO:<e@f.test>\r\nDATA\r\n");
    assert_eq!(talk.hears("250 a\r\n250 b\r\n451 c\r\n354 go"), [DATA]);
    let mut text = Vec::new();
    let mut stuffer = DotStuffer::new();
    stuffer.push(b".x", &mut text);
    stuffer.finish(&mut text);
    assert_eq!(text, b"..x\r\n.\r\n");
    assert_eq!(talk.hears("250 taken"), [ClientEvent::Done]);
    assert_eq!(talk.codes(), [Some(250), Some(451)]);
}

#[test]
fn a_server_that_takes_data_without_recipients_gets_an_empty_text() {
    let mut talk = Talk::new(&["PIPELINING"]);
    talk.opens(true);
    talk.said();
    assert_eq!(talk.hears("250 a\r\n550 b\r\n551 c\r\n354 go"), [ClientEvent::Send]);
    assert_eq!(talk.said(), ".\r\n");
    assert_eq!(talk.hears("554 none"), [ClientEvent::Done]);
    assert_eq!(talk.codes(), [Some(550), Some(551)]);
    // One that does not has the transaction still open.
    talk.opens(true);
    talk.said();
    assert_eq!(talk.hears("250 a\r\n550 b\r\n551 c\r\n503 none"), [ClientEvent::Done]);
    talk.opens(true);
    assert!(talk.said().starts_with("RSET\r\nMAIL"));
    assert_eq!(talk.hears("250 a\r\n250 a\r\n250 b\r\n250 c\r\n451 full"), [ClientEvent::Done]);
    assert_eq!(talk.codes(), [Some(451), Some(451)]);
    talk.opens(true);
    assert!(talk.said().starts_with("RSET\r\nMAIL"));
}

#[test]
fn chunks_go_out_at_once_or_when_the_recipients_are_known() {
    let mut talk = Talk::new(&["PIPELINING", "CHUNKING"]);
    assert_eq!(talk.opens(true), CHUNK);
    assert!(talk.said().ends_with("RCPT TO:<e@f.test>\r\nBDAT 5 LAST\r\n"));
    assert_eq!(talk.hears("250 a\r\n250 b\r\n250 c\r\n250 taken"), [ClientEvent::Done]);
    assert_eq!(talk.opens(false), ClientEvent::Send);
    assert!(talk.said().ends_with("RCPT TO:<e@f.test>\r\n"));
    assert_eq!(talk.hears("250 a\r\n250 b\r\n250 c"), [CHUNK]);
    assert_eq!(talk.said(), "BDAT 5 LAST\r\n");
    assert_eq!(talk.hears("250 taken"), [ClientEvent::Done]);
    assert_eq!(talk.opens(false), ClientEvent::Send);
    talk.said();
    assert_eq!(talk.hears("250 a\r\n550 b\r\n550 c"), [ClientEvent::Done]);
    talk.client.forgo(|offered| offered.chunking = false);
    talk.opens(true);
    let said = talk.said();
    assert!(said.starts_with("RSET\r\n") && said.ends_with("DATA\r\n"), "{said}");
}

#[test]
fn parameters_are_said_to_servers_that_know_them() {
    let path: ReversePath = "a@b.test".parse().unwrap();
    let id = "x+20y".parse().unwrap();
    let parameters = [RecipientParameters {
        notify: Some("NEVER".parse().unwrap()),
        original: Some("rfc822;o@d.test".parse().unwrap()),
    }];
    let envelope = Envelope {
        smtputf8: true,
        body: Body::BinaryMime,
        ret: Some(Ret::Headers),
        envelope_id: Some(&id),
        require_tls: true,
        priority: Some(3),
        junk: true,
        queued: Some(7),
        parameters: &parameters,
        ..Envelope::new(&path, &RECIPIENTS, 5)
    };
    let mut talk = Talk::new(&[
        "PIPELINING",
        "chunking",
        "SIZE 9",
        "SMTPUTF8",
        "BINARYMIME",
        "DSN",
        "REQUIRETLS",
        "MT-PRIORITY",
        "XJUNK",
        "XQUEUED",
    ]);
    assert_eq!(talk.client.open(&envelope, true), Ok(CHUNK));
    assert_eq!(
        talk.said(),
        "MAIL FROM:<a@b.test> BODY=BINARYMIME SMTPUTF8 SIZE=5 REQUIRETLS RET=HDRS ENVID=x+20y MT-PRIORITY=3 \
         XJUNK XQUEUED=7\r\nRCPT TO:<c@d.test> NOTIFY=NEVER ORCPT=rfc822;o@d.test\r\nRCPT TO:<e@f.test>\r\n\
         BDAT 5 LAST\r\n"
    );
    // What can be left out is; what cannot is an error before a single octet.
    let mut talk = Talk::new(&["PIPELINING", "SIZE 4"]);
    let lacks =
        |talk: &mut Talk, envelope: &Envelope<'_, &str>| talk.client.open(envelope, true).unwrap_err();
    assert_eq!(lacks(&mut talk, &envelope), ClientError::Lacks("SMTPUTF8"));
    let envelope = Envelope { smtputf8: false, ..envelope };
    assert_eq!(lacks(&mut talk, &envelope), ClientError::Lacks("BINARYMIME"));
    let envelope = Envelope { body: Body::SevenBit, ..envelope };
    assert_eq!(lacks(&mut talk, &envelope), ClientError::Lacks("REQUIRETLS"));
    let envelope = Envelope { require_tls: false, ..envelope };
    assert_eq!(lacks(&mut talk, &envelope), ClientError::TooBig(4));
    let envelope = Envelope { size: 4, ..envelope };
    assert_eq!(
        lacks(&mut talk, &Envelope { recipients: &["x@y.test>\r\nQUIT"], ..envelope }).to_string(),
        "expected local-part@domain (RFC 5321 §4.1.2)"
    );
    assert_eq!(talk.client.open(&envelope, true), Ok(ClientEvent::Send));
    assert_eq!(
        talk.said(),
        "MAIL FROM:<a@b.test> SIZE=4\r\nRCPT TO:<c@d.test>\r\nRCPT TO:<e@f.test>\r\nDATA\r\n"
    );
}

#[test]
fn tls_forgets_what_was_said_before() {
    let mut talk = Talk::new(&["STARTTLS", "AUTH PLAIN"]);
    talk.client.start_tls().unwrap();
    assert_eq!(talk.said(), "STARTTLS\r\n");
    assert_eq!(talk.hears("220 go"), [ClientEvent::StartTls]);
    talk.client.tls_started();
    assert_eq!(talk.said(), "EHLO relay.test\r\n");
    assert!(talk.client.capabilities().auth.is_empty());
    assert_eq!(talk.hears("250-x\r\n250 CHUNKING"), [ClientEvent::Ready]);
    assert_eq!(talk.client.start_tls(), Err(ClientError::Lacks("STARTTLS")));
}

#[test]
fn clear_text_behind_the_answer_to_starttls_is_refused() {
    let mut talk = Talk::new(&["STARTTLS"]);
    talk.client.start_tls().unwrap();
    assert_eq!(talk.tries("220 go\r\n250-x\r\n250 AUTH PLAIN"), Err(ClientError::Injected));
    let mut talk = Talk::new(&["STARTTLS"]);
    talk.client.start_tls().unwrap();
    let refused = Reply::fixed(454, (4, 7, 0), "no");
    assert!(
        matches!(&talk.hears("454 4.7.0 no")[..], [ClientEvent::TlsRefused(reply)] if reply.code() == refused.code())
    );
    assert!(talk.client.is_ready());
}

#[test]
fn a_smarthost_is_told_a_password() {
    let secret = |text: &str| Secret::new(text.to_owned());
    let mut talk = Talk::new(&["AUTH plain SCRAM-SHA-256"]);
    talk.client.authenticate("PLAIN", Some(&secret("\0ana\0x"))).unwrap();
    assert_eq!(talk.said(), "AUTH PLAIN AGFuYQB4\r\n");
    assert_eq!(talk.hears("235 ok"), [ClientEvent::Authenticated]);
    talk.client.authenticate("SCRAM-SHA-256", Some(&secret(""))).unwrap();
    assert_eq!(talk.said(), "AUTH SCRAM-SHA-256 =\r\n");
    assert_eq!(talk.hears("334 bW9yZQ=="), [ClientEvent::Challenge(secret("more"))]);
    talk.client.respond(Some(&secret("right")));
    assert_eq!(talk.said(), "cmlnaHQ=\r\n");
    assert!(matches!(&talk.hears("535 5.7.8 no")[..], [ClientEvent::AuthRefused(_)]));
    // A long response does not fit into the command.
    talk.client.authenticate("PLAIN", Some(&secret(&"x".repeat(600)))).unwrap();
    assert_eq!(talk.said(), "AUTH PLAIN\r\n");
    assert_eq!(talk.hears("334 "), [ClientEvent::Send]);
    assert_eq!(talk.said().len(), 802);
    assert_eq!(talk.hears("334 "), [ClientEvent::Challenge(secret(""))]);
    talk.client.respond(None);
    assert_eq!(talk.said(), "*\r\n");
    assert!(matches!(&talk.hears("501 5.7.0 cancelled")[..], [ClientEvent::AuthRefused(_)]));
    let many = format!("AUTH {}", "X ".repeat(400));
    assert_eq!(Talk::new(&[&many]).client.capabilities().auth.len(), 20);
    assert_eq!(talk.client.authenticate("LOGIN", None), Err(ClientError::Lacks("AUTH by this mechanism")));
}

#[test]
fn what_was_settled_is_known_when_the_server_goes_away_anywhere() {
    let script = ["250 a", "550 b", "250 c", "354 go", "250 taken"];
    for said in 0..script.len() {
        let mut talk = Talk::new(&["PIPELINING"]);
        talk.opens(true);
        let mut replies = script[..said].join("\r\n");
        if said > 0 {
            replies.push_str("\r\n");
        }
        assert!(matches!(talk.tries(&format!("{replies}421 bye")), Err(ClientError::Refused(_))));
        assert_eq!(talk.codes(), [(said > 1).then_some(550), None], "{said}");
        assert!(!talk.client.is_ready());
    }
}

#[test]
fn a_reply_that_asks_for_more_is_never_a_success() {
    for script in ["354 go", "250 a\r\n334 x", "250 a\r\n250 b\r\n250 c\r\n354 go\r\n354 again"] {
        let mut talk = Talk::new(&["PIPELINING"]);
        talk.opens(true);
        assert!(matches!(talk.tries(script), Err(ClientError::Unasked(_))), "{script}");
        assert_eq!(talk.codes(), [None, None]);
    }
}

#[test]
fn an_idle_connection_is_probed_before_it_is_used_again() {
    let mut talk = Talk::new(&[]);
    talk.client.probe().unwrap();
    assert_eq!(talk.said(), "RSET\r\n");
    assert_eq!(talk.hears("250 there"), [ClientEvent::Ready]);
    talk.client.quit();
    assert_eq!(talk.said(), "QUIT\r\n");
    assert_eq!(talk.client.probe(), Err(ClientError::NotReady));
}
