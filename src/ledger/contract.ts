import type { GrantedApproval } from '../approvals/contract.ts';
import type { AuditDetail, AuditEventName, CallFields, CallOutcome } from '../audit/event.ts';
import type { Denial } from '../denial.ts';
import type { RateSpec } from '../policy/ruled.ts';
import type { LedgerKind } from './name.ts';

/**
 * What the pipeline and the ledger (one Durable Object per agent) say to each other. Plain data only: it crosses
 * an isolate border, and outcomes wait in the isolate between requests, where no promise of another request may be held.
 */

/** Who speaks, as far as the ledger must know to decide revocation. */
export interface LedgerPrincipal {
  readonly agent: string;
  readonly session: string | null;
  readonly tokenId: string;
  /** Unix ms at which the token was issued; revocation of an agent kills what was issued until then. */
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

export interface NamedLimit {
  /** The capability's full name, or `agent`. */
  readonly name: string;
  readonly spec: RateSpec;
}

export interface AdmitCall {
  readonly requestId: string;
  /** 0 at first; a retry after an unclear failure repeats the same requestId with 1, 2 …, and is charged once. */
  readonly attempt: number;
  readonly principal: LedgerPrincipal;
  /** Set when an earlier step already said no: the call is recorded, never charged; revocation still answers first. */
  readonly denial: Denial | null;
  readonly limits: readonly NamedLimit[];
  /** The yes that the call needs and has; counted down in the same commit. */
  readonly approval?: GrantedApproval | null;
  /** The intent as it goes into the audit row. */
  readonly call: CallFields;
  /** Outcomes of this agent's earlier calls, riding along. */
  readonly outcomes: readonly CallOutcome[];
  /** Calls of this agent that the sender is working on, this one included; 0 when it does not know. */
  readonly inFlight: number;
}

/** Where a limit stands after the decision (draft-ietf-httpapi-ratelimit-headers: q, w, r, t). */
export interface LimitState {
  readonly name: string;
  readonly quota: number;
  readonly windowSeconds: number;
  readonly remaining: number;
  /** Seconds until `remaining` is the whole burst again, rounded up. */
  readonly resetSeconds: number;
}

export type AdmitAnswer =
  | { readonly effect: 'admitted'; readonly limits: readonly LimitState[] }
  | { readonly effect: 'denied'; readonly denial: Denial; readonly limits: readonly LimitState[] }
  /** The store behind the ledger is down and its buffer is full: fail closed. */
  | { readonly effect: 'full'; readonly waitingRows: number };

/** What is revoked; ids are exact. `until` is the Unix ms after which the entry may be forgotten. */
export type Revocation =
  | { readonly by: 'token'; readonly tokenId: string; readonly until: number }
  | { readonly by: 'session'; readonly session: string; readonly until: number }
  | { readonly by: 'agent'; readonly issuedUntilMs: number };

/** A row that is no call: minting, revoking, an echo of the credential, … */
export interface LedgerNote {
  /** Whatever is no call. */
  readonly event: Exclude<AuditEventName, `call.${string}`>;
  readonly requestId: string;
  readonly agent: string | null;
  readonly session: string | null;
  readonly tokenId: string | null;
  readonly capability: string | null;
  readonly service: string | null;
  /** The operator who did it, if one did. */
  readonly operator: string | null;
  readonly reason: string | null;
  readonly detail: AuditDetail;
}

/** The end of one ledger's chain. */
export interface ChainHead {
  readonly ledger: string;
  /** Number of the last row; 0 when there is none. */
  readonly seq: number;
  /** Hex; 64 zeros when there is none. */
  readonly hash: string;
  /** Rows up to here were removed by the retention; absent when none were. */
  readonly cut?: ChainCut;
}

/** The last row that was removed, after its chain had been verified: the next one is linked to its hash. */
export interface ChainCut {
  readonly seq: number;
  readonly hash: string;
}

export interface PruneAnswer {
  /** Rows removed by this call. */
  readonly rows: number;
  /** Whether there are more to remove: ask again. */
  readonly more: boolean;
  /** Why nothing is removed: the rows are not what the ledger wrote, and are evidence. */
  readonly refused: string | null;
}

/** A call that was refused before any agent's ledger was concerned. */
export interface RefusedCall {
  readonly requestId: string;
  readonly denial: Denial;
  readonly call: CallFields;
}

/** What is recorded without admission. */
export interface LedgerEvents {
  /** As in {@link AdmitCall}: a repeated send carries 1, 2 …, and is recorded once. */
  readonly attempt: number;
  readonly outcomes: readonly CallOutcome[];
  readonly refused: readonly RefusedCall[];
  readonly notes: readonly LedgerNote[];
}

export type RecordAnswer =
  | { readonly effect: 'recorded'; readonly head: ChainHead }
  /** Outcomes were recorded; the refused calls and the notes were not. */
  | { readonly effect: 'full'; readonly waitingRows: number };

/** What a ledger says after it has pushed its rows to D1. */
export interface FlushAnswer {
  readonly head: ChainHead;
  /** Rows that are not in D1 yet: it is down, or its rows conflict. 0 when all are there. */
  readonly waitingRows: number;
  /** Numbers of rows in whose place D1 holds other rows: somebody planted them. At most 100. */
  readonly conflicts: readonly number[];
}

/** Where a principal stands in its ledger. */
export interface Standing {
  readonly revokedBy: Revocation['by'] | null;
  readonly limits: readonly LimitState[];
}

/** What may be asked of one ledger by RPC. */
export interface LedgerRpc {
  admit(call: AdmitCall): Promise<AdmitAnswer>;
  admitText(call: string): Promise<string>;
  record(events: LedgerEvents): Promise<RecordAnswer>;
  revoke(revocation: Revocation): Promise<void>;
  peek(principal: LedgerPrincipal, limits: readonly NamedLimit[]): Promise<Standing>;
  flush(): Promise<FlushAnswer>;
  head(): Promise<ChainHead>;
  prune(before: number): Promise<PruneAnswer>;
}

/** One ledger that was ever used. */
export interface DirectoryEntry {
  /** Name of its Durable Object, and the `ledger` column of its rows. */
  readonly ledger: string;
  readonly kind: LedgerKind;
  readonly agent: string | null;
  /** Unix ms. */
  readonly createdAt: number;
  /** Unix ms at which it last said that rows are waiting; told at most every ten seconds, so allow for that. */
  readonly activeAt: number;
}

export interface DirectoryQuery {
  /** Names greater than this, for the next page. */
  readonly after?: string;
  /** 1 to 1000; 1000 when absent. */
  readonly limit?: number;
  /** Only ledgers that said since then that rows are waiting. */
  readonly activeSince?: number;
}

/** The one object of `DIRECTORY`. */
export const DIRECTORY_NAME = 'directory';

/** What may be asked of the directory by RPC. */
export interface DirectoryRpc {
  register(entry: Pick<DirectoryEntry, 'ledger' | 'kind' | 'agent'>): Promise<void>;
  markActive(ledger: string): Promise<void>;
  list(query?: DirectoryQuery): Promise<DirectoryEntry[]>;
}
