import { SEAT_EXPIRY, SEAT_SESSION } from './contract.ts';

const MAX_SOCKETS = 200;
/** The close code by which the console knows the end of its sign-in. */
const SIGNED_OUT = 4001;

/** The WebSockets of live reviewers, hibernating. */
export class Seats {
  readonly #ctx: DurableObjectState;

  constructor(ctx: DurableObjectState) {
    this.#ctx = ctx;
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('ping', 'pong'));
  }

  /** @param hello  What the reviewer hears first. The route has authenticated who comes. */
  take(request: Request, hello: () => object): Response {
    if (request.headers.get('upgrade')?.toLowerCase() !== 'websocket') return new Response(null, { status: 426 });
    if (this.#ctx.getWebSockets().length >= MAX_SOCKETS) return new Response(null, { status: 503 });
    const { 0: client, 1: server } = new WebSocketPair();
    const expiry = request.headers.get(SEAT_EXPIRY);
    const session = request.headers.get(SEAT_SESSION);
    this.#ctx.acceptWebSocket(server, session === null ? [] : [session]);
    if (expiry !== null) server.serializeAttachment(Number(expiry));
    server.send(JSON.stringify(hello()));
    return new Response(null, { status: 101, webSocket: client });
  }

  /** To all of them; whose sign-in has ended is sent away instead. */
  tell(news: (now: number) => object): void {
    const sockets = this.#ctx.getWebSockets();
    if (sockets.length === 0) return;
    const now = Date.now();
    const text = JSON.stringify(news(now));
    for (const socket of sockets) {
      try {
        const expiresAt = socket.deserializeAttachment() as number | null;
        if (expiresAt !== null && expiresAt <= now) {
          socket.close(SIGNED_OUT, 'the sign-in has ended');
          continue;
        }
        socket.send(text);
      } catch {
        // It is closing.
      }
    }
  }

  /** Who signs out hears nothing any more. */
  leave(session: string): void {
    for (const socket of this.#ctx.getWebSockets(session)) socket.close(SIGNED_OUT, 'signed out');
  }
}
