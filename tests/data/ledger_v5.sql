BEGIN TRANSACTION;
CREATE TABLE attempts (
	run_id INTEGER NOT NULL, 
	attempt INTEGER NOT NULL, 
	state VARCHAR NOT NULL, 
	reason VARCHAR, 
	owner VARCHAR, 
	started_at BIGINT, 
	finished_at BIGINT, 
	error TEXT, 
	output TEXT, 
	PRIMARY KEY (run_id, attempt), 
	FOREIGN KEY(run_id) REFERENCES runs (id)
);
INSERT INTO "attempts" VALUES(1,1,'failed',NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE audit (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at BIGINT NOT NULL, 
	who VARCHAR NOT NULL, 
	origin VARCHAR NOT NULL, 
	action VARCHAR NOT NULL, 
	job VARCHAR DEFAULT '' NOT NULL, 
	run_id INTEGER, 
	details TEXT
);
INSERT INTO "audit" VALUES(1,1767225600000000,'anna','command on web-1','pause','sweep',NULL,NULL);
CREATE TABLE bots (
	id VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	host VARCHAR NOT NULL, 
	boot_id VARCHAR NOT NULL, 
	pid INTEGER NOT NULL, 
	version VARCHAR NOT NULL, 
	started_at BIGINT NOT NULL, 
	heartbeat_at BIGINT NOT NULL, 
	stopped_at BIGINT, 
	stats TEXT, 
	lease_until BIGINT DEFAULT '0' NOT NULL, 
	lock VARCHAR DEFAULT '' NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "bots" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','bot','web-1','boot',41,'0.1.0',1767225600000000,1767225605000000,1767225609000000,NULL,0,'');
INSERT INTO "bots" VALUES('bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','bot','web-1','boot',42,'0.1.0',1767225600000000,1767225665000000,NULL,'{"busy":1}',0,'');
CREATE TABLE days (
	job VARCHAR NOT NULL, 
	tenant VARCHAR DEFAULT '' NOT NULL, 
	day VARCHAR NOT NULL, 
	worst TEXT NOT NULL, 
	counts TEXT NOT NULL, 
	duration_p50_ms INTEGER, 
	duration_p95_ms INTEGER, 
	lateness_p50_ms INTEGER, 
	lateness_p95_ms INTEGER, 
	PRIMARY KEY (job, tenant, day)
);
INSERT INTO "days" VALUES('sweep','','2025-12-31','[]','{}',1,1,1,1);
CREATE TABLE ledger (
	name VARCHAR NOT NULL, 
	value VARCHAR NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "ledger" VALUES('version','5');
INSERT INTO "ledger" VALUES('project','shop');
INSERT INTO "ledger" VALUES('created_at','2026-01-01T00:00:00+00:00');
CREATE TABLE listings (
	occurrence_id INTEGER NOT NULL, 
	params TEXT NOT NULL, 
	params_key VARCHAR NOT NULL, 
	overlap VARCHAR NOT NULL, 
	batch BIGINT DEFAULT '0' NOT NULL, 
	available_at BIGINT NOT NULL, 
	owner VARCHAR, 
	attempt INTEGER DEFAULT '1' NOT NULL, 
	listed INTEGER DEFAULT '0' NOT NULL, 
	finished_at BIGINT, 
	error TEXT, 
	PRIMARY KEY (occurrence_id), 
	FOREIGN KEY(occurrence_id) REFERENCES occurrences (id)
);
INSERT INTO "listings" VALUES(7,'{}','','skip',0,1767254400000000,NULL,1,1,1767254400000000,NULL);
CREATE TABLE occurrences (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	job VARCHAR NOT NULL, 
	schedule VARCHAR NOT NULL, 
	"key" VARCHAR DEFAULT '' NOT NULL, 
	due_at BIGINT NOT NULL, 
	decision VARCHAR NOT NULL, 
	reason VARCHAR, 
	until_at BIGINT, 
	count INTEGER DEFAULT '1' NOT NULL, 
	listing VARCHAR, 
	claimed_at BIGINT NOT NULL, 
	bot VARCHAR NOT NULL, 
	UNIQUE (job, schedule, "key", due_at)
);
INSERT INTO "occurrences" VALUES(1,'sweep','* * * * *','',1767225660000000,'run',NULL,NULL,1,NULL,1767225660000000,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa');
INSERT INTO "occurrences" VALUES(2,'sweep','* * * * *','',1767225720000000,'run',NULL,NULL,1,NULL,1767225720000000,'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb');
INSERT INTO "occurrences" VALUES(4,'sweep','* * * * *','',1767225000000000,'missed','coalesced',1767225540000000,10,NULL,1767225600000000,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa');
INSERT INTO "occurrences" VALUES(5,'sweep','manual','cccccccccccccccccccccccccccccccc',1767225730000000,'run',NULL,NULL,1,NULL,1767225730000000,'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb');
INSERT INTO "occurrences" VALUES(6,'sweep','manual','dddddddddddddddddddddddddddddddd',1767225740000000,'run',NULL,NULL,1,NULL,1767225740000000,'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb');
INSERT INTO "occurrences" VALUES(7,'invoice','0 9 * * *','Europe/Berlin',1767254400000000,'run',NULL,NULL,1,'listed',1767254400000000,'b');
CREATE TABLE pauses (
	job VARCHAR NOT NULL, 
	tenant VARCHAR DEFAULT '' NOT NULL, 
	paused_at BIGINT NOT NULL, 
	until_at BIGINT, 
	who VARCHAR NOT NULL, 
	why VARCHAR DEFAULT '' NOT NULL, 
	PRIMARY KEY (job, tenant)
);
INSERT INTO "pauses" VALUES('sweep','',1767225600000000,NULL,'anna','');
CREATE TABLE residences (
	tenant VARCHAR NOT NULL, 
	zone VARCHAR NOT NULL, 
	formers TEXT NOT NULL, 
	PRIMARY KEY (tenant)
);
INSERT INTO "residences" VALUES('acme','Europe/Berlin','[]');
CREATE TABLE runs (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	occurrence_id INTEGER NOT NULL, 
	tenant VARCHAR DEFAULT '' NOT NULL, 
	job VARCHAR NOT NULL, 
	schedule VARCHAR NOT NULL, 
	due_at BIGINT NOT NULL, 
	state VARCHAR NOT NULL, 
	reason VARCHAR, 
	params TEXT NOT NULL, 
	params_key VARCHAR NOT NULL, 
	attempt INTEGER DEFAULT '1' NOT NULL, 
	queue VARCHAR DEFAULT 'default' NOT NULL, 
	available_at BIGINT NOT NULL, 
	owner VARCHAR, 
	claimed_at BIGINT NOT NULL, 
	started_at BIGINT, 
	finished_at BIGINT, 
	error TEXT, 
	result TEXT, 
	output TEXT, 
	progress_done BIGINT, 
	progress_total BIGINT, 
	cancel_requested_at BIGINT, 
	cancelled_by VARCHAR, 
	in_turn INTEGER DEFAULT '0' NOT NULL, 
	lingers INTEGER DEFAULT '0' NOT NULL, 
	tenant_name VARCHAR DEFAULT '' NOT NULL, 
	UNIQUE (occurrence_id, tenant), 
	FOREIGN KEY(occurrence_id) REFERENCES occurrences (id)
);
INSERT INTO "runs" VALUES(1,1,'','sweep','* * * * *',1767225660000000,'succeeded',NULL,'{}','key',1,'default',1767225660000000,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',1767225660000000,1767225660100000,1767225661000000,NULL,'{"rows":3}','swept 3 rows
',3,3,NULL,NULL,0,0,'');
INSERT INTO "runs" VALUES(2,2,'','sweep','* * * * *',1767225720000000,'running',NULL,'{}','key',1,'default',1767225720000000,'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',1767225720000000,1767225720100000,NULL,NULL,NULL,NULL,1,NULL,NULL,NULL,0,0,'');
INSERT INTO "runs" VALUES(4,5,'','sweep','manual',1767225730000000,'failed',NULL,'{"shop":"it''s; mine"}','other',1,'default',1767225730000000,'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',1767225730000000,1767225730100000,1767225731000000,'{"type":"KeyError","message":"''a''","place":"lib/background_jobs/sweep.py:3 in run","traceback":"Traceback ..."}',NULL,NULL,NULL,NULL,NULL,NULL,0,0,'');
INSERT INTO "runs" VALUES(5,6,'','sweep','manual',1767225740000000,'queued',NULL,'{"shop":2}','third',1,'default',1767225740000000,NULL,1767225740000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,'');
INSERT INTO "runs" VALUES(6,7,'acme','invoice','0 9 * * *',1767254400000000,'succeeded',NULL,'{}','',1,'default',1767254400000000,NULL,1767254400000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,'Acme');
CREATE TABLE schedules (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	job VARCHAR NOT NULL, 
	schedule VARCHAR NOT NULL, 
	"key" VARCHAR DEFAULT '' NOT NULL, 
	fingerprint VARCHAR NOT NULL, 
	effective_from BIGINT NOT NULL, 
	planned_to BIGINT NOT NULL, 
	removed_at BIGINT, 
	announced_by VARCHAR DEFAULT '' NOT NULL, 
	UNIQUE (job, schedule, "key")
);
INSERT INTO "schedules" VALUES(1,'sweep','* * * * *','','* * * * * | UTC | once | 0',1767225600000000,1767225720000000,NULL,'');
INSERT INTO "schedules" VALUES(3,'gone','0 3 * * *','','0 3 * * * | UTC | once | 0',1767225600000000,1767225600000000,1767225660000000,'');
CREATE TABLE skips (
	job VARCHAR NOT NULL, 
	schedule VARCHAR DEFAULT '' NOT NULL, 
	"key" VARCHAR DEFAULT '' NOT NULL, 
	remaining INTEGER NOT NULL, 
	who VARCHAR NOT NULL, 
	why VARCHAR DEFAULT '' NOT NULL, 
	asked_at BIGINT NOT NULL, 
	PRIMARY KEY (job, schedule, "key")
);
INSERT INTO "skips" VALUES('sweep','','',2,'anna','',1767225600000000);
INSERT INTO "skips" VALUES('invoice','0 9 * * *','Europe/Berlin',1,'anna','',1767225600000000);
CREATE INDEX occurrences_listing ON occurrences (id) WHERE listing IN ('queued', 'running');
CREATE INDEX runs_waiting ON runs (job, available_at, id) WHERE state = 'queued' AND owner IS NULL;
CREATE INDEX runs_by_job ON runs (job, id);
CREATE INDEX runs_ended_badly ON runs (finished_at) WHERE state IN ('failed', 'timed_out', 'interrupted');
CREATE INDEX runs_open ON runs (job, params_key, tenant, id) WHERE (state IN ('queued', 'running') OR lingers = 1);
CREATE INDEX occurrences_passed ON occurrences (job, id) WHERE decision <> 'run';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('schedules',3);
INSERT INTO "sqlite_sequence" VALUES('occurrences',7);
INSERT INTO "sqlite_sequence" VALUES('runs',6);
INSERT INTO "sqlite_sequence" VALUES('audit',1);
COMMIT;
