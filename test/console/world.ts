import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { type Person, startWorld, type World, type WorldOptions } from '../edge/approvals/world.ts';

export const SHOTS = fileURLToPath(new URL('../../console/build-shots/', import.meta.url));
mkdirSync(SHOTS, { recursive: true });

export interface ConsoleWorld extends World {
  readonly browser: Browser;
  /** A signed-in page of a fresh browser context; `local` is the edge's own operator, with all roles. */
  readonly open: (who: Person | 'local', hash?: string, options?: OpenOptions) => Promise<Page>;
}
export interface OpenOptions {
  readonly dark?: boolean;
  readonly phone?: boolean;
}

export async function startConsole(options: WorldOptions = {}): Promise<ConsoleWorld> {
  const world = await startWorld(options);
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
  return {
    ...world,
    browser,
    async open(who, hash = '#/approvals', { dark = false, phone = false } = {}) {
      const context = await browser.newContext({
        colorScheme: dark ? 'dark' : 'light',
        viewport: phone ? { width: 390, height: 844 } : { width: 1360, height: 860 },
        reducedMotion: 'reduce',
      });
      const key = who === 'local' ? world.edge.operatorKey : world.keyOf(who);
      const made = await fetch(`${world.edge.url}/v1/console/links`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}` },
      });
      const { link } = (await made.json()) as { link: string };
      const page = await context.newPage();
      watch(page);
      await page.goto(`${world.edge.url}/console/#signin=${link}`);
      await page.locator('nav.side').waitFor();
      if (hash !== '') await page.evaluate(`location.hash = ${JSON.stringify(hash)}`);
      return page;
    },
    async stop() {
      await browser.close();
      await world.stop();
    },
  };
}

/** What went wrong in pages: script errors, refused content. Dialogs would be scripts of others. */
export const faults: string[] = [];
function watch(page: Page): void {
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('console', (message) => {
    if (/Content Security Policy|Trusted/i.test(message.text())) faults.push(`csp: ${message.text()}`);
  });
  page.on('dialog', (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
}

export const cookieOf = async (context: BrowserContext): Promise<string> =>
  (await context.cookies()).map(({ name, value }) => `${name}=${value}`).join('; ');
