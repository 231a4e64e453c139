import { hash } from 'node:crypto';

/** SHA-256 of UTF-8 text or bytes, as 64 lower-case hex digits. Synchronous: usable inside a storage transaction. */
export const sha256Hex = (data: string | Uint8Array): string => hash('sha256', data, 'hex');
