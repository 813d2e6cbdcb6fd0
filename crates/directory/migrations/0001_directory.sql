-- The user database: who is there, which node owns them, and a log of what changed.

CREATE TABLE node (
    -- Never used again for another node: running servers know nodes by it.
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    lmtp TEXT NOT NULL,
    imap TEXT NOT NULL,
    pop3 TEXT NOT NULL
) STRICT;

CREATE TABLE domain (
    -- Never used again for another domain, likewise.
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    name      TEXT NOT NULL UNIQUE,
    catch_all TEXT
) STRICT;

CREATE TABLE account (
    id       INTEGER PRIMARY KEY,
    domain   INTEGER NOT NULL REFERENCES domain (id),
    address  TEXT NOT NULL UNIQUE,
    -- An Argon2 hash as a PHC string; without one nobody can log in.
    password TEXT,
    node     INTEGER NOT NULL REFERENCES node (id),
    -- Octets; NULL is unlimited.
    quota    INTEGER,
    -- 0 active, 1 suspended, 2 closed.
    state    INTEGER NOT NULL DEFAULT 0,
    -- 1 IMAP, 2 POP3.
    services INTEGER NOT NULL DEFAULT 3,
    uid      INTEGER,
    gid      INTEGER
) STRICT;

CREATE INDEX account_by_node ON account (node);
CREATE INDEX account_by_domain ON account (domain);

CREATE TABLE alias (
    address TEXT NOT NULL,
    target  TEXT NOT NULL,
    domain  INTEGER NOT NULL REFERENCES domain (id),
    -- The order in which the operator gave the targets.
    place   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (address, target)
) STRICT, WITHOUT ROWID;

CREATE INDEX alias_by_domain ON alias (domain);

-- What changed, for running servers: kind 'address' names an account or alias, 'domain' and 'node' say that their table changed.
-- A server that has fallen behind what is kept here reads everything again.
CREATE TABLE change (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    kind    TEXT NOT NULL,
    subject TEXT NOT NULL
) STRICT;

CREATE TRIGGER change_trim AFTER INSERT ON change WHEN NEW.seq % 1000 = 0
BEGIN
    DELETE FROM change WHERE seq <= NEW.seq - 100000;
END;

CREATE TRIGGER account_added AFTER INSERT ON account
BEGIN
    INSERT INTO change (kind, subject) VALUES ('address', NEW.address);
END;
CREATE TRIGGER account_changed AFTER UPDATE ON account
BEGIN
    INSERT INTO change (kind, subject) VALUES ('address', NEW.address);
    INSERT INTO change (kind, subject) SELECT 'address', OLD.address WHERE OLD.address <> NEW.address;
END;
CREATE TRIGGER account_removed AFTER DELETE ON account
BEGIN
    INSERT INTO change (kind, subject) VALUES ('address', OLD.address);
END;

CREATE TRIGGER alias_added AFTER INSERT ON alias
BEGIN
    INSERT INTO change (kind, subject) VALUES ('address', NEW.address);
END;
CREATE TRIGGER alias_changed AFTER UPDATE ON alias
BEGIN
    INSERT INTO change (kind, subject) VALUES ('address', NEW.address);
    INSERT INTO change (kind, subject) SELECT 'address', OLD.address WHERE OLD.address <> NEW.address;
END;
CREATE TRIGGER alias_removed AFTER DELETE ON alias
BEGIN
    INSERT INTO change (kind, subject) VALUES ('address', OLD.address);
END;

CREATE TRIGGER domain_added AFTER INSERT ON domain
BEGIN
    INSERT INTO change (kind, subject) VALUES ('domain', NEW.name);
END;
CREATE TRIGGER domain_changed AFTER UPDATE ON domain
BEGIN
    INSERT INTO change (kind, subject) VALUES ('domain', NEW.name);
END;
CREATE TRIGGER domain_removed AFTER DELETE ON domain
BEGIN
    INSERT INTO change (kind, subject) VALUES ('domain', OLD.name);
END;

CREATE TRIGGER node_added AFTER INSERT ON node
BEGIN
    INSERT INTO change (kind, subject) VALUES ('node', NEW.name);
END;
CREATE TRIGGER node_changed AFTER UPDATE ON node
BEGIN
    INSERT INTO change (kind, subject) VALUES ('node', NEW.name);
END;
CREATE TRIGGER node_removed AFTER DELETE ON node
BEGIN
    INSERT INTO change (kind, subject) VALUES ('node', OLD.name);
END;
