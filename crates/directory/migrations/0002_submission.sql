-- Submission: who may send, as whom, and passwords that can be proved without being sent.

-- An RFC 5803 verifier (SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey), written together with the password. NULL where the
-- password was set before there were any, or was given as a hash: that account logs in by PLAIN until its next password.
ALTER TABLE account ADD COLUMN scram TEXT;

-- services: 4 is submission. Who might use anything may submit too.
UPDATE account SET services = services | 4 WHERE services <> 0;

-- Addresses that an account may send as, beside its own and the aliases that lead to it alone.
CREATE TABLE delegation (
    account TEXT NOT NULL,
    sender  TEXT NOT NULL,
    PRIMARY KEY (account, sender)
) STRICT, WITHOUT ROWID;

CREATE INDEX delegation_by_sender ON delegation (sender);

CREATE TRIGGER delegation_added AFTER INSERT ON delegation
BEGIN
    INSERT INTO change (kind, subject) VALUES ('delegation', NEW.account);
END;
CREATE TRIGGER delegation_removed AFTER DELETE ON delegation
BEGIN
    INSERT INTO change (kind, subject) VALUES ('delegation', OLD.account);
END;

-- Whoever gets an address that somebody had before inherits nothing, and gives nothing away.
CREATE TRIGGER account_delegations_removed AFTER DELETE ON account
BEGIN
    DELETE FROM delegation WHERE account = OLD.address OR sender = OLD.address;
END;
CREATE TRIGGER alias_delegations_removed AFTER DELETE ON alias
WHEN NOT EXISTS (SELECT 1 FROM alias WHERE address = OLD.address)
BEGIN
    DELETE FROM delegation WHERE sender = OLD.address;
END;

-- Random octets of this site, the same at all of its servers.
CREATE TABLE secret (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- From it come the salts of users that do not exist, so that they do not change and are not known from those that do.
INSERT INTO secret (name, value) VALUES ('scram', randomblob(32));
