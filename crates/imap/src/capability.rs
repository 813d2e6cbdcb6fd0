/// What a session can do once it is logged in (RFC 3501 §7.2.1). Storage nodes offer it, and so does the proxy already before
/// the log-in, because some clients ask only once.
pub const CAPABILITIES: &str = "IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE NAMESPACE UIDPLUS UNSELECT MOVE MULTIAPPEND CHILDREN \
     SPECIAL-USE CREATE-SPECIAL-USE LIST-EXTENDED LIST-STATUS STATUS=SIZE QUOTA QUOTA=RES-STORAGE";
