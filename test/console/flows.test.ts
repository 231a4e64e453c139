import { generateKeyPairSync } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ALL } from '../edge/approvals/world.ts';
import { until } from '../support/process.ts';
import { type ConsoleWorld, cookieOf, faults, startConsole } from './world.ts';

let world: ConsoleWorld;
beforeAll(async () => {
  world = await startConsole();
});
afterAll(() => world?.stop());
beforeEach(() => void faults.splice(0));

let serial = 0;
const newAgent = async () => {
  const agent = `agent-${++serial}`;
  return { agent, token: await world.edge.mint(agent, ALL) };
};
const PAYMENT = { to: 'acct_1', amount: 2000 };
const cardOf = (page: Page, agent: string) => page.locator('.card', { hasText: agent });
const revokeOf = (agent: string): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ agent_id: agent }),
});
const close = (page: Page) => page.context().close();

describe('signing in', () => {
  it('anew ends the session that was there', async () => {
    const signIn = async (who: 'alice' | 'bob', cookie = ''): Promise<string> => {
      const made = await fetch(`${world.edge.url}/v1/console/session`, {
        method: 'POST',
        headers: { origin: world.edge.url, 'x-keywarden-console': '1', 'content-type': 'application/json', cookie },
        body: JSON.stringify({ key: world.keyOf(who) }),
      });
      return made.headers.get('set-cookie')?.split(';')[0] ?? '';
    };
    const asks = async (cookie: string): Promise<number> =>
      (await fetch(`${world.edge.url}/v1/approvals`, { headers: { cookie } })).status;
    const first = await signIn('alice');
    const second = await signIn('bob', first);
    expect([await asks(first), await asks(second)]).toEqual([401, 200]);
  });

  it('a key gives a session that no script can read; signing out ends it at the edge', async () => {
    const context = await world.browser.newContext();
    const page = await context.newPage();
    await page.goto(`${world.edge.url}/console/`);
    await page.getByLabel('Operator key').fill('not-a-key-at-all-0000000');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('alert').getByText('no operator key').waitFor();
    await page.getByLabel('Operator key').fill(world.keyOf('alice'));
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.locator('nav.side').waitFor();
    const [cookie] = await context.cookies(`${world.edge.url}/v1/x`);
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Strict', path: '/v1' });
    expect(await page.evaluate('document.cookie')).toBe('');
    const kept = `${cookie?.name}=${cookie?.value}`;
    const asks = async () => (await fetch(`${world.edge.url}/v1/approvals`, { headers: { cookie: kept } })).status;
    expect(await asks()).toBe(200);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Operator key').waitFor();
    expect(await asks(), 'the cookie as it was is worth nothing').toBe(401);
    await context.close();
  });

  it('a link signs in once, leaves the address, and is worth nothing afterwards', async () => {
    const made = await world.edge.operate('/v1/console/links', { method: 'POST' });
    const { link } = (await made.json()) as { link: string };
    const first = await (await world.browser.newContext()).newPage();
    await first.goto(`${world.edge.url}/console/#signin=${link}`);
    await first.locator('nav.side').waitFor();
    expect(first.url()).not.toContain(link);
    const second = await (await world.browser.newContext()).newPage();
    await second.goto(`${world.edge.url}/console/#signin=${link}`);
    await second.getByLabel('Operator key').waitFor();
    await second.getByText('The link was used, or is too old').waitFor();
    await first.goto(`${world.edge.url}/console/#signin=${link}`);
    await first.getByText('you are still signed in as').waitFor();
    for (const page of [first, second]) await close(page);
  });
});

describe('approvals in the page', () => {
  it('a held call appears without reload, the title counts it, and a yes lets it go through', async () => {
    const page = await world.open('alice');
    const { agent, token } = await newAgent();
    const call = world.send(token, '/v1/payments', PAYMENT, { wait: 30 });
    await cardOf(page, agent).waitFor();
    expect(await page.title()).toMatch(/^\(\d+\) /);
    await cardOf(page, agent).click();
    await page.locator('.decide').waitFor();
    await page.locator('h1').click();
    await page.keyboard.press('a');
    await page.keyboard.press('Enter');
    expect((await call).status).toBe(200);
    await close(page);
  });

  it('after a decision by keyboard the focus is at the next question, not nowhere', async () => {
    const { agent, token } = await newAgent();
    const calls = [2000, 2001].map((amount) => world.send(token, '/v1/payments', { ...PAYMENT, amount }, { wait: 30 }));
    const page = await world.open('alice');
    await until('both wait', async () => (await cardOf(page, agent).count()) === 2);
    await cardOf(page, agent).first().click();
    const focused = () => page.evaluate<string>('`${location.hash.slice(-36)} ${document.activeElement?.tagName}`');
    const approve = async (): Promise<string> => {
      const before = await page.evaluate<string>('location.hash');
      await page.getByRole('button', { name: 'Approve once' }).focus();
      // As long as the page takes a second press for the rest of a double one.
      await new Promise((resolve) => setTimeout(resolve, 800));
      await page.keyboard.press('Enter');
      await until('the heading has the focus', async () => (await focused()).endsWith(' H2'));
      return before;
    };
    const first = await approve();
    expect(await page.evaluate('location.hash')).not.toBe(first);
    await cardOf(page, agent).click();
    await approve();
    expect((await Promise.all(calls)).map(({ status }) => status)).toEqual([200, 200]);
    await close(page);
  });

  it('on a phone, too, the open question has the heading of the page', async () => {
    const { agent, token } = await newAgent();
    const call = world.send(token, '/v1/payments', PAYMENT, { wait: 30 });
    const page = await world.open('alice', '#/approvals', { phone: true });
    await cardOf(page, agent).first().click();
    await page.getByRole('heading', { level: 2 }).waitFor();
    expect(await page.getByRole('heading', { level: 1 }).allTextContents()).toEqual(['Approvals']);
    expect(await page.locator('.split-list .cards').isVisible()).toBe(false);
    expect((await page.locator('.split-detail').boundingBox())?.y).toBe(0);
    await page.getByRole('button', { name: 'Deny' }).click();
    expect((await call).status).toBe(403);
    await close(page);
  });

  it('a no with a reason ends the call and stands in the audit', async () => {
    const page = await world.open('bob');
    const { agent, token } = await newAgent();
    const call = world.send(token, '/v1/payments', PAYMENT, { wait: 30 });
    await cardOf(page, agent).click();
    await page.getByLabel('Reason, for the audit').fill('not this month');
    await page.getByRole('button', { name: 'Deny' }).click();
    expect((await call).body.code).toBe('approval_denied');
    const rows = await world.edge.audit({ agent });
    expect(rows.find((row) => row.event === 'approval.denied')).toMatchObject({
      operator: 'bob',
      detail: { via: 'console', words: 'not this month' },
    });
    await close(page);
  });

  it('one that expires says so, and a changed body is a new question', async () => {
    const page = await world.open('alice');
    const { agent, token } = await newAgent();
    await world.send(token, '/v1/brief', PAYMENT);
    await cardOf(page, agent).click();
    await page.locator('.decide').getByText('expired').waitFor();
    const asked = await world.send(token, '/v1/payments', PAYMENT);
    await page.evaluate(`location.hash = '#/approvals/${asked.approval}'`);
    await page.getByRole('button', { name: 'Approve once' }).click();
    await page.getByText('Approved:').waitFor();
    expect((await world.send(token, '/v1/payments', { ...PAYMENT, amount: 2001 })).body.code).toBe('approval_pending');
    expect((await world.send(token, '/v1/payments', PAYMENT)).status).toBe(200);
    await close(page);
  });

  it('two people must agree, and each sees how far it is', async () => {
    const [alice, bob] = [await world.open('alice'), await world.open('bob')];
    const { agent, token } = await newAgent();
    const call = world.send(token, '/v1/two', PAYMENT, { wait: 30 });
    for (const page of [alice, bob]) await cardOf(page, agent).click();
    await alice.getByRole('button', { name: 'Approve once' }).click();
    await alice.getByRole('button', { name: 'You agreed' }).waitFor();
    await bob.getByText('1 of 2 have (alice)').waitFor();
    await bob.getByRole('button', { name: 'Approve once' }).click();
    expect((await call).status).toBe(200);
    for (const page of [alice, bob]) await close(page);
  });

  it('of a text that is too long to be shown it is said that more is sent', async () => {
    const { agent, token } = await newAgent();
    await world.send(token, '/v1/payments', { ...PAYMENT, memo: `${'x'.repeat(9_990)} and 9 more` });
    const page = await world.open('alice');
    await cardOf(page, agent).click();
    await page.getByText('not all is shown: 10,001 characters').waitFor();
    await close(page);
  });

  it('of a number that is too large to be shown it is said that it is not exact', async () => {
    const { agent, token } = await newAgent();
    await world.send(token, '/v1/payments', { ...PAYMENT, memo: 2 ** 60 });
    const page = await world.open('alice');
    await cardOf(page, agent).click();
    await page.getByText(`${2 ** 60} … too large to be shown exactly`).waitFor();
    await close(page);
  });

  it('alike covers what its pattern shows', async () => {
    const page = await world.open('alice');
    const { agent, token } = await newAgent();
    const call = world.send(token, '/v1/many', PAYMENT, { wait: 30 });
    await cardOf(page, agent).click();
    await page.getByText('up to 3 calls').waitFor();
    await page.getByRole('button', { name: 'Approve alike' }).click();
    expect((await call).status).toBe(200);
    expect((await world.send(token, '/v1/many', { ...PAYMENT, amount: 5 })).status).toBe(200);
    await close(page);
  });

  it('a flood of newer questions hides nobody who has waited longer', async () => {
    const first = await newAgent();
    await world.send(first.token, '/v1/payments', PAYMENT);
    const flooders = await Promise.all(Array.from({ length: 6 }, newAgent));
    for (const { token } of flooders)
      await Promise.all(Array.from({ length: 20 }, (_, i) => world.send(token, '/v1/always', { i })));
    const page = await world.open('alice');
    await cardOf(page, first.agent).first().waitFor();
    expect(await page.locator('.card').count()).toBeGreaterThan(120);
    const [{ id } = { id: '' }] = await world.list(`&agent=${first.agent}`);
    await world.decide('bob', id, 'deny');
    await cardOf(page, first.agent).first().waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Decided' }).click();
    await cardOf(page, first.agent).getByText('denied').waitFor();
    for (const { agent } of flooders) await world.edge.operate('/v1/tokens/revoke', revokeOf(agent));
    for (const { agent } of flooders)
      for (const one of await world.list(`&state=pending&agent=${agent}`)) await world.decide('bob', one.id, 'deny');
    await close(page);
  });

  it('by a machine whose clock is wrong, what waits is shown all the same', async () => {
    const { agent, token } = await newAgent();
    await world.send(token, '/v1/payments', PAYMENT);
    const page = await world.open('alice');
    await page.clock.setSystemTime(Date.now() + 3_600_000);
    await page.reload();
    await cardOf(page, agent)
      .getByText(/(9|10):\d\d min left/)
      .waitFor();
    await close(page);
  });

  it('a double click decides one question, and not the next one that has come under the pointer', async () => {
    const [first, second] = [await newAgent(), await newAgent()];
    const ids: string[] = [];
    for (const { token } of [first, second]) ids.push((await world.send(token, '/v1/payments', PAYMENT)).approval);
    const page = await world.open('alice', `#/approvals/${ids[0]}`);
    const approve = page.getByRole('button', { name: 'Approve once' });
    const place = await approve.boundingBox();
    const [x, y] = [(place?.x ?? 0) + 20, (place?.y ?? 0) + 10];
    await page.mouse.click(x, y);
    await page.waitForURL((url) => !url.hash.includes(ids[0] ?? ''));
    await approve.waitFor();
    await page.mouse.click(x, y);
    await page.waitForTimeout(800);
    const waiting = await world.list('&state=pending');
    expect(waiting.map(({ id }) => id)).toContain(ids[1]);
    expect(waiting.map(({ id }) => id)).not.toContain(ids[0]);
    // By intention it is decided.
    await page.evaluate(`location.hash = '#/approvals/${ids[1]}'`);
    await page.locator('.detail', { hasText: second.agent }).waitFor();
    await approve.click();
    await page.locator('.toast', { hasText: 'Approved' }).waitFor();
    await until('the decision', async () => !(await world.list('&state=pending')).some(({ id }) => id === ids[1]));
    await close(page);
  });

  it('the link of a message serves the second of two people, too', async () => {
    const { token } = await newAgent();
    const asked = await world.send(token, '/v1/two', PAYMENT);
    const page = await world.open('bob', `#/approvals/${asked.approval}?link=${'a'.repeat(36)}.1.${'b'.repeat(64)}`);
    await page.getByRole('button', { name: 'Approve once' }).click();
    await page.getByText('You agreed. 1 more must.').waitFor();
    await close(page);
  });

  it('who may only look sees no button', async () => {
    const page = await world.open('audrey');
    const { agent, token } = await newAgent();
    await world.send(token, '/v1/payments', PAYMENT);
    await cardOf(page, agent).click();
    await page.getByText('Deciding needs the role approve').waitFor();
    expect(await page.getByRole('button', { name: 'Approve once' }).count()).toBe(0);
    await close(page);
  });
});

describe('the audit in the page', () => {
  it('filters by agent and decision, and follows live', async () => {
    const { agent, token } = await newAgent();
    await world.send(token, '/v1/balance');
    const page = await world.open('audrey', `#/audit?agent=${agent}`);
    await page.locator('.row', { hasText: 'call.completed' }).waitFor();
    await page.getByLabel('Decision').selectOption('deny');
    await page.getByText('No rows').waitFor();
    await world.send(token, '/v1/nothing');
    await page.locator('.row', { hasText: 'operation_unknown' }).waitFor();
    await close(page);
  });
});

describe('the audit in the page, shared and followed', () => {
  it('an address means the same time to a colleague in another zone', async () => {
    const openIn = async (timezoneId: string, hash: string): Promise<Page> => {
      const page = await (await world.browser.newContext({ timezoneId })).newPage();
      await page.goto(`${world.edge.url}/console/${hash}`);
      await page.getByLabel('Operator key').fill(world.keyOf('audrey'));
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByLabel('Since').waitFor();
      return page;
    };
    const here = await openIn('America/New_York', '#/audit');
    await here.getByLabel('Since').fill('2026-07-01T08:30');
    await here.getByLabel('Since').blur();
    await here.waitForURL((url) => url.hash.includes('since='));
    expect(decodeURIComponent(here.url())).toContain('since=2026-07-01T12:30:00.000Z');
    const there = await openIn('Asia/Tokyo', new URL(here.url()).hash);
    expect(await there.getByLabel('Since').inputValue()).toBe('2026-07-01T21:30');
    for (const page of [here, there]) await close(page);
  });

  it('older rows and a list that is followed anew leave no gap between them', async () => {
    const { agent, token } = await newAgent();
    const call = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i += 1) await world.send(token, '/v1/nothing');
    };
    await call(60);
    const page = await world.open('audrey', `#/audit?agent=${agent}`);
    await page.getByRole('button', { name: 'Older rows' }).click();
    await page.locator('.row').nth(60).waitFor();
    await call(60);
    await page.getByLabel('Follow').check();
    const shown = async (): Promise<number[]> => {
      const heads = page.locator('.row-head');
      const ids: number[] = [];
      for (const row of (await heads.count()) > 0 ? [0, (await heads.count()) - 1] : []) {
        await heads.nth(row).click();
        ids.push(Number(/row (\d+)/.exec((await page.locator('.row.open .chain b').last().textContent()) ?? '')?.[1]));
        await heads.nth(row).click();
      }
      return ids;
    };
    await page.waitForTimeout(3_000);
    const [newest = 0, oldest = 0] = await shown();
    expect(newest - oldest + 1, 'as many rows as there are numbers').toBe(await page.locator('.row').count());
    await close(page);
  });

  it('a page opened while the edge is away fills itself when it is back', async () => {
    const page = await world.open('audrey');
    await page.route('**/v1/policies', (route) => route.abort());
    await page.evaluate("location.hash = '#/policies'");
    await page.getByText('The edge cannot be reached').waitFor();
    await page.unroute('**/v1/policies');
    await page.getByText('Would this be allowed?').waitFor();
    await close(page);
  });

  it('nobody waits: that is said of an edge that answers alone', async () => {
    const page = await world.open('audrey');
    await page.route('**/v1/approvals*', (route) => route.abort());
    await page.routeWebSocket('**/v1/approvals/live', (socket) => socket.close());
    await page.reload();
    await page.getByRole('alert').getByText('The edge cannot be reached').waitFor();
    expect(await page.getByText('Nobody waits').count()).toBe(0);
    await page.getByText('Not following').waitFor();
    await page.unroute('**/v1/approvals*');
    await page.getByText('Polling').waitFor();
    expect(await page.getByRole('alert').count()).toBe(0);
    await close(page);
  });

  it('what is not there is said with the way back, on a phone, too', async () => {
    const page = await world.open('audrey', '#/approvals/00000000-0000-0000-0000-000000000000', { phone: true });
    await page.getByText('There is no such approval').waitFor();
    await page.getByRole('link', { name: 'All approvals' }).click();
    await page.getByRole('heading', { name: 'Approvals' }).waitFor();
    await page.evaluate("location.hash = '#/sessions/ses_nope'");
    await page.getByText('No such session').waitFor();
    await page.getByRole('link', { name: 'All sessions' }).click();
    await page.getByRole('heading', { name: 'Sessions' }).waitFor();
    await close(page);
  });

  it('another address of the page Stop is another target', async () => {
    const page = await world.open('local', '#/stop?scope=agent&agent=first');
    await page.getByText('Hits 0 living tokens').waitFor();
    await page.evaluate("location.hash = '#/stop?scope=session&session=second'");
    await page.getByLabel('Session id').waitFor();
    expect(await page.getByLabel('Session id').inputValue()).toBe('second');
    await page.goBack();
    await page.getByLabel('Agent id').waitFor();
    expect(await page.getByLabel('Agent id').inputValue()).toBe('first');
    await close(page);
  });
});

const HOSTILE = '<img src=x onerror=alert(1)>"\'</script><script>alert(2)</script>\u202e\u0007';
describe('what an agent writes is text (threat 36)', () => {
  it('in bodies, paths, queries and headers, on every page', async () => {
    const { agent, token } = await newAgent();
    const path = `/v1/always/${encodeURIComponent('<img src=x onerror=alert(5)>')}`;
    await world.send(
      token,
      `${path}?q=${encodeURIComponent(HOSTILE)}`,
      { [HOSTILE]: HOSTILE },
      {
        method: 'PUT',
        headers: { 'user-agent': '<script>alert(3)</script>', 'x-note': '<svg onload=alert(4)>' },
      },
    );
    await world.send(token, `/v1/none/${encodeURIComponent(HOSTILE)}`);
    const page = await world.open('local');
    await cardOf(page, agent).click();
    await page.locator('.tree').getByText('onerror').first().waitFor();
    expect(await page.locator('.tree').innerText()).toContain('\\u{202e}');
    for (const hash of [
      `#/audit?agent=${agent}`,
      '#/sessions',
      '#/signals',
      '#/policies',
      '#/stop',
      `#/approvals/${HOSTILE}`,
    ]) {
      await page.evaluate(`location.hash = ${JSON.stringify(hash)}`);
      await page.waitForTimeout(400);
      for (const row of await page.locator('.row-head').all()) await row.click();
    }
    expect(await page.locator('main img, main script, main svg[onload]').count()).toBe(0);
    expect(faults).toEqual([]);
    await close(page);
  });
});

describe('other sites', () => {
  const post = (path: string, headers: Record<string, string>, method = 'POST'): Promise<number> =>
    new Promise((resolve, reject) => {
      const sent = request(`${world.edge.url}${path}`, { method, headers }, (answer) => {
        answer.resume();
        resolve(answer.statusCode ?? 0);
      });
      sent.on('error', reject);
      sent.end(method === 'GET' ? undefined : '{}');
    });

  it('a cookie without our origin and our own field changes nothing (CSRF)', async () => {
    const page = await world.open('alice');
    const { token } = await newAgent();
    const { approval } = await world.send(token, '/v1/payments', PAYMENT);
    const cookie = await cookieOf(page.context());
    const path = `/v1/approvals/${approval}/approve`;
    const origin = world.edge.url;
    const field = { 'x-keywarden-console': '1' };
    expect(await post(path, { cookie })).toBe(403);
    expect(await post(path, { cookie, origin })).toBe(403);
    expect(await post(path, { cookie, ...field })).toBe(403);
    expect(await post(path, { cookie, ...field, origin: 'https://evil.example' })).toBe(403);
    expect(await post(path, { cookie, ...field, origin: 'null' })).toBe(403);
    expect(await post(path, { cookie, ...field, origin, 'sec-fetch-site': 'same-site' })).toBe(403);
    expect((await world.detail(approval)).state).toBe('pending');
    expect(await post('/v1/approvals', { cookie, 'sec-fetch-site': 'cross-site' }, 'GET')).toBe(403);
    expect(await post(path, { cookie: `${cookie}; ${cookie}`, ...field, origin })).toBe(401);
    expect(await post(path, { cookie, ...field, origin, 'sec-fetch-site': 'same-origin' })).toBe(200);
    await close(page);
  });

  it('a form of another site reaches nothing, and no site may frame the page', async () => {
    const page = await world.open('alice');
    const fields = (await page.request.get(`${world.edge.url}/console/`)).headers();
    expect(fields['content-security-policy']).toContain("frame-ancestors 'none'");
    expect(fields['content-security-policy']).not.toMatch(/unsafe|http|\*/);
    expect(fields['x-frame-options']).toBe('DENY');
    expect(fields['x-content-type-options']).toBe('nosniff');
    expect(fields['cache-control']).toBe('no-cache');
    const evil = await page.context().newPage();
    await evil.route('https://evil.example/', (route) =>
      route.fulfill({ contentType: 'text/html', body: `<iframe src="${world.edge.url}/console/"></iframe>` }),
    );
    await evil.goto('https://evil.example/');
    await evil.waitForTimeout(500);
    expect(await evil.frameLocator('iframe').locator('nav.side').count()).toBe(0);
    await close(page);
  });
});

describe('roles are enforced at the edge', () => {
  it('a session is its operator, no more', async () => {
    const page = await world.open('minty', '#/policies');
    expect(await page.locator('nav.side li').allInnerTexts()).toEqual(['Policies', 'Stop']);
    const status = (path: string): Promise<unknown> =>
      page.evaluate(`fetch(${JSON.stringify(path)}).then((r) => r.status)`);
    expect(await status('/v1/audit')).toBe(403);
    expect(await status('/v1/signals')).toBe(403);
    expect(await status('/metrics')).toBe(401);
    expect(await status('/v1/policies')).toBe(200);
    await close(page);
  });
});

describe('the kill switch', () => {
  it('an agent is stopped from its next call on', async () => {
    const { agent, token } = await newAgent();
    expect((await world.send(token, '/v1/balance')).status).toBe(200);
    const page = await world.open('local', `#/stop?scope=agent&agent=${agent}`);
    await page
      .locator('.hit')
      .getByText('1 living token')
      .waitFor()
      .catch(() => {});
    expect(await page.locator('.hit').innerText()).toContain(agent);
    await page.getByRole('button', { name: 'Stop this agent' }).click();
    await page.getByText('acts on the next call').last().waitFor();
    await page.getByText('Revoked the agent').waitFor();
    expect((await world.send(token, '/v1/balance')).status).toBe(401);
    await close(page);
  });

  it('a service, then everything: no call, no new token, until it is lifted', async () => {
    const { agent, token } = await newAgent();
    const mint = async (): Promise<number> =>
      (
        await world.edge.operate('/v1/tokens', {
          method: 'POST',
          body: JSON.stringify({ agent_id: agent, capabilities: ['bank:read'] }),
        })
      ).status;
    // More than the page names: who has the most tokens stands first, and the others are counted.
    await world.edge.mint(agent, ALL);
    for (let i = 0; i < 20; i += 1) await newAgent();
    const page = await world.open('local', '#/stop');
    await page.getByRole('button', { name: 'service', exact: true }).click();
    await page.getByLabel('Service').selectOption('bank');
    await page.locator('.hit').getByText(`${agent} · 2`).waitFor();
    await page
      .locator('.hit')
      .getByText(/and \d+ more/)
      .waitFor();
    await page.getByRole('button', { name: 'Stop this service' }).click();
    await page.getByText(/^Stopped: /).waitFor();
    expect((await world.send(token, '/v1/balance')).status).toBe(401);
    expect(await mint()).toBe(409);
    await page.getByRole('button', { name: 'Lift' }).click();
    await page.getByText('Lifted. Tokens').waitFor();
    expect(await mint()).toBe(200);
    const again = await world.edge.mint(agent, ALL);
    await page.getByText('Lifted. Tokens').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'everything' }).click();
    const stop = page.getByRole('button', { name: 'Stop everything' });
    expect(await stop.isDisabled()).toBe(true);
    await page.locator('input[name=sure]').fill('everything');
    await stop.click();
    await page.locator('.alerts').getByText('Everything').waitFor();
    expect((await world.send(again, '/v1/balance')).status).toBe(401);
    expect(await mint()).toBe(409);
    await page.getByRole('button', { name: 'Lift' }).click();
    await page.getByText('Lifted. Tokens').waitFor();
    expect((await world.edge.verify()).problems).toEqual([]);
    const events = (await world.edge.audit()).map((row) => row.event);
    expect(events.filter((event) => event.startsWith('stop.')).sort()).toEqual([
      'stop.lifted',
      'stop.lifted',
      'stop.placed',
      'stop.placed',
    ]);
    await close(page);
  });
});

describe('sessions', () => {
  it('past the first hundred are a page further, and back', async () => {
    const { x } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });
    for (let i = 0; i < 101; i++) {
      const answer = await world.edge.operate('/v1/sessions', {
        method: 'POST',
        body: JSON.stringify({
          session_id: `ses_${String(i).padStart(26, '0')}`,
          agent_id: 'many',
          backend: 'namespace',
          host: 'runner-1',
          program: `program-${i}`,
          capabilities: ['bank:read'],
          deadline_at: new Date(Date.now() + 900_000).toISOString(),
          key: { kty: 'OKP', crv: 'Ed25519', x },
        }),
      });
      expect(answer.status, await answer.text()).toBe(201);
    }
    const page = await world.open('audrey', '#/sessions');
    const cards = page.locator('.card', { hasText: 'many' });
    await cards.nth(99).waitFor();
    expect(await page.getByText('program-0', { exact: true }).count()).toBe(0);
    await page.getByRole('button', { name: 'Older sessions' }).click();
    await page.getByText('program-0', { exact: true }).waitFor();
    expect(await cards.count()).toBe(1);
    await page.getByRole('button', { name: 'Newest sessions' }).click();
    await cards.nth(99).waitFor();
    await close(page);
  });
});

describe('signals', () => {
  it('are figures, and text for Prometheus, for operators alone', async () => {
    const answer = await world.edge.operate('/metrics');
    expect(answer.status).toBe(200);
    expect(await answer.text()).toMatch(/keywarden_rejections_window\{reason="operation_unknown",.*\} \d+/);
    expect((await fetch(`${world.edge.url}/metrics`)).status).toBe(401);
    expect((await fetch(`${world.edge.url}/v1/signals`)).status).toBe(401);
  });
});

// Last: it breaks the chain for good.
describe('the chain in the page', () => {
  it('holds, says what it read, and names the row that was altered in the database', async () => {
    const { agent, token } = await newAgent();
    await world.send(token, '/v1/balance');
    const page = await world.open('audrey', '#/audit');
    await page.getByRole('button', { name: 'Verify the chain' }).click();
    await page.getByRole('heading', { name: 'The chain holds' }).waitFor();
    expect(await page.locator('.verified').innerText()).toMatch(/Read \d+ rows of \d+ ledgers/);
    const database = databaseOf(join(world.edge.state, 'storage'));
    const altered = database
      .prepare("SELECT seq FROM audit WHERE agent = ? AND event = 'call.admitted'")
      .get(agent) as {
      seq: number;
    };
    database.prepare("UPDATE audit SET path = '/v1/other' WHERE agent = ? AND seq = ?").run(agent, altered.seq);
    database.close();
    await page.getByRole('button', { name: 'Verify the chain' }).click();
    await page.getByRole('heading', { name: 'The chain is broken in 1 place' }).waitFor();
    const told = await page.locator('.problems').innerText();
    expect(told).toMatch(/^ledger [0-9a-f]{12}…, row \d+: altered: /);
    expect(told.match(/row \d+/g)).toEqual([`row ${altered.seq}`]);
    await close(page);
  });
});

function databaseOf(storage: string): DatabaseSync {
  const files = readdirSync(storage, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.sqlite') && !name.includes('metadata'))
    .map((name) => join(storage, name));
  for (const file of files.filter(existsSync)) {
    const database = new DatabaseSync(file, { timeout: 10_000 });
    const has = database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'console_sessions'").get();
    if (has !== undefined) return database;
    database.close();
  }
  throw new Error('no D1 file was found');
}
