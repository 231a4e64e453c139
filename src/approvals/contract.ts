import type { Approval, ApprovalState, Decider, Decision, DecisionRefusal, Question } from './state.ts';
import type { Waited } from './waiting.ts';

/** What pipeline, routes and desk say to each other: plain data, since it crosses an isolate border. */

/** A value as reviewers see it: bounded, masked, and with what could deceive an eye made visible. */
export type ShownValue =
  | { readonly kind: 'null' }
  | { readonly kind: 'boolean'; readonly value: boolean }
  /** `inexact`: beyond 2^53, so that what is shown is not what is sent to the last digit. */
  | { readonly kind: 'number'; readonly text: string; readonly inexact?: true }
  | {
      readonly kind: 'string';
      readonly text: string;
      /** Characters of the whole, when `text` is only its beginning or a mask. */
      readonly length?: number;
      readonly masked?: true;
    }
  | { readonly kind: 'list'; readonly items: readonly ShownValue[]; readonly more: number }
  | {
      readonly kind: 'object';
      readonly entries: readonly { readonly name: string; readonly value: ShownValue }[];
      readonly more: number;
    }
  /** Too deep, or the bound on the whole is reached. */
  | { readonly kind: 'cut' };

export interface ShownBody {
  readonly content_type: string | null;
  readonly bytes: number;
  readonly sha256: string;
  /** `tree`: parsed; `text`: shown as it came; `binary`: not shown; `none`: there is none. */
  readonly form: 'tree' | 'text' | 'binary' | 'none';
  readonly value: ShownValue | null;
  /** Why it could not be read strictly, when `form` is `text` or `binary`. */
  readonly unreadable: string | null;
}

/** What a reviewer decides about. */
export interface Shown {
  readonly service: string;
  readonly service_title: string;
  readonly capability_title: string;
  readonly capability_description: string;
  /** The rule as the policy has it: `POST /v1/refunds`. */
  readonly operation: string;
  /** Why it needs a person: the policy's condition, or null when always. */
  readonly because: string | null;
  readonly method: string;
  readonly url: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly body: ShownBody;
  /** What calls of the same kind share, when one yes may cover several. */
  readonly pattern: readonly { readonly name: string; readonly value: string }[] | null;
  readonly policy_hash: string;
}

/** The one desk object. */
export const DESK_NAME = 'desk';

/** By what a live reviewer is let in: see `SignIn` of the routes. */
export interface Seat {
  readonly expiresAt: number | null;
  readonly session: string | null;
}

/** Fields of the request that opens a live socket: from our own routes alone. */
export const SEAT_EXPIRY = 'keywarden-seat-expiry';
export const SEAT_SESSION = 'keywarden-seat-session';

export interface Ask {
  readonly question: Question;
  readonly shown: Shown;
  readonly requestId: string;
  /** The approval that this call has waited for: if another call has used it meanwhile, nothing is asked anew. */
  readonly after: string | null;
}

/** A yes that the ledger may count down. */
export interface GrantedApproval {
  readonly id: string;
  readonly uses: number;
  /** From the yes to its end. */
  readonly goodForMs: number;
  readonly asker: {
    readonly session: string | null;
    readonly tokenId: string;
    readonly issuedAtMs: number;
  };
}

export type AskAnswer =
  | { readonly kind: 'granted'; readonly grant: GrantedApproval }
  | { readonly kind: 'pending'; readonly id: string }
  | { readonly kind: 'denied'; readonly id: string }
  /** What was waited for came, and another call was faster. */
  | { readonly kind: 'used'; readonly id: string }
  | { readonly kind: 'flood'; readonly bound: 'pending' | 'hourly' | 'desk'; readonly most: number };

export interface StoredApproval {
  readonly approval: Approval;
  readonly shown: Shown;
}

export interface ListQuery {
  readonly state: ApprovalState | null;
  readonly agent: string | null;
  readonly session: string | null;
  readonly limit: number;
  readonly before: { readonly at: number; readonly id: string } | null;
}

export interface DecideRequest {
  readonly id: string;
  readonly decider: Decider;
  readonly decision: Decision;
  /** The nonce of a decision link, verified already; burnt with the decision. */
  readonly link: string | null;
}

export type DecideAnswer =
  | { readonly kind: 'ok'; readonly stored: StoredApproval }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'link_used' }
  | { readonly kind: 'refused'; readonly why: DecisionRefusal; readonly approval: Approval };

/** What may be asked of the desk by RPC; `fetch`, beside it, is the live reviewer's socket. */
export interface DeskRpc {
  ask(ask: Ask): Promise<AskAnswer>;
  wait(id: string, ms: number): Promise<Waited>;
  used(id: string, requestId: string): Promise<void>;
  exhausted(id: string): Promise<void>;
  revoked(id: string): Promise<void>;
  get(id: string): Promise<StoredApproval | null>;
  list(query: ListQuery): Promise<StoredApproval[]>;
  decide(request: DecideRequest, requestId: string): Promise<DecideAnswer>;
  leave(session: string): Promise<void>;
}
