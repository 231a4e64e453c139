/** The one a verified capability token speaks for. Made only by `principalOf`, of claims whose signature holds. */
export interface Principal {
  /** `sub`: the agent. */
  readonly agent: string;
  /** `sid`, when a runner's session asked for the token. */
  readonly session: string | null;
  /** `jti`. */
  readonly tokenId: string;
  /** Unix ms; exact when `jti` is a UUIDv7 (RFC 9562 §5.7), else the second of `iat`. */
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
  /** Full names of the capabilities that the token holds. */
  readonly capabilities: ReadonlySet<string>;
}
