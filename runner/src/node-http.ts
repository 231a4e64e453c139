/**
 * Node's HTTP without undici: an `import` of node:http reads all of its exports, and one of them is a getter that loads undici
 * (30 ms of a start). `fetch` loads it as well, and takes twice as long for its first answer.
 */
export const http = process.getBuiltinModule('node:http');

/** 8 ms, for TLS: only for those who speak it. */
export const https = (): typeof import('node:https') => process.getBuiltinModule('node:https');
