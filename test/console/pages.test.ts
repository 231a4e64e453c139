import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ALL } from '../edge/approvals/world.ts';
import { rawCall } from '../support/raw.ts';
import { type ConsoleWorld, faults, SHOTS, startConsole } from './world.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PAGES = ['approvals', 'sessions', 'audit', 'signals', 'policies', 'stop'] as const;
let world: ConsoleWorld;

beforeAll(async () => {
  world = await startConsole();
  const token = await world.edge.mint('support-bot', ALL);
  await world.send(token, '/v1/balance');
  for (let i = 0; i < 6; i += 1) await world.send(token, `/v1/customers/cus_${i}`);
  await world.send(token, '/v1/balance', undefined, { method: 'DELETE' });
  await world.send(token, '/v1/payments', {
    to: 'acct_1JxQv2',
    amount: 4200,
    currency: 'eur',
    lines: [{ sku: 'A-17', n: 2 }],
  });
  await world.send(token, '/v1/two', { to: 'acct_9', amount: 99_000 });
  await world.send(await world.edge.mint('night-reports', ALL), '/v1/many', { to: 'acct_7', amount: 120 });
  await runSession();
});
afterAll(() => world?.stop());

async function runSession(): Promise<void> {
  const session = `ses_${'0123456789abcdefghjkmnpqrs'}`;
  const { x } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });
  const post = async (path: string, body: object): Promise<void> => {
    const response = await world.edge.operate(path, { method: 'POST', body: JSON.stringify(body) });
    expect(response.ok, await response.text()).toBe(true);
  };
  await post('/v1/sessions', {
    session_id: session,
    agent_id: 'support-bot',
    backend: 'namespace',
    host: 'runner-1',
    program: 'python3',
    capabilities: ['bank:read', 'bank:pay'],
    deadline_at: new Date(Date.now() + 900_000).toISOString(),
    key: { kty: 'OKP', crv: 'Ed25519', x },
  });
  await post(`/v1/sessions/${session}/report`, {
    sequence: 1,
    counters: {
      denied: [
        { path_class: 'aws', syscall: 'openat', count: 3 },
        { path_class: 'ssh', syscall: 'openat2', count: 1 },
      ],
      observed: [{ path_class: 'git', syscall: 'statx', count: 12 }],
      blocked: [{ syscall: 'ptrace', count: 2 }],
      dropped: 0,
      sources: ['seccomp'],
    },
  });
  await post('/v1/signals/screen', { session_id: session, report_id: 'r1', rule: 'secret_shown', count: 2 });
  await post('/v1/signals/screen', { session_id: session, report_id: 'r1', rule: 'secret_shown', count: 2 });
  const token = await world.edge.mint('support-bot', ALL, { session });
  await world.send(token, '/v1/balance');
}

/** The page with something of it open. */
async function settle(page: Page, name: string): Promise<void> {
  if (name === 'approvals') {
    await page.locator('.card', { hasText: 'Pay somebody' }).click();
    await page.locator('.decide').waitFor();
  } else if (name === 'sessions') {
    await page.locator('.card').first().click();
    await page.locator('.figures').waitFor();
  } else if (name === 'audit') {
    await page.locator('.row-head').first().click();
    await page.locator('.chain').waitFor();
    await page.getByRole('button', { name: 'Verify the chain' }).click();
    await page.locator('.verified').waitFor();
  } else if (name === 'signals') {
    await page.locator('canvas').first().waitFor();
  } else if (name === 'policies') {
    await page.getByLabel('Agent', { exact: true }).fill('support-bot');
    await page.getByLabel('Capabilities of its token').fill('bank:pay');
    await page.getByLabel('Method').selectOption('POST');
    await page.getByLabel('Service and path').fill('bank/v1/payments');
    await page.getByLabel('Body', { exact: true }).fill('{"to":"acct_1","amount":4200}');
    await page.getByRole('button', { name: 'Explain' }).click();
    await page.locator('.verdict').waitFor();
  } else {
    await page.getByRole('button', { name: 'everything' }).click();
    await page.locator('.hit').waitFor();
  }
  await page.waitForTimeout(250);
}

describe('each page, in both themes and on a phone', () => {
  for (const name of PAGES) {
    it.each([
      ['light', {}],
      ['dark', { dark: true }],
      ['phone', { phone: true, dark: true }],
    ] as const)(`${name} %s: nothing serious for axe, nothing wider than the window`, async (theme, options) => {
      const page = await world.open('local', `#/${name}`, options);
      await settle(page, name);
      await page.screenshot({ path: `${SHOTS}${name}-${theme}.png` });
      const wide = await page.evaluate(() => {
        const seen = (globalThis as unknown as { document: { querySelectorAll: (s: string) => Iterable<Box> } })
          .document;
        return [...seen.querySelectorAll('main, .split-detail, .split-list, .side')]
          .filter((box) => box.scrollWidth > box.clientWidth + 1)
          .map((box) => box.className || box.tagName);
      });
      expect(wide).toEqual([]);
      await page.evaluate(axe);
      const found = (await page.evaluate('axe.run(document, { resultTypes: ["violations"] })')) as {
        violations: { id: string; impact: string; nodes: { html: string }[] }[];
      };
      const serious = found.violations.filter((one) => one.impact === 'serious' || one.impact === 'critical');
      expect(serious.map((one) => `${one.id}: ${one.nodes[0]?.html}`)).toEqual([]);
      expect(faults.splice(0)).toEqual([]);
      await page.context().close();
    });
  }
});

it.each([
  '//',
  '//[',
  '//other.example/x',
  '/\\x',
  '/"',
  '///////',
  '/%00',
  '/..%2f..%2fetc/passwd',
  `/${'/'.repeat(8_000)}`,
])('of what is no page it is said that it is not there: /console%s', async (path) => {
  const response = await rawCall(world.edge.port, 'GET', `/console${path}`);
  expect(response?.status).toBe(404);
  expect(response?.body.toString()).toContain('There is no such file here.');
});

it('what the browser has already is not sent again, and is still the same page with the same rules', async () => {
  const page = `${world.edge.url}/console/`;
  const first = await fetch(page);
  const known = { 'if-none-match': first.headers.get('etag') ?? '' };
  const again = await fetch(page, { headers: known });
  expect([first.status, (await first.text()).length > 0, again.status, await again.text()]).toEqual([
    200,
    true,
    304,
    '',
  ]);
  for (const field of ['etag', 'cache-control', 'content-security-policy'])
    expect(again.headers.get(field)).toBe(first.headers.get(field));
  const other = await fetch(page, { headers: { 'if-none-match': '"another"' } });
  expect([other.status, (await other.text()).length > 0]).toEqual([200, true]);
});

it('one long name in a table leaves the other columns their words', async () => {
  const agent = `agent-${'of-many-words-'.repeat(8)}x`;
  await world.send(await world.edge.mint(agent, ALL), '/v1/balance', undefined, { method: 'DELETE' });
  const page = await world.open('local', '#/signals');
  const row = page.locator('tr', { hasText: agent });
  await row.waitFor();
  const [reason, count] = await Promise.all(['first', 'last'].map((at) => row.locator(`td:${at}-child`).boundingBox()));
  expect(reason?.width).toBeGreaterThan(120);
  expect(count?.width).toBeGreaterThan(0);
  await page.context().close();
});

it.each([1280, 768, 375])('the audit says who acted, %i px wide', async (width) => {
  const page = await world.open('local', '#/audit?agent=night-reports');
  await page.setViewportSize({ width, height: 800 });
  const who = page.locator('.row-head .agent').first();
  await who.waitFor();
  expect((await who.boundingBox())?.width).toBeGreaterThan(40);
  await page.context().close();
});

interface Box {
  readonly scrollWidth: number;
  readonly clientWidth: number;
  readonly className: string;
  readonly tagName: string;
}
