use super::*;

const NONE: Offers = Offers {
    auth: false,
    dsn: false,
    binary_mime: false,
    require_tls: false,
    future_release: false,
    priority: false,
    delivery_id: false,
    junk: false,
    queued: false,
};
const SMTP: Dialect = Dialect { lmtp: false, extended: true, offers: NONE };
const EVERYTHING: Offers = Offers {
    auth: true,
    dsn: true,
    binary_mime: true,
    require_tls: true,
    future_release: true,
    priority: true,
    delivery_id: true,
    junk: true,
    queued: true,
};

fn parse(line: &str) -> Result<Command<'_>, u16> {
    Command::parse(line.as_bytes(), SMTP).map_err(|reply| reply.code())
}

fn sender(line: &str) -> Result<String, u16> {
    match parse(line)? {
        Command::Mail(mail) => Ok(mail.reverse_path.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn reverse_paths_are_taken_from_every_usual_spelling() {
    assert_eq!(sender("MAIL FROM:<>"), Ok(String::new()));
    assert_eq!(sender("mail from:<A@b>"), Ok("A@b".into()));
    assert_eq!(sender("MAIL FROM: <a@b> SIZE=3"), Ok("a@b".into()));
    assert_eq!(sender("MAIL FROM:<@x,@y.z:a@b>"), Ok("a@b".into()));
    assert_eq!(sender(r#"MAIL FROM:<"a>b"@c>"#), Ok(r#""a>b"@c"#.into()));
    assert_eq!(sender("MAIL FROM:<ñ@b> SMTPUTF8"), Ok("ñ@b".into()));
}

#[test]
fn malformed_commands_get_the_code_of_the_rfc() {
    for (line, code) in [
        ("", 500),
        ("MAIL", 501),
        ("MAIL FROM", 501),
        ("MAIL FROM:", 501),
        ("MAIL FROM:a@b", 501),
        ("MAIL FROM:<a@b", 501),
        ("MAIL FROM:<a@b>x", 501),
        ("MAIL FROM:<a@b> SIZE=", 501),
        ("MAIL FROM:<a@b> SIZE=-1", 501),
        ("MAIL FROM:<a@b> SIZE=99999999999999999999", 501),
        ("MAIL FROM:<a@b> SIZE=1 SIZE=1", 501),
        ("MAIL FROM:<a@b> BODY=BINARYMIME", 501),
        ("MAIL FROM:<a@b> SMTPUTF8=1", 501),
        ("MAIL FROM:<a@b> RET=HDRS", 555),
        ("MAIL FROM:<a@b> XDELIVERYID=0", 555),
        ("MAIL FROM:<ñ@b>", 553),
        ("RCPT TO:<>", 501),
        ("RCPT TO:<a@b> NOTIFY=NEVER", 555),
        ("RCPT FROM:<a@b>", 501),
        ("BDAT", 501),
        ("BDAT x", 501),
        ("BDAT 1 FIRST", 501),
        ("BDAT 1 LAST x", 501),
        ("DATA x", 501),
        ("VRFY", 501),
        ("EHLO", 501),
        ("EHLO a b", 501),
        ("EHLO a(b)", 501),
        ("LHLO a", 500),
        ("EXPN x", 502),
        ("GET / HTTP/1.1", 500),
        ("STARTTLSX", 500),
        ("NOOP \u{7}", 500),
        ("NOOP \r", 500),
        ("NOOP \nRSET", 500),
    ] {
        assert_eq!(parse(line), Err(code), "{line:?}");
    }
    assert_eq!(Command::parse(b"NOOP \xff", SMTP).map_err(|reply| reply.code()), Err(500));
}

#[test]
fn parameters_are_refused_after_helo() {
    let plain = Dialect { extended: false, ..SMTP };
    assert_eq!(Command::parse(b"MAIL FROM:<a@b> SIZE=1", plain).map_err(|reply| reply.code()), Err(555));
}

#[test]
fn postmaster_needs_no_domain() {
    assert_eq!(
        parse("RCPT TO:<PostMaster>"),
        Ok(Command::Recipient(Recipient::Postmaster, RecipientParameters::default()))
    );
}

#[test]
fn a_delivery_id_is_read_on_our_own_links_only() {
    let id = DeliveryId::generate();
    let line = format!("MAIL FROM:<> XDELIVERYID={id}");
    let lmtp = Dialect { lmtp: true, offers: Offers { delivery_id: true, ..NONE }, ..SMTP };
    match Command::parse(line.as_bytes(), lmtp) {
        Ok(Command::Mail(mail)) => assert_eq!(mail.delivery_id, Some(id)),
        other => panic!("{other:?}"),
    }
    assert_eq!(parse(&line), Err(555));
}

/// MAIL to a listener that offers everything.
fn extended(parameters: &str) -> Result<Mail, u16> {
    let line = format!("MAIL FROM:<ana@ejemplo.test> {parameters}");
    let dialect = Dialect { offers: EVERYTHING, ..SMTP };
    match Command::parse(line.as_bytes(), dialect).map_err(|reply| reply.code())? {
        Command::Mail(mail) => Ok(mail),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_extension_is_read() {
    let mail = extended(
        "SIZE=9 BODY=BINARYMIME SMTPUTF8 AUTH=beto+2Bx@ejemplo.test RET=HDRS ENVID=QQ+20314 REQUIRETLS \
         HOLDFOR=86400 MT-PRIORITY=-4 XJUNK XQUEUED=1700000000",
    )
    .unwrap();
    let expected = Mail {
        size: Some(9),
        body: Body::BinaryMime,
        smtputf8: true,
        auth: Some("beto+x@ejemplo.test".parse().unwrap()),
        ret: Some(Ret::Headers),
        envelope_id: Some("QQ+20314".parse().unwrap()),
        require_tls: true,
        hold: Some(Hold::For(86_400)),
        priority: Some(-4),
        junk: true,
        queued: Some(1_700_000_000),
        ..Mail::new("ana@ejemplo.test".parse().unwrap())
    };
    assert_eq!(mail, expected);
    assert_eq!(extended("AUTH=<>").unwrap().auth, Some(ReversePath::Null));
    let until = extended("HOLDUNTIL=2026-11-22T12:00:00-04:00").unwrap().hold;
    assert_eq!(until, Some(Hold::Until(1_795_363_200)));
}

#[test]
fn malformed_parameters_are_501() {
    for parameters in [
        "AUTH=",
        "AUTH=ana",
        "AUTH=<ana@ejemplo.test>",
        "RET",
        "RET=ALL",
        "RET=FULL RET=FULL",
        "ENVID=",
        "ENVID=a=b",
        "ENVID=a+0A",
        "REQUIRETLS=1",
        "REQUIRETLS REQUIRETLS",
        "HOLDFOR=0",
        "HOLDFOR=01",
        "HOLDFOR=1000000000",
        "HOLDFOR=-1",
        "HOLDUNTIL=2026-11-22",
        "HOLDUNTIL=1969-01-01T00:00:00Z",
        "HOLDFOR=1 HOLDUNTIL=2026-11-22T12:00:00Z",
        "MT-PRIORITY=10",
        "MT-PRIORITY=-0",
        "MT-PRIORITY=+1",
        "MT-PRIORITY=01",
        "BODY=BINARY",
        "XJUNK=1",
        "XQUEUED=yesterday",
    ] {
        assert_eq!(extended(parameters).err(), Some(501), "{parameters}");
    }
    assert_eq!(extended(&format!("ENVID={}", "x".repeat(101))).err(), Some(501));
}

#[test]
fn what_is_not_offered_is_555() {
    for parameter in
        ["AUTH=<>", "RET=FULL", "ENVID=x", "REQUIRETLS", "HOLDFOR=1", "MT-PRIORITY=1", "XJUNK", "XQUEUED=1"]
    {
        assert_eq!(parse(&format!("MAIL FROM:<a@b> {parameter}")), Err(555), "{parameter}");
    }
}

#[test]
fn recipients_say_what_they_want_to_hear() {
    let dialect = Dialect { offers: EVERYTHING, ..SMTP };
    let parse = |parameters: &str| {
        let line = format!("RCPT TO:<c@d> {parameters}");
        match Command::parse(line.as_bytes(), dialect) {
            Ok(Command::Recipient(_, parameters)) => Ok(parameters),
            Ok(other) => panic!("{other:?}"),
            Err(reply) => Err(reply.code()),
        }
    };
    let found = parse("NOTIFY=success,Delay ORCPT=rfc822;ana+2Bx@ejemplo.test").unwrap();
    assert_eq!(found.notify.unwrap().to_string(), "SUCCESS,DELAY");
    assert_eq!(found.original.unwrap().address(), "ana+x@ejemplo.test");
    for (parameters, code) in [
        ("NOTIFY=NEVER,DELAY", 501),
        ("NOTIFY=NEVER NOTIFY=NEVER", 501),
        ("NOTIFY", 501),
        ("ORCPT=ana@ejemplo.test", 501),
        ("ORCPT=rfc822;a@b ORCPT=rfc822;a@b", 501),
        ("RET=FULL", 555),
    ] {
        assert_eq!(parse(parameters), Err(code), "{parameters}");
    }
    let long = format!("ORCPT=rfc822;{}", "x".repeat(494));
    assert_eq!(parse(&long), Err(501));
}

#[test]
fn authentication_is_a_mechanism_and_base64() {
    let dialect = Dialect { offers: EVERYTHING, ..SMTP };
    let parse = |line: &'static str| match Command::parse(line.as_bytes(), dialect) {
        Ok(Command::Authenticate { mechanism, initial }) => {
            Ok((mechanism, initial.map(|initial| initial.expose().to_owned())))
        }
        Ok(other) => panic!("{other:?}"),
        Err(reply) => Err(reply.code()),
    };
    assert_eq!(parse("AUTH PLAIN AGFuYQB4"), Ok(("PLAIN", Some("\0ana\0x".to_owned()))));
    assert_eq!(parse("auth login"), Ok(("login", None)));
    assert_eq!(parse("AUTH EXTERNAL ="), Ok(("EXTERNAL", Some(String::new()))));
    for line in ["AUTH", "AUTH PLAIN !", "AUTH PLAIN AA", "AUTH PLAIN /w==", "AUTH PLAIN AAAA BBBB"] {
        assert_eq!(parse(line), Err(501), "{line}");
    }
}
