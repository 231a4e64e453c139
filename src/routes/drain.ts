/** Most bytes, and most time, that go into the reading of an upload that was refused: no client can hold more of us with one. */
const MAX_DRAINED_BYTES = 64 * 1024 * 1024;
const MAX_DRAINED_MS = 10_000;
/** What the runtime itself still takes of a body that nobody read. */
const LEFT_TO_RUNTIME_BYTES = 65_536;
const READ_BYTES = 65_536;

/**
 * A refusal that its client gets to read, although it is still sending.
 *
 * The runtime closes a connection soon after its answer when the request's body was not read, and a client that reads no answer
 * before it has sent everything then learns of a broken pipe and not of the refusal. So the rest of the body is read and thrown
 * away. The answer does not wait for that: it goes out at once, whole and with its length; only the end of its stream, which
 * no client sees, comes after the drain, since with it the runtime ends the reading of the body.
 *
 * Past the bounds, and when it is the upstream that ends an upload early, such a client still learns of the pipe alone.
 *
 * @param refusal Of ours: small, and not a stream.
 */
export async function withDrain(request: Request, refusal: Response, ctx: ExecutionContext): Promise<Response> {
  const upload = unreadUploadOf(request);
  if (upload === null || refusal.body === null) return refusal;
  const text = new Uint8Array(await refusal.arrayBuffer());
  const { readable, writable } = new FixedLengthStream(text.byteLength);
  const writer = writable.getWriter();
  const send = async (): Promise<void> => {
    await writer.write(text);
    // What breaks off, or is no body at all, ends the answer too: left open, it would be a hung Worker to the runtime.
    await drain(upload).catch(() => undefined);
    await writer.close();
  };
  // A client that goes away ends both, and has nothing to be told.
  ctx.waitUntil(send().catch(() => undefined));
  return new Response(readable, refusal);
}

/** The body, when more of it may come than the runtime takes by itself. */
function unreadUploadOf(request: Request): ReadableStream<Uint8Array> | null {
  const { body, headers } = request;
  // Locked: whoever reads it has to say when it is enough.
  if (body === null || body.locked) return null;
  // RFC 9110 §10.1.1: a client that waits for our leave does not send it after a final answer.
  if (headers.has('expect')) return null;
  const declared = Number(headers.get('content-length') ?? Number.POSITIVE_INFINITY);
  return declared <= LEFT_TO_RUNTIME_BYTES ? null : body;
}

async function drain(upload: ReadableStream<Uint8Array>): Promise<void> {
  const reader = upload.getReader({ mode: 'byob' });
  const timer = setTimeout(() => void reader.cancel().catch(() => undefined), MAX_DRAINED_MS);
  let buffer = new ArrayBuffer(READ_BYTES);
  try {
    for (let bytes = 0; bytes < MAX_DRAINED_BYTES; ) {
      const { done, value } = await reader.read(new Uint8Array(buffer));
      if (done) return;
      bytes += value.byteLength;
      buffer = value.buffer as ArrayBuffer;
    }
  } finally {
    clearTimeout(timer);
  }
}
