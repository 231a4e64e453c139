CREATE TABLE `sessions` (
	`session` text PRIMARY KEY NOT NULL,
	`agent` text NOT NULL,
	`backend` text NOT NULL,
	`host` text NOT NULL,
	`program` text NOT NULL,
	`capabilities` text NOT NULL,
	`key` text NOT NULL,
	`started_by` text NOT NULL,
	`started_at` integer NOT NULL,
	`deadline_at` integer NOT NULL,
	`last_seen_at` integer NOT NULL,
	`sequence` integer NOT NULL,
	`counters` text,
	`stop_requested_at` integer,
	`stop_requested_by` text,
	`ended_at` integer,
	`reason` text,
	`exit_code` integer,
	`absence_proven` integer,
	`receipt` text,
	`receipt_sha256` text,
	`start_noted` integer NOT NULL,
	`end_noted` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `sessions_by_time` ON `sessions` (`started_at`,`session`);--> statement-breakpoint
CREATE INDEX `sessions_by_agent` ON `sessions` (`agent`,`started_at`);--> statement-breakpoint
CREATE INDEX `sessions_open` ON `sessions` (`deadline_at`) WHERE ended_at is null;