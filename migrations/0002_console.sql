CREATE TABLE `console_sessions` (
	`sha256` text PRIMARY KEY NOT NULL,
	`key_sha256` text NOT NULL,
	`created_at` integer NOT NULL,
	`expires_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `console_sessions_by_expiry` ON `console_sessions` (`expires_at`);--> statement-breakpoint
CREATE TABLE `screen_alerts` (
	`session` text NOT NULL,
	`report` text NOT NULL,
	`agent` text NOT NULL,
	`rule` text NOT NULL,
	`count` integer NOT NULL,
	`at` integer NOT NULL,
	PRIMARY KEY(`session`, `report`)
);
--> statement-breakpoint
CREATE INDEX `screen_alerts_by_time` ON `screen_alerts` (`at`);--> statement-breakpoint
CREATE TABLE `sign_in_links` (
	`sha256` text PRIMARY KEY NOT NULL,
	`key_sha256` text NOT NULL,
	`expires_at` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `signal_alerts` (
	`id` text PRIMARY KEY NOT NULL,
	`signal` text NOT NULL,
	`agent` text NOT NULL,
	`value` integer NOT NULL,
	`threshold` integer NOT NULL,
	`raised_at` integer NOT NULL,
	`last_at` integer NOT NULL,
	`cleared_at` integer,
	`delivered_at` integer,
	`attempts` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `signal_alerts_by_time` ON `signal_alerts` (`raised_at`);--> statement-breakpoint
CREATE UNIQUE INDEX `signal_alerts_open` ON `signal_alerts` (`signal`,`agent`) WHERE cleared_at is null;--> statement-breakpoint
CREATE TABLE `stops` (
	`scope` text PRIMARY KEY NOT NULL,
	`placed_at` integer NOT NULL,
	`placed_by` text NOT NULL,
	`reason` text
);
