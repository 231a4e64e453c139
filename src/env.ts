import type { DeskRpc } from './approvals/contract.ts';
import type { DirectoryRpc, LedgerRpc } from './ledger/contract.ts';

type Objects<T> = DurableObjectNamespace<T & Rpc.DurableObjectBranded>;

/** Bindings as wrangler gives them. Credentials are further secrets, named by the policies and read only in `upstream/secrets.ts`. */
export interface Env {
  readonly DB: D1Database;
  readonly LEDGER: Objects<LedgerRpc>;
  readonly DIRECTORY: Objects<DirectoryRpc>;
  readonly APPROVALS: Objects<DeskRpc>;
  /** The console's built files; absent where nothing was built. */
  readonly ASSETS?: Fetcher;
  /** `iss` of the tokens minted here. */
  readonly KEYWARDEN_ISSUER: string;
  /** `aud` of the tokens accepted here. */
  readonly KEYWARDEN_AUDIENCE: string;
  /** Private Ed25519 JWK (JSON, with `kid`) that signs. */
  readonly KEYWARDEN_SIGNING_KEY: string;
  /** The key before it (JWK, public part suffices): still verifies, no longer signs. */
  readonly KEYWARDEN_PREVIOUS_KEY?: string;
  /** JSON: [{ "id", "roles": ["mint"…], "groups"?: ["finance"…], "sha256": hex }]. */
  readonly KEYWARDEN_OPERATORS: string;
  /** Cloudflare Access: `https://<team>.cloudflareaccess.com` and the application's audience tag. */
  readonly KEYWARDEN_ACCESS_ISSUER?: string;
  readonly KEYWARDEN_ACCESS_AUDIENCE?: string;
  /** JSON: { "person@example.com": ["audit"] }. */
  readonly KEYWARDEN_ACCESS_ROLES?: string;
  /** `dev` only under `keywarden dev`: without agents.yaml any agent may hold anything, and loopback http origins are served. */
  readonly KEYWARDEN_MODE?: string;
  /** Days for which audit rows are kept; unset: for ever. */
  readonly KEYWARDEN_AUDIT_RETENTION_DAYS?: string;
  /** JSON: thresholds of the signals, see docs/signals.md. */
  readonly KEYWARDEN_SIGNALS?: string;
  /** Secret: where alerts are posted, signed by KEYWARDEN_WEBHOOK_SECRET. */
  readonly KEYWARDEN_ALERT_WEBHOOK_URL?: string;
  /** Rows that may wait for D1 before calls are refused; 50,000 unless set. */
  readonly KEYWARDEN_LEDGER_MAX_WAITING_ROWS?: string;
  /** Seconds after which an intent without an outcome is closed as `call.unknown`; 600 unless set. */
  readonly KEYWARDEN_OUTCOME_TIMEOUT_SECONDS?: string;
  /** Secret: where reviewers are told of new approvals (Slack's incoming-webhook form), and what signs messages and links. */
  readonly KEYWARDEN_APPROVAL_WEBHOOK_URL?: string;
  readonly KEYWARDEN_WEBHOOK_SECRET?: string;
  /** Most pending approvals of one agent, 20 unless set; and most that it may ask for in an hour, 200 unless set. */
  readonly KEYWARDEN_APPROVAL_MAX_PENDING?: string;
  readonly KEYWARDEN_APPROVAL_MAX_HOURLY?: string;
}
