import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = new URL('..', import.meta.url).pathname;
const text = (file: string): string => readFileSync(join(root, file), 'utf8');
/** Without the copies that a package is made of. */
const pages = globSync('**/*.md', { cwd: root, exclude: ['**/node_modules', '**/.*/**', 'runner/edge'] });

/** As GitHub names the place of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-');
const anchorsOf = (page: string): string[] =>
  [...text(page).matchAll(/^#+ (.*)$/gm)].map(([, name = '']) => anchorOf(name));

describe('the documentation', () => {
  it.each(pages)('%s links to files and headings that are there', (page) => {
    const links = [...text(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
    for (const link of links.filter((one) => !/^https?:/.test(one))) {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? page : join(dirname(page), path);
      expect(existsSync(join(root, target)), link).toBe(true);
      if (anchor !== undefined) expect(anchorsOf(target), link).toContain(anchor);
    }
  });

  it('every decision stands in the list of decisions, in order', () => {
    const records = readdirSync(join(root, 'docs/decisions')).filter((name) => /^\d{4}-/.test(name));
    const listed = [...text('docs/decisions/README.md').matchAll(/^\| \[(\d{4})\]\(([^)]+)\)/gm)];
    expect(listed.map(([, , file]) => file)).toEqual(records.sort());
    for (const [, number = '', file = ''] of listed) expect(text(`docs/decisions/${file}`)).toMatch(`# ${number} · `);
  });

  it('every setting of the edge is told in docs/settings.md, and no other', () => {
    const known = [...text('src/env.ts').matchAll(/^ {2}readonly (KEYWARDEN_\w+)\??:/gm)].map(([, name = '']) => name);
    const told = [
      ...text('docs/settings.md')
        .replace(/^## The command line's own$.*/ms, '')
        .matchAll(/^\| `(KEYWARDEN_\w+)`/gm),
    ];
    // `keywarden dev` alone sets the mode.
    expect(told.map(([, name]) => name).sort()).toEqual(known.filter((name) => name !== 'KEYWARDEN_MODE').sort());
  });
});
