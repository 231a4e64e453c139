/**
 * Whether the Ed25519 signature of a compact JWS is written in its one spelling: 64 bytes leave four bits of the last
 * character over, which most decoders overlook (RFC 4648 §3.5). Without this, fifteen other texts would be as good.
 */
export const hasCanonicalSignature = (jws: string): boolean => /\.[A-Za-z0-9_-]{85}[AQgw]$/.test(jws);

/** `typ` of an audit checkpoint's JWS: it can never be taken for a token or a receipt (RFC 8725 §3.11). */
export const CHECKPOINT_TYPE = 'keywarden-checkpoint+jwt';
