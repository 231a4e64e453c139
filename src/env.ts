import type { LedgerDirectory } from './ledger/directory.ts';
import type { Ledger } from './ledger/ledger.ts';

/** Bindings as wrangler gives them. Credentials are further secrets, named by the policies and read only in `upstream/secrets.ts`. */
export interface Env {
  readonly DB: D1Database;
  readonly LEDGER: DurableObjectNamespace<Ledger>;
  readonly DIRECTORY: DurableObjectNamespace<LedgerDirectory>;
  /** `iss` of the tokens minted here. */
  readonly KEYWARDEN_ISSUER: string;
  /** `aud` of the tokens accepted here. */
  readonly KEYWARDEN_AUDIENCE: string;
  /** Private Ed25519 JWK (JSON, with `kid`) that signs. */
  readonly KEYWARDEN_SIGNING_KEY: string;
  /** The key before it (JWK, public part suffices): still verifies, no longer signs. */
  readonly KEYWARDEN_PREVIOUS_KEY?: string;
  /** JSON: [{ "id", "roles": ["mint"…], "sha256": hex }]. */
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
  /** Rows that may wait for D1 before calls are refused; 50,000 unless set. */
  readonly KEYWARDEN_LEDGER_MAX_WAITING_ROWS?: string;
  /** Seconds after which an intent without an outcome is closed as `call.unknown`; 600 unless set. */
  readonly KEYWARDEN_OUTCOME_TIMEOUT_SECONDS?: string;
}
