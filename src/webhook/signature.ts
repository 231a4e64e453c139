import { createHmac } from 'node:crypto';

/**
 * HMAC-SHA256, as hex. What is signed of a message begins with its time in digits; whatever else is signed by the same secret
 * begins with a label, so that one is never taken for the other. Pure.
 */
export const hmacHex = (secret: string, text: string): string =>
  createHmac('sha256', secret).update(text).digest('hex');

/** `Keywarden-Signature` of a message: over its time and its body, so that an old one is not sent again as new. */
export const signatureOf = (secret: string, timestamp: string, body: string): string =>
  `v1=${hmacHex(secret, `${timestamp}.${body}`)}`;
