import { err, ok, type Result } from '../lib/result.ts';
import { signatureOf } from './signature.ts';

const TIMEOUT_MS = 10_000;
const MIN_SECRET_CHARS = 32;

/** Where messages go, and by what they are signed. */
export interface Receiver {
  readonly url: string;
  readonly secret: string;
}

/**
 * Judges a receiver as configured.
 *
 * @param name  The setting that holds the URL.
 * @param dev   Whether `http://` on loopback is tolerated.
 * @returns The receiver, or what is wrong, naming settings and never values.
 */
export function receiverOf(
  name: string,
  url: string,
  secret: string | undefined,
  dev: boolean,
): Result<Receiver, string> {
  const parsed = URL.parse(url);
  const loopback = parsed?.protocol === 'http:' && ['127.0.0.1', 'localhost', '[::1]'].includes(parsed.hostname);
  if (parsed === null || !(parsed.protocol === 'https:' || (dev && loopback))) return err(`${name} is no https URL`);
  if (!secret || secret.length < MIN_SECRET_CHARS)
    return err(`KEYWARDEN_WEBHOOK_SECRET is missing or shorter than ${MIN_SECRET_CHARS} characters`);
  return ok({ url, secret });
}

/**
 * Posts one signed message. This is one of the two places with a `fetch` (see test/architecture.test.ts): it goes to an
 * address of the operators' own configuration, carries no credential of a service, and its answer is not read.
 *
 * @param now  Unix ms.
 * @returns Whether the receiver took it.
 */
export async function postSigned({ url, secret }: Receiver, message: object, now: number): Promise<boolean> {
  const body = JSON.stringify(message);
  const timestamp = String(Math.floor(now / 1000));
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'keywarden-timestamp': timestamp,
        'keywarden-signature': signatureOf(secret, timestamp, body),
      },
      body,
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    await response.body?.cancel();
    return response.status >= 200 && response.status < 300;
  } catch {
    return false;
  }
}
