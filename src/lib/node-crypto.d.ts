/** What of Node's crypto is used here; workerd has it built in (compatibility dates from 2026), and Node of course. */
declare module 'node:crypto' {
  export interface Hash {
    update(data: string, encoding: 'hex' | 'utf8'): Hash;
    digest(encoding: 'hex'): string;
  }
  export function createHash(algorithm: 'sha256'): Hash;
  export function hash(algorithm: 'sha256', data: string | Uint8Array, outputEncoding: 'hex'): string;
}
