/** What is used of the runtime's `node:crypto`; the types of the Workers runtime do not describe Node's modules. */
declare module 'node:crypto' {
  export function hash(algorithm: 'sha256', data: string | Uint8Array, outputEncoding: 'hex'): string;
  export function createHmac(algorithm: 'sha256', key: string): Hmac;
  export function timingSafeEqual(a: Uint8Array, b: Uint8Array): boolean;

  interface Hmac {
    update(data: string): Hmac;
    digest(encoding: 'hex'): string;
  }
}
