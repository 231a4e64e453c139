import { type Fault, fault } from '../fault.ts';
import { recordOf } from '../lib/fields.ts';
import { err, ok, type Result } from '../lib/result.ts';
import type { OutgoingRequest } from '../upstream/outgoing.ts';
import type { Forwarded, Injected } from './call.ts';
import { Deadline } from './deadline.ts';
import { uploadOf } from './upload.ts';

/**
 * Step 6: the only fetch with a credential. Redirects are never followed (threat 6); the client's going away ends the exchange;
 * a silent upstream is given up after the policy's timeout.
 */
export async function forward(injected: Injected): Promise<Result<Forwarded, Fault>> {
  const { request, admitted } = injected;
  const { call, policy } = admitted.authorized;
  // Of a client that went while its intent was recorded nothing further is heard.
  if (call.request.signal.aborted) {
    injected.sent();
    return err(fault('client_cancelled', 'before it was sent'));
  }
  const controller = new AbortController();
  const deadline = new Deadline(policy.timeoutMs + uploadAllowanceMs(request), () => controller.abort());
  const abort = (): void => {
    deadline.clear();
    controller.abort();
  };
  const upload = uploadOf(request, abort);
  try {
    const exchange = fetch(`${request.origin}${request.path}${request.query === '' ? '' : `?${request.query}`}`, {
      method: request.method,
      headers: recordOf(request.fields),
      body: upload.body,
      redirect: 'manual',
      signal: controller.signal,
    });
    call.request.signal.addEventListener('abort', abort, { once: true });
    const response = await exchange;
    // An answer to a request that never became whole: the upstream may have taken it for a shorter one.
    const unfit = request.bodyFault?.() ?? unfitOf(response);
    if (unfit !== null) {
      abort();
      return err(unfit);
    }
    const clientGone = (): boolean => call.request.signal.aborted || upload.brokeOff();
    return ok({ injected, response, abort, clientGone, uploadedBytes: upload.bytes, deadline });
  } catch {
    deadline.clear();
    const broken = request.bodyFault?.() ?? null;
    if (broken !== null) return err(broken);
    // The runtime's message may quote the URL, which under the query scheme holds the credential: only our words go on.
    if (deadline.passed) return err(fault('upstream_timeout', `no answer within ${policy.timeoutMs} ms`));
    if (call.request.signal.aborted) return err(fault('client_cancelled', 'before the upstream answered'));
    if (upload.brokeOff()) return err(fault('client_cancelled', 'before its body had come whole'));
    // Refused, reset, or bytes that are no HTTP: the runtime says "Network connection lost" to all of them.
    // Whether it acted is unknown then, so that only an idempotent request (RFC 9110 §9.2.2) is called retryable.
    return err(
      fault('upstream_unreachable', 'no connection, or it ended before an HTTP answer', IDEMPOTENT.has(request.method)),
    );
  } finally {
    injected.sent();
  }
}

/** Why an answer cannot be passed on, or null. */
function unfitOf({ status, webSocket, headers }: Response): Fault | null {
  if (status === 101 || webSocket) return fault('upstream_protocol_error', 'the upstream switched protocols');
  // RFC 9110 §15: there are no others, and the runtime could not pass one on.
  if (status > 599) return fault('upstream_protocol_error', `the status ${status} is none of HTTP's`);
  // RFC 9112 §7.4: nobody asked for one. The runtime takes off chunked alone; in what is left no credential could be found.
  if (!/^(?:chunked|identity)?$/i.test(headers.get('transfer-encoding') ?? ''))
    return fault('upstream_protocol_error', 'the answer has a transfer coding besides chunked');
  return null;
}

const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);

const SLOW_UPLOAD_BYTES_PER_MS = 64;
const UNKNOWN_LENGTH_MS = 600_000;

/** The upstream mostly answers when it has the whole body: a large upload needs its time, at 64 KB/s or better. */
function uploadAllowanceMs({ body, bodyLength }: OutgoingRequest): number {
  if (body === null || body instanceof Uint8Array) return 0;
  return bodyLength === null ? UNKNOWN_LENGTH_MS : bodyLength / SLOW_UPLOAD_BYTES_PER_MS;
}
