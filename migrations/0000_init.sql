CREATE TABLE `audit` (
	`ledger` text NOT NULL,
	`seq` integer NOT NULL,
	`at` integer NOT NULL,
	`event` text NOT NULL,
	`request_id` text NOT NULL,
	`agent` text,
	`session` text,
	`token_id` text,
	`capability` text,
	`service` text,
	`method` text,
	`path` text,
	`query_names` text,
	`decision` text,
	`reason` text,
	`status` integer,
	`request_bytes` integer,
	`response_bytes` integer,
	`duration_ms` integer,
	`redactions` integer,
	`request_hash` text,
	`policy_hash` text,
	`operator` text,
	`detail` text NOT NULL,
	`prev_hash` text NOT NULL,
	`hash` text NOT NULL,
	PRIMARY KEY(`ledger`, `seq`)
);
--> statement-breakpoint
CREATE INDEX `audit_by_time` ON `audit` (`at`,`ledger`,`seq`);--> statement-breakpoint
CREATE INDEX `audit_by_agent` ON `audit` (`agent`,`at`);--> statement-breakpoint
CREATE INDEX `audit_by_session` ON `audit` (`session`,`at`) WHERE "audit"."session" is not null;--> statement-breakpoint
CREATE INDEX `audit_by_capability` ON `audit` (`capability`,`at`) WHERE "audit"."capability" is not null;--> statement-breakpoint
CREATE INDEX `audit_by_request` ON `audit` (`request_id`);--> statement-breakpoint
CREATE INDEX `audit_denied` ON `audit` (`at`) WHERE decision = 'deny';--> statement-breakpoint
CREATE TABLE `revoked_sessions` (
	`session` text PRIMARY KEY NOT NULL,
	`revoked_at` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `tokens` (
	`token_id` text PRIMARY KEY NOT NULL,
	`agent` text NOT NULL,
	`session` text,
	`capabilities` text NOT NULL,
	`issued_at` integer NOT NULL,
	`expires_at` integer NOT NULL,
	`minted_by` text NOT NULL
);
--> statement-breakpoint
CREATE INDEX `tokens_by_session` ON `tokens` (`session`) WHERE "tokens"."session" is not null;--> statement-breakpoint
CREATE INDEX `tokens_by_expiry` ON `tokens` (`expires_at`);