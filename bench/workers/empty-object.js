import { DurableObject } from 'cloudflare:workers';

/** A SQLite-backed object that is asked and does nothing: what any per-agent decision costs at the least. */
export class Empty extends DurableObject {
  nothing() {}
}

let id;

/** The bare Worker, with one empty call of one object before it. */
export default {
  async fetch(request, env) {
    id ??= env.EMPTY.idFromName('one');
    await env.EMPTY.get(id).nothing();
    const { url } = request;
    return fetch(env.UPSTREAM + url.slice(url.indexOf('/', 8)), { headers: { authorization: env.CREDENTIAL } });
  },
};
