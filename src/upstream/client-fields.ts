import { remembered } from './remembered.ts';

/** Which request fields a client may not send to the upstream, and why: tables, no decisions. Names in lower case. */

/** Ours to say, or about the client's way to us. */
const ABOUT_THE_WAY: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'forwarded',
  'via',
  'x-real-ip',
  'x-client-ip',
  'client-ip',
  'true-client-ip',
  'x-cluster-client-ip',
  'fastly-client-ip',
  'x-original-forwarded-for',
  'x-remote-ip',
  'x-remote-addr',
  'x-remote-user',
  'remote-user',
  'x-forwarded',
  'cdn-loop',
  // httpoxy (CVE-2016-5385): a CGI program takes it for the proxy of its own requests.
  'proxy',
  'max-forwards',
  'early-data',
  'expect',
  'cookie',
  'cookie2',
  'accept-encoding',
  // An echo in EBCDIC or UTF-7, or as a difference (RFC 3229), is none that could be recognised.
  'accept-charset',
  'a-im',
]);
const ABOUT_THE_WAY_PREFIX = /^(?:cf-|x-forwarded-|x-envoy-|x-keywarden-|keywarden-|proxy-)/;

/** They move a request to another host or path, at gateways and frameworks that heed them; more are known by their shape. */
const BASE_URL = new Set([
  'x-host',
  'x-original-host',
  'x-backend-host',
  'x-backend',
  'x-upstream',
  'x-server-name',
  'x-original-url',
  'x-original-uri',
  'x-rewrite-url',
  'x-rewrite-uri',
  'x-override-url',
  'x-proxy-url',
  'destination-url',
]);
const BASE_URL_SHAPE =
  /(?:^|-)(?:custom-host|base-url|base-url-override|api-base|host-override|target-url|upstream-url)$/;

/**
 * Where some API somewhere looks for a credential. Only ours may leave: the agent's own would be an account to exfiltrate to.
 * Most are known by their shape.
 */
const AUTH = new Set([
  'authentication',
  'x-authentication',
  'token',
  'x-token',
  'key',
  'x-key',
  'x-pat',
  'x-amz-security-token',
  'x-amz-s3session-token',
  'x-goog-iam-authorization-token',
  'x-goog-authenticated-user-email',
  'x-auth-email',
  'x-auth-user',
  'x-ms-authorization-auxiliary',
  'dpop',
  'x-client-cert',
  'ssl-client-cert',
  'client-cert',
  'client-cert-chain',
]);
const AUTH_SHAPE =
  /(?:^|[-_])(?:(?:api|app|application|subscription|auth|access|private|public|job|vault|figma|deploy|personal|bearer|id|session|refresh|user|github|gitlab|goog|service)[-_]?(?:key|token|secret)|authorization|password|passwd|secret|credentials?|jwt|csrf[-_]?token)$/;

/** Ways to ask for a part of the answer: a credential could be fetched in pieces that no scrubber knows. */
export const RANGES: ReadonlySet<string> = new Set(['range', 'if-range', 'request-range', 'x-ms-range', 'x-amz-range']);

/** A user's own names for what is kept beside an object: to no service anything else, and lost if they were taken off. */
export const isUserMetadata = (name: string): boolean => /^x-(?:amz|goog|ms)-meta-/.test(name);

/** Whether the general rules keep a request field from the upstream. */
export const isClientOnly = remembered(
  (name) =>
    !isUserMetadata(name) &&
    (ABOUT_THE_WAY.has(name) ||
      ABOUT_THE_WAY_PREFIX.test(name) ||
      BASE_URL.has(name) ||
      BASE_URL_SHAPE.test(name) ||
      AUTH.has(name) ||
      AUTH_SHAPE.test(name)),
);
