import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';

/** A door before a service that is lenient about credentials, so that the demo proves what it shows. */
export interface Gate {
  /** Where it listens: `http://127.0.0.1:PORT`. */
  readonly origin: string;
  readonly close: () => Promise<void>;
}

/**
 * Opens for `Authorization: Bearer <credential>` alone: anything else gets 401, and a request in which
 * a capability token (a JWT) got through to this side gets 418, the sign of a leak.
 *
 * @param upstream    origin behind the gate.
 * @param credential  the real key.
 */
export async function openGate(upstream: string, credential: string): Promise<Gate> {
  const server = createServer((req, res) => pass(req, res, upstream, credential));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('the gate has no address');
  return { origin: `http://127.0.0.1:${address.port}`, close: () => close(server) };
}

// A compact JWS whose header begins with `{"`.
const CAPABILITY_TOKEN = /eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{16,}/;

function pass(req: IncomingMessage, res: ServerResponse, upstream: string, credential: string): void {
  if (CAPABILITY_TOKEN.test(decoded([req.url ?? '', ...req.rawHeaders]))) {
    refuse(res, 418, 'a capability token leaked through');
  } else if (!same(req.headers.authorization ?? '', `Bearer ${credential}`)) {
    refuse(res, 401, 'not the real credential');
  } else if (req.method === 'POST' && req.url === '/v1/refunds') {
    refund(req, res);
  } else {
    passOn(req, res, upstream);
  }
}

function passOn(req: IncomingMessage, res: ServerResponse, upstream: string): void {
  const onward = request(upstream + (req.url ?? '/'), {
    method: req.method,
    headers: { ...req.headers, host: new URL(upstream).host },
  });
  onward.on('response', (answer) => {
    res.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(res);
  });
  onward.on('error', () => (res.headersSent ? res.destroy() : refuse(res, 502, 'the service behind the gate is gone')));
  res.on('close', () => onward.destroy());
  req.pipe(onward);
}

/** The emulator knows no refunds: here is one, in the shape of Stripe's (https://docs.stripe.com/api/refunds/object). */
async function refund(req: IncomingMessage, res: ServerResponse): Promise<void> {
  let text = '';
  for await (const chunk of req.setEncoding('utf8')) text += chunk;
  const fields = new URLSearchParams(text);
  res.writeHead(200, { 'content-type': 'application/json' });
  res.end(
    JSON.stringify({
      id: `re_${randomBytes(12).toString('hex')}`,
      object: 'refund',
      amount: Number(fields.get('amount')),
      charge: fields.get('charge'),
      currency: 'usd',
      reason: fields.get('reason'),
      status: 'succeeded',
      created: Math.floor(Date.now() / 1000),
      metadata: {},
    }),
  );
}

/** The texts as they are, and what their base64 words (Basic) hold. */
function decoded(texts: readonly string[]): string {
  const words = texts.flatMap((text) => text.split(/\s/)).map((word) => Buffer.from(word, 'base64').toString('latin1'));
  return [...texts, ...words].join('\n');
}

function same(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

function refuse(res: ServerResponse, status: number, message: string): void {
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(JSON.stringify({ error: { message, type: 'gate' } }));
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
