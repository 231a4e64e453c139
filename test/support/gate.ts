import { type IncomingMessage, request, type ServerResponse } from 'node:http';
import { type Handler, json, type Seen, startUpstream, type Upstream } from './upstream.ts';

/** The only door to a service: it opens to the real credential, and shouts when a capability token comes. */
export interface Gate extends Upstream {
  /** Requests in which a capability token arrived; it must stay empty. */
  readonly leaks: readonly Seen[];
  /** Requests that the real credential opened, oldest first. */
  readonly opened: readonly Seen[];
}

export interface GateOptions {
  /** Where opened requests go: an origin; the Host field stays as the client sent it. */
  readonly to?: string;
  /** What is answered here instead, by `METHOD /path` (no query): for what the service behind lacks. */
  readonly routes?: Readonly<Record<string, Handler>>;
  /** Lower-case name of the field in which the credential must come, and its very value. */
  readonly credential?: { readonly header: string; readonly value: string };
  /** In the place of `credential`, when there is no fixed value (a signature). */
  readonly opens?: (seen: Seen) => boolean;
  /** How the service says 401. */
  readonly unauthorized?: Handler;
}

/** A gate after the kit's: 200 to the real credential alone, 401 without it, 418 when a capability token leaked. */
export async function startGate(options: GateOptions): Promise<Gate> {
  const leaks: Seen[] = [];
  const opened: Seen[] = [];
  const { credential } = options;
  const opens =
    options.opens ??
    ((seen: Seen): boolean => credential !== undefined && seen.headers[credential.header] === credential.value);
  const upstream = await startUpstream((req, res, seen) => {
    if (holdsCapabilityToken([seen.target, ...seen.rawHeaders])) {
      leaks.push(seen);
      return json({ error: { message: 'capability token leaked upstream', type: 'gate' } }, 418)(req, res, seen);
    }
    if (!opens(seen))
      return (
        options.unauthorized ?? json({ error: { message: 'the real credential did not arrive', type: 'gate' } }, 401)
      )(req, res, seen);
    opened.push(seen);
    const route = options.routes?.[`${seen.method} ${seen.target.replace(/\?.*$/, '')}`];
    if (route !== undefined) return route(req, res, seen);
    if (options.to === undefined)
      return json({ error: { message: `no route ${seen.method} ${seen.target}`, type: 'gate' } }, 404)(req, res, seen);
    return forward(req, res, options.to);
  });
  return {
    ...upstream,
    leaks,
    opened,
    forget: () => {
      upstream.forget();
      leaks.splice(0);
      opened.splice(0);
    },
  };
}

/** Passes a request on byte for byte: the target and the fields as they came. */
function forward(req: IncomingMessage, res: ServerResponse, to: string): void {
  const { hostname, port } = new URL(to);
  // A request without a body must not get the chunked coding that Node would add.
  const onward = request({
    hostname,
    port,
    method: req.method,
    path: req.url,
    headers: req.rawHeaders as never,
    setHost: false,
  });
  onward.on('response', (answer) => {
    res.writeHead(answer.statusCode ?? 502, answer.statusMessage, answer.rawHeaders as never);
    answer.pipe(res);
    answer.on('error', () => res.destroy());
  });
  onward.on('error', (error) => (res.headersSent ? res.destroy() : res.writeHead(502).end(String(error))));
  res.on('close', () => onward.destroy());
  req.pipe(onward);
}

// A compact JWS whose header and claims begin with `{"`.
const CAPABILITY_TOKEN = /eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{16,}/;

/** Whether a capability token stands in a text, plain, percent-encoded, or inside a base64 word (Basic). */
function holdsCapabilityToken(texts: readonly string[]): boolean {
  const words = texts.flatMap((text) => text.split(/[\s,;=&?]+/)).filter((word) => word.length > 40);
  const decoded = words.flatMap((word) => [
    Buffer.from(word, 'base64').toString('latin1'),
    word.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
  ]);
  return [...texts, ...decoded].some((text) => CAPABILITY_TOKEN.test(text));
}
