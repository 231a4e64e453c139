import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CREDENTIAL_PATHS, classesOf, parseCredentialPaths } from '../../src/helper/credential-list.ts';
import { deniedClassOf } from '../../src/helper/credential-match.ts';
import { systemCalls } from '../../src/helper/system-calls.ts';
import { tablesOf } from '../../src/helper/tables.ts';
import { credentialsOf } from '../../src/session/host-paths.ts';

describe('the list of credential paths', () => {
  it('as shipped, is read', () => {
    const paths = parseCredentialPaths(readFileSync(CREDENTIAL_PATHS, 'utf8'));
    expect(classesOf(paths).slice(0, 4)).toEqual(['proc-environ', 'proc-other', 'aws', 'ssh']);
  });

  it.each(credentialsOf(null))('as shipped, denies ~/%s, which is known to hold credentials without it', (path) => {
    const paths = parseCredentialPaths(readFileSync(CREDENTIAL_PATHS, 'utf8'));
    expect(deniedClassOf(`/home/agent/${path}`, paths, '/home/agent')).not.toBeNull();
  });

  it.each([
    ['~/.aws/', { where: '~/', text: '.aws', folder: true, glob: false }],
    ['/etc/shadow', { where: '/', text: '/etc/shadow', folder: false, glob: false }],
    ['**/.env.*', { where: '**/', text: '.env.*', folder: false, glob: true }],
    ['!**/.env.example', { except: true, observed: false, text: '.env.example' }],
    ['?/proc/self/environ', { except: false, observed: true, text: '/proc/self/environ' }],
  ])('knows what %s means', (pattern, means) => {
    expect(parseCredentialPaths(`class ${pattern} # source`)).toMatchObject([means]);
  });

  it.each([
    ['a class alone', 'aws ~/.aws/\nssh\n', 'line 2: a line is `class pattern # source`'],
    ['a class in capitals', 'AWS ~/.aws/\n', 'line 1: a class is lower-case letters, digits and -'],
    ['a class too long to keep', `${'a'.repeat(32)} ~/.aws/\n`, 'line 1: a class is too long'],
    ['a relative pattern', '# comment\n\naws .aws/\n', 'line 3: a pattern begins with ~/, / or **/'],
    ['nothing after the prefix', 'aws ~/\n', 'line 1: a pattern is too short or too long'],
    ['a pattern too long to keep', `aws ~/${'x'.repeat(200)}\n`, 'line 1: a pattern is too short or too long'],
    ['no pattern', '# only words\n', 'no pattern in it'],
    ['a null byte', 'aws ~/.aws/\0\n', 'it holds a null byte'],
    ['too many classes', Array.from({ length: 60 }, (_, i) => `c${i} ~/.c${i}\n`).join(''), 'too many classes'],
    ['too many patterns', 'aws ~/.aws\n'.repeat(300), 'too many patterns'],
    ['more than it may hold', '#'.repeat(70_000), 'it is too long'],
  ])('refuses %s, and says where', (_, list, why) => {
    expect(() => parseCredentialPaths(list)).toThrow(why);
  });

  it('is refused with a reason or becomes C in which every text stays one text, whatever is in it', () => {
    const part = fc.constantFrom(
      ...['aws', ' ', '~/', '**/', '/', '!', '?', '*', '[', ']', '\\', '"', '#', '\n', '.ssh/', 'A', '-', 'é'],
    );
    const begun = fc.constantFrom('', 'aws ~/', 'ssh **/', 'aws ?/', 'aws !~/');
    const line = fc.tuple(begun, fc.array(part, { maxLength: 10 })).map(([first, rest]) => first + rest.join(''));
    const calls = systemCalls('x64');
    let made = 0;
    fc.assert(
      fc.property(fc.array(line, { maxLength: 4 }), (lines) => {
        let paths: ReturnType<typeof parseCredentialPaths>;
        try {
          paths = parseCredentialPaths(lines.join('\n'));
        } catch (error) {
          expect(error).toBeInstanceOf(SyntaxError);
          return;
        }
        made += 1;
        const table = /PATTERNS\[\] = \{\n(.*)\n\};/s.exec(tablesOf(calls, paths, 'x64'))?.[1]?.split('\n') ?? [];
        const texts = table.map((row) => {
          expect(row).toMatch(/^ {2}\{\d+, [A-Z_]+, (true, |false, ){4}\d+, "([^"\\?]|\\[0-7]{3})*"\},$/);
          const bytes = row.slice(row.indexOf('"') + 1, row.lastIndexOf('"'));
          const plain = bytes.replace(/\\([0-7]{3})/g, (_, octal: string) =>
            String.fromCharCode(Number.parseInt(octal, 8)),
          );
          return Buffer.from(plain, 'latin1').toString();
        });
        expect(texts).toEqual(paths.map(({ text }) => text));
      }),
    );
    expect(made).toBeGreaterThan(5);
  });
});
