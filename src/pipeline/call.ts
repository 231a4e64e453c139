import type { Access } from '../access.ts';
import type { GrantedApproval } from '../approvals/contract.ts';
import type { Principal } from '../capability/principal.ts';
import type { Env } from '../env.ts';
import type { LimitState } from '../ledger/contract.ts';
import type { FieldMap } from '../lib/fields.ts';
import type { ApprovalSpec, CapabilityPolicy, ServicePolicy } from '../policy/ruled.ts';
import type { Credentials } from '../upstream/credential.ts';
import type { OutgoingRequest } from '../upstream/outgoing.ts';
import type { Deadline } from './deadline.ts';
import type { BodyRead } from './read-body.ts';

/**
 * The way of a request in types: each step's output is the next step's only accepted input, and only the step's own
 * file can make one (the symbols are not exported for use elsewhere), so that skipping a step does not compile.
 */
declare const authenticated: unique symbol;
declare const authorized: unique symbol;
declare const held: unique symbol;
declare const admitted: unique symbol;
declare const injected: unique symbol;

/** A call as received; nothing about it is trusted. */
export interface Call {
  readonly request: Request;
  /** Its header section. */
  readonly fields: FieldMap;
  readonly env: Env;
  readonly ctx: ExecutionContext;
  /** UUIDv7; ours, never the client's: a client that chose it could be charged once for many calls. */
  readonly requestId: string;
  /** Unix ms. */
  readonly startedAt: number;
  /** As in the URL; maybe no service of ours. */
  readonly service: string;
  /** The policy of that service, if there is one. */
  readonly policy: ServicePolicy | null;
  /** What follows `/proxy/<service>` on the request line, without the query, untouched. */
  readonly rawPath: string;
  /** Without `?`, untouched. */
  readonly query: string;
  /** Scheme, host and port by which the client reached us. */
  readonly publicOrigin: string;
}

export interface Authenticated {
  readonly [authenticated]: true;
  readonly call: Call;
  readonly principal: Principal;
  /** As received; wherever else it stands, it must not travel on. */
  readonly token: string;
}

export interface Authorized {
  readonly [authorized]: true;
  readonly call: Call;
  readonly principal: Principal;
  readonly access: Access;
  readonly policy: ServicePolicy;
  readonly capability: CapabilityPolicy;
  /** What goes on, without a credential. */
  readonly outgoing: OutgoingRequest;
  readonly requestHash: string;
  /** Set when a person must agree first. */
  readonly approval: NeededApproval | null;
}

/** What a person must agree to: why, and the body that they will see. */
export interface NeededApproval {
  readonly spec: ApprovalSpec;
  /** The rule as written. */
  readonly operation: string;
  readonly body: BodyRead;
}

/** Nobody need be asked, or who was asked has agreed. */
export interface Held {
  readonly [held]: true;
  readonly authorized: Authorized;
  readonly grant: GrantedApproval | null;
  /** Fields that tell the client how its preference to wait was met. */
  readonly fields: Readonly<Record<string, string>>;
}

export interface Admitted {
  readonly [admitted]: true;
  readonly authorized: Authorized;
  readonly limits: readonly LimitState[];
}

export interface Injected {
  readonly [injected]: true;
  readonly admitted: Admitted;
  readonly request: OutgoingRequest;
  readonly credentials: Credentials;
  /** To be called when the exchange is over: what was gathered of the body is wanted no more. */
  readonly sent: () => void;
}

/** The upstream's header section has arrived. */
export interface Forwarded {
  readonly injected: Injected;
  readonly response: Response;
  /** Ends the exchange with the upstream. */
  readonly abort: () => void;
  /** Whether the client has ended it: what breaks off then is not the upstream's doing. */
  readonly clientGone: () => boolean;
  /** Bytes of the request's body that have come so far; null when it has none. */
  readonly uploadedBytes: () => number | null;
  /** Still set: who reads the body moves it on, or clears it. */
  readonly deadline: Deadline;
}
