"""The tables of a journal, as a list of scripts: each migrates a file to the next version."""

from __future__ import annotations

from typing import Final

MIGRATIONS: Final = (
    """
    CREATE TABLE steps (
        number INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        switch TEXT NOT NULL,
        accounts TEXT NOT NULL,  -- |acme|other|
        kind TEXT NOT NULL,
        call TEXT,
        other_call TEXT,
        transfer TEXT,
        body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX steps_of_transfer ON steps (transfer, number) WHERE transfer IS NOT NULL;
    CREATE TABLE transfers (
        id TEXT PRIMARY KEY,
        account TEXT NOT NULL,
        switch TEXT NOT NULL,
        kind TEXT NOT NULL,
        asked_by TEXT NOT NULL,
        target TEXT NOT NULL,
        transferor_call TEXT NOT NULL,
        transferor_number TEXT NOT NULL,
        transferee_call TEXT NOT NULL,
        transferee_number TEXT NOT NULL,
        target_call TEXT NOT NULL,
        request TEXT NOT NULL,
        policy TEXT NOT NULL,
        begun REAL NOT NULL,
        first_step INTEGER NOT NULL,
        state TEXT NOT NULL,
        ended REAL,
        last_step INTEGER NOT NULL,
        outcome TEXT,
        cause TEXT
    ) STRICT;
    CREATE INDEX transfers_of_account ON transfers (account, begun);
    CREATE INDEX transfers_in_flight ON transfers (switch) WHERE outcome IS NULL;
    CREATE TABLE keys (
        id TEXT PRIMARY KEY,
        account TEXT,  -- NULL: all accounts
        label TEXT NOT NULL,
        hash TEXT NOT NULL,
        made REAL NOT NULL,
        revoked REAL
    ) STRICT;
    CREATE TABLE tokens (
        hash TEXT PRIMARY KEY,
        key TEXT NOT NULL REFERENCES keys (id),
        expires REAL NOT NULL
    ) STRICT;
    CREATE TABLE metaflows (
        account TEXT PRIMARY KEY,
        document TEXT NOT NULL,
        changed REAL NOT NULL
    ) STRICT;
    CREATE TABLE answers (
        caller TEXT NOT NULL,
        key TEXT NOT NULL,
        request TEXT NOT NULL,
        status INTEGER NOT NULL,
        body TEXT NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (caller, key)
    ) STRICT;
    """,
    """
    ALTER TABLE steps ADD COLUMN begins TEXT;
    """,
    """
    DROP TABLE tokens;
    ALTER TABLE keys ADD COLUMN read_only INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE secrets (
        name TEXT PRIMARY KEY,
        secret BLOB NOT NULL
    ) STRICT;
    """,
    """
    UPDATE steps SET accounts = '['  -- "|acme|other|" becomes ["acme", "other"]
        || CASE accounts WHEN '||' THEN ''
        ELSE replace(json_quote(substr(accounts, 2, length(accounts) - 2)), '|', '","') END
        || ']';
    CREATE TABLE accounts (
        id INTEGER PRIMARY KEY,
        name TEXT UNIQUE  -- NULL: every account
    ) STRICT;
    INSERT INTO accounts VALUES (0, NULL);
    INSERT INTO accounts (name) SELECT DISTINCT value FROM steps, json_each(steps.accounts);
    CREATE TABLE steps_of_account (
        account INTEGER NOT NULL REFERENCES accounts (id),
        number INTEGER NOT NULL,
        PRIMARY KEY (account, number)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO steps_of_account SELECT accounts.id, steps.number
        FROM steps, json_each(steps.accounts) AS one JOIN accounts ON accounts.name = one.value
        GROUP BY accounts.id, steps.number;
    INSERT INTO steps_of_account SELECT 0, number FROM steps WHERE kind LIKE 'switch.%';
    CREATE TABLE numbering (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        whole_from INTEGER NOT NULL  -- no step is missing from here on
    ) STRICT;
    INSERT INTO numbering SELECT 1, coalesce(max(number), 1) FROM steps AS step
        WHERE NOT EXISTS (SELECT 1 FROM steps AS before WHERE before.number = step.number - 1);
    CREATE TRIGGER step_added AFTER INSERT ON steps BEGIN
        INSERT OR IGNORE INTO accounts (name) SELECT value FROM json_each(new.accounts);
        INSERT OR IGNORE INTO steps_of_account SELECT accounts.id, new.number
            FROM json_each(new.accounts) AS one JOIN accounts ON accounts.name = one.value;
        INSERT INTO steps_of_account SELECT 0, new.number WHERE new.kind LIKE 'switch.%';
        UPDATE numbering SET whole_from = new.number WHERE whole_from < new.number
            AND NOT EXISTS (SELECT 1 FROM steps WHERE number = new.number - 1);
        END;
    CREATE TRIGGER step_deleted AFTER DELETE ON steps BEGIN
        DELETE FROM steps_of_account WHERE number = old.number AND account IN (SELECT accounts.id
            FROM json_each(old.accounts) AS one JOIN accounts ON accounts.name = one.value
            UNION SELECT 0);
        UPDATE numbering SET whole_from = old.number + 1 WHERE whole_from <= old.number;
        END;
    """,
    """
    CREATE TABLE clock (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        believed REAL NOT NULL,  -- the time of day, when it was last believed
        off REAL NOT NULL,  -- how far the clock is ahead of it, in seconds
        off_for REAL NOT NULL  -- how long a service has run so, in seconds
    ) STRICT;
    CREATE INDEX transfers_by_outcome ON transfers (account, outcome, begun, id);
    """,
    """
    ALTER TABLE transfers ADD COLUMN sip_status INTEGER;
    ALTER TABLE transfers ADD COLUMN ended_by TEXT;
    """,
)
"""Scripts that migrate a file from each version to the next. Each statement ends at the end of a
line. Never change a script; append a new one."""
