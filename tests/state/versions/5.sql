BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'omniroute','m001_usage','2026-11-24 22:13:41.648142+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'omniroute','m002_usage_details','2026-11-24 22:50:31.063263+00:00');
INSERT INTO "_sqlite_migrations" VALUES(3,'omniroute','m003_cache','2026-11-30 21:23:58.133657+00:00');
INSERT INTO "_sqlite_migrations" VALUES(4,'omniroute','m004_audit','2026-11-30 21:42:12.191654+00:00');
INSERT INTO "_sqlite_migrations" VALUES(5,'omniroute','m005_evals','2026-11-30 22:17:37.626954+00:00');
CREATE TABLE audit (
            number INTEGER PRIMARY KEY NOT NULL,
            entry TEXT NOT NULL,
            digest BLOB NOT NULL,
            at REAL NOT NULL,
            actor TEXT NOT NULL,
            action TEXT NOT NULL
        );
INSERT INTO "audit" VALUES(1,'{"at":1700000000.0,"actor":"ops","via":"key","action":"config.reload","target":"","outcome":"done","request_id":"","revision":"","diff":"","detail":{}}',X'F633E5E0222D21821E92D2F265E7D3C05F33A3FA4F8D8ADF01E8FB07E1BF04CF',1700000000.0,'ops','config.reload');
CREATE TABLE audit_head (only INTEGER PRIMARY KEY CHECK (only = 1), number INTEGER NOT NULL, seal BLOB NOT NULL);
INSERT INTO "audit_head" VALUES(1,1,X'839232B30333829742215CC2727E7C80B6FC793779FA0D19C78C363EEBC0ACA5');
CREATE TABLE cache (key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL, ends REAL NOT NULL) WITHOUT ROWID;
INSERT INTO "cache" VALUES(X'00FF',X'7B7D',1700003600.0);
CREATE TABLE eval_cases (
            number INTEGER PRIMARY KEY NOT NULL,
            run TEXT NOT NULL REFERENCES eval_runs (id) ON DELETE CASCADE,
            name TEXT NOT NULL,
            status TEXT NOT NULL,
            score REAL NOT NULL,
            ms REAL NOT NULL,
            model TEXT NOT NULL,
            input INTEGER NOT NULL,
            output INTEGER NOT NULL,
            cost TEXT,
            reason TEXT NOT NULL,
            checks TEXT NOT NULL,
            answer TEXT NOT NULL
        );
CREATE TABLE eval_runs (
            id TEXT PRIMARY KEY NOT NULL,
            suite TEXT NOT NULL,
            target TEXT NOT NULL,
            started REAL NOT NULL,
            ended REAL,
            status TEXT NOT NULL,
            total INTEGER NOT NULL,
            passed INTEGER NOT NULL,
            failed INTEGER NOT NULL,
            score REAL,
            cost TEXT,
            revision TEXT NOT NULL
        ) WITHOUT ROWID
    ;
CREATE TABLE usage (
            id TEXT PRIMARY KEY NOT NULL,
            request_id TEXT NOT NULL,
            started REAL NOT NULL,
            key TEXT NOT NULL,
            operation TEXT NOT NULL,
            format TEXT NOT NULL,
            requested TEXT NOT NULL,
            provider TEXT NOT NULL,
            connection TEXT NOT NULL,
            model TEXT NOT NULL,
            status INTEGER NOT NULL,
            error TEXT NOT NULL,
            code TEXT NOT NULL,
            stream INTEGER NOT NULL,
            input INTEGER NOT NULL,
            output INTEGER NOT NULL,
            cached INTEGER NOT NULL,
            cache_write INTEGER NOT NULL,
            cache_write_1h INTEGER NOT NULL,
            reasoning INTEGER NOT NULL,
            estimated INTEGER NOT NULL,
            cost TEXT,
            total_ms REAL NOT NULL,
            upstream_ms REAL NOT NULL,
            gateway_ms REAL NOT NULL,
            ttft_ms REAL,
            attempts TEXT NOT NULL,
            losses TEXT NOT NULL,
            revision TEXT NOT NULL
        , audio_input INTEGER NOT NULL DEFAULT 0, audio_output INTEGER NOT NULL DEFAULT 0, service_tier TEXT NOT NULL DEFAULT '', seconds REAL, images INTEGER NOT NULL DEFAULT 0, cache TEXT NOT NULL DEFAULT '', idempotent INTEGER NOT NULL DEFAULT 0, session TEXT NOT NULL DEFAULT '', route TEXT NOT NULL DEFAULT '', policies TEXT NOT NULL DEFAULT '[]') WITHOUT ROWID
    ;
INSERT INTO "usage" VALUES('0190a1b2c3d4e5f6','req-1',1700000000.25,'team-a','chat','openai_chat','coding','openai','openai.team','gpt-5.4',200,'','',1,1200,340,800,0,0,100,0,'0.00123',812.5,800.25,0.4,12.25,'[{"target":"openai/gpt-5.4","connection":"openai.team","outcome":"success","status":200,"ms":800.25,"message":""}]','["seed"]','r1',0,0,'',NULL,0,'',0,'','','[]');
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE INDEX cache_ends ON cache (ends);
CREATE INDEX audit_actor ON audit (actor);
CREATE INDEX audit_action ON audit (action);
CREATE INDEX eval_runs_suite ON eval_runs (suite, started);
CREATE INDEX eval_cases_run ON eval_cases (run);
COMMIT;
PRAGMA user_version = 5;
