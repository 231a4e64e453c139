/**
 * The compiled form of the policies: plain JSON, made at build time from YAML (written → normal → ruled),
 * the only form that the Worker knows. Nothing here is parsed from text at request time but CEL, once per isolate.
 */

/** All policies, as bundled into the Worker. */
export interface PolicyBundle {
  readonly format: 1;
  /** SHA-256 (hex) of the canonical JSON of `services` and `agents`; recorded in audit rows. */
  readonly hash: string;
  readonly services: Readonly<Record<string, ServicePolicy>>;
  readonly agents: AgentsPolicy;
}

/** One service: one real API behind exactly one origin. */
export interface ServicePolicy {
  /** Id: the path segment in `/proxy/<service>/`. */
  readonly service: string;
  /** What comes before `:name` in its capabilities; the id unless the policy says otherwise (`aws:s3` for `s3`). */
  readonly prefix: string;
  readonly title: string;
  readonly description: string;
  /** Scheme, host and port (RFC 6454), never a path. */
  readonly origin: string;
  readonly credential: CredentialSpec;
  readonly errors: ErrorShape;
  /** Most bytes of a body that a rule may read; a larger one is denied. */
  readonly maxBodyBytes: number;
  /** Milliseconds from sending the request to the response's header section. */
  readonly timeoutMs: number;
  /** Milliseconds a response body may stay silent. */
  readonly idleTimeoutMs: number;
  /** Request header fields, lower case, that are dropped although the general rules would pass them. */
  readonly dropHeaders: readonly string[];
  /** Request header fields, lower case, set to fixed values unless the client sent its own. */
  readonly defaultHeaders: Readonly<Record<string, string>>;
  readonly response: ResponsePolicy;
  /** True when `/x` and `/x/` are one resource at this service, so that a rule for either matches both. */
  readonly trailingSlash: boolean;
  /** Set when `%2F` is a slash to this service: then a path is judged, and sent, with the slash itself. */
  readonly escapedSlash?: true;
  /** Set when this service decodes a path once, so that `%25` is a percent sign in a name. */
  readonly escapedPercent?: true;
  /** What no capability of the service ever allows: stands above every `allow`. Absent means none. */
  readonly deny?: readonly OperationRule[];
  readonly capabilities: readonly CapabilityPolicy[];
}

export interface ResponsePolicy {
  /** Scrub the credential from the answer. Off only by an explicit `scrub: false`. */
  readonly scrub: boolean;
  /** Let the upstream's caching fields pass instead of `no-store`. */
  readonly cache: boolean;
  /** Let `Range` through. Off by default: a range is a way to fetch an echoed key in unrecognisable pieces. */
  readonly ranges: boolean;
  /** Origins besides our own to which a `Location` may point. */
  readonly redirects: readonly string[];
  /** Set when the further pages of a list keep the path that was asked, whatever path their links name. */
  readonly samePathPages?: true;
}

/** How the real credential is put into the request. `secret` & co. are names of Worker secrets, never values. */
export type CredentialSpec =
  | { readonly scheme: 'bearer'; readonly secret: string }
  | { readonly scheme: 'header'; readonly header: string; readonly secret: string; readonly prefix: string }
  | { readonly scheme: 'basic'; readonly secret: string; readonly username: string | null }
  | { readonly scheme: 'query'; readonly param: string; readonly secret: string }
  | {
      readonly scheme: 'sigv4';
      readonly accessKeyId: string;
      readonly secretAccessKey: string;
      readonly sessionToken: string | null;
      readonly region: string | null;
      readonly service: string | null;
    };

/** The shapes of errors that vendors' SDKs understand. */
export const ERROR_SHAPES = [
  'problem',
  'stripe',
  'openai',
  'anthropic',
  'github',
  'slack',
  'twilio',
  's3',
  'aws_query',
  'graphql',
  'sendgrid',
  'notion',
  'google',
  'elasticsearch',
  'huggingface',
  'git',
] as const;
export type ErrorShape = (typeof ERROR_SHAPES)[number];

export interface CapabilityPolicy {
  /** Full name: `<prefix>:<name>`. */
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly allow: readonly OperationRule[];
  readonly deny: readonly OperationRule[];
  /** CEL over `method path params query headers body agent session now`; null when unconditional. */
  readonly when: string | null;
  readonly limit: RateSpec | null;
  readonly approval: ApprovalSpec | null;
}

/** A method and path template, with its own optional condition. */
export interface OperationRule {
  /** RFC 9110 token in upper case, or `*` for every method that the edge forwards. */
  readonly method: string;
  /** Segments of the template. */
  readonly segments: readonly TemplateSegment[];
  /** Whether the template ends in `/`. An allow rule matches only a path that does the same, a deny rule either. */
  readonly trailingSlash: boolean;
  /** As written, for people: `GET /v1/customers/{id}`. */
  readonly text: string;
  readonly when: string | null;
}

export type TemplateSegment =
  /** `text` is percent-decoded, and so is what it is compared with. */
  | { readonly kind: 'literal'; readonly text: string }
  /** One non-empty segment; `prefix`/`suffix` are literal text around it (`{repo}.git`). */
  | { readonly kind: 'param'; readonly name: string; readonly prefix: string; readonly suffix: string }
  /** One or more segments, only last in a template. */
  | { readonly kind: 'rest'; readonly name: string };

/** GCRA: `count` calls per `periodMs`, at most `burst` at once. */
export interface RateSpec {
  readonly count: number;
  readonly periodMs: number;
  readonly burst: number;
}

export interface ApprovalSpec {
  readonly when: string | null;
  readonly reviewers: string | null;
  readonly count: 1 | 2;
  readonly ttlMs: number;
  /** Set when a reviewer may allow several calls of the same kind by one yes. */
  readonly alike?: AlikeSpec;
  /** Who minted the token that asks may not decide. */
  readonly separate?: true;
}

export interface AlikeSpec {
  /** Most calls that one yes covers. */
  readonly count: number;
  readonly forMs: number;
  /** `path`, `query`, `body.<name>`: what must be the same besides capability and operation. */
  readonly same: readonly string[];
}

/** `policies/agents.yaml`: who may hold what. */
export interface AgentsPolicy {
  /** `absent`: the file does not exist; then nobody may mint, except under `keywarden dev`. */
  readonly source: 'file' | 'absent';
  readonly grants: readonly AgentGrant[];
}

export interface AgentGrant {
  /** Exact agent id, or a prefix that ends in `*`. First match wins. */
  readonly agent: string;
  /** Full capability names, or `<prefix>:*`, or `*`. */
  readonly mayHold: readonly string[];
  readonly maxTtlSeconds: number;
  readonly limit: RateSpec | null;
}
