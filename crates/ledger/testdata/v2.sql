-- A ledger of schema version 2: `sqlite3 ledger.db .dump`, with the numbers that it leaves out.
PRAGMA auto_vacuum=2;
PRAGMA application_id=1953651060;
PRAGMA user_version=2;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE place (
        log   TEXT NOT NULL PRIMARY KEY,
        place TEXT NOT NULL
     ) STRICT, WITHOUT ROWID;
INSERT INTO place VALUES('/var/log/mail.log','{"offset":4711}');
CREATE TABLE pending (
        log      TEXT NOT NULL PRIMARY KEY,
        attempts TEXT NOT NULL
     ) STRICT;
INSERT INTO pending VALUES('/var/log/mail.log','[]');
CREATE TABLE relay (
        relay  TEXT NOT NULL PRIMARY KEY,
        seen   INTEGER NOT NULL,
        stays  INTEGER NOT NULL CHECK (stays IN (0, 1)),
        record TEXT NOT NULL
     ) STRICT, WITHOUT ROWID;
INSERT INTO relay VALUES('mx.example.org',1795470607,1,'{"stuck":3}');
INSERT INTO relay VALUES('mx2.example.org',1795470000,0,'{}');
CREATE TABLE success (
        relay   TEXT NOT NULL PRIMARY KEY,
        seen    INTEGER NOT NULL,
        version TEXT NOT NULL,
        verify  TEXT NOT NULL
     ) STRICT, WITHOUT ROWID;
INSERT INTO success VALUES('good.example.org',1795470000,'TLSv1.3','OK');
CREATE TABLE sts (
        domain  TEXT NOT NULL PRIMARY KEY,
        mode    TEXT NOT NULL,
        id      TEXT NOT NULL,
        fetched INTEGER NOT NULL,
        until   INTEGER NOT NULL
     ) STRICT, WITHOUT ROWID;
INSERT INTO sts VALUES('example.org','enforce','20261101T000000',1795470000,1796074800);
CREATE TABLE note (
        name TEXT NOT NULL PRIMARY KEY,
        note TEXT NOT NULL
     ) STRICT, WITHOUT ROWID;
INSERT INTO note VALUES('put back','1795470000');
CREATE TABLE happening (
        id     INTEGER PRIMARY KEY,
        at     INTEGER NOT NULL,
        relay  TEXT,
        what   TEXT NOT NULL,
        detail TEXT NOT NULL
     ) STRICT;
INSERT INTO happening VALUES(1,1795470607,'mx.example.org','held','stuck');
CREATE TABLE request (
        id      INTEGER PRIMARY KEY AUTOINCREMENT,
        who     TEXT NOT NULL,
        at      INTEGER NOT NULL,
        what    TEXT NOT NULL,
        done_at INTEGER,
        outcome TEXT,
        CHECK ((done_at IS NULL) = (outcome IS NULL))
     ) STRICT;
INSERT INTO request VALUES(1,'root',1795470000,'approve mx2.example.org',1795470001,'approved');
INSERT INTO request VALUES(2,'root',1795470600,'lift mx.example.org',NULL,NULL);
CREATE TABLE purge (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        at  INTEGER NOT NULL
     ) STRICT;
CREATE TABLE line (
        id    INTEGER PRIMARY KEY,
        relay TEXT NOT NULL,
        at    INTEGER NOT NULL,
        line  TEXT NOT NULL
     ) STRICT;
INSERT INTO line VALUES(1,'mx.example.org',1795470607,'Nov 23 10:57:42 mx1 sm-mta[421]: ruleset=tls_server, arg1=SOFTWARE, relay=mx.example.org, reject=454 4.7.0 TLS handshake failed.');
CREATE TABLE vote (
        relay   TEXT NOT NULL,
        mta     TEXT NOT NULL,
        says    TEXT NOT NULL,
        seen    INTEGER NOT NULL,
        written INTEGER NOT NULL,
        PRIMARY KEY (relay, mta)
     ) STRICT, WITHOUT ROWID;
INSERT INTO vote VALUES('mx.example.org','mta1.example.net','needs Try_TLS:mx.example.org',1795470607,1795470610);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('request',2);
CREATE INDEX happening_of_relay ON happening (relay) WHERE relay IS NOT NULL;
CREATE INDEX line_of_relay ON line (relay);
CREATE INDEX request_open ON request (id) WHERE done_at IS NULL;
COMMIT;
