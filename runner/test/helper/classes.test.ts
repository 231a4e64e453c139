import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { CREDENTIAL_PATHS, helperPath } from '../../src/helper/helper-path.ts';

const helper = await helperPath();
const directory = mkdtempSync(join(tmpdir(), 'keywarden-classes-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function check(list: string): { code: number | null; said: string } {
  const file = join(directory, 'list.txt');
  writeFileSync(file, list);
  const ran = spawnSync(helper, ['classes', file], { encoding: 'utf8' });
  return { code: ran.status, said: ran.stdout + ran.stderr };
}

describe('the list of credential paths', () => {
  it('as shipped, is read', () => {
    expect(spawnSync(helper, ['classes', CREDENTIAL_PATHS], { encoding: 'utf8' })).toMatchObject({ status: 0 });
  });

  it.each([
    ['a class alone', 'aws ~/.aws/\nssh\n', 'line 2: a line is `class pattern # source`'],
    ['a class in capitals', 'AWS ~/.aws/\n', 'line 1: a class is lower-case letters, digits and -'],
    ['a relative pattern', '# comment\n\naws .aws/\n', 'line 3: a pattern begins with ~/, / or **/'],
    ['nothing after the prefix', 'aws ~/\n', 'line 1: a pattern is too short or too long'],
    ['a pattern too long to keep', `aws ~/${'x'.repeat(200)}\n`, 'line 1: a pattern is too short or too long'],
    ['no pattern', '# only words\n', 'no pattern in it'],
    ['a null byte', 'aws ~/.aws/\0\n', 'it holds a null byte'],
    ['too many classes', Array.from({ length: 60 }, (_, i) => `c${i} ~/.c${i}\n`).join(''), 'too many classes'],
    ['too many patterns', 'aws ~/.aws\n'.repeat(300), 'too many patterns'],
    ['more than it may hold', '#'.repeat(70_000), 'it is too long'],
  ])('refuses %s, and says where', (_, list, why) => {
    const { code, said } = check(list);
    expect(said).toContain(why);
    expect(code).toBe(1);
  });

  it('that is not there refuses', () => {
    expect(spawnSync(helper, ['classes', join(directory, 'none')], { encoding: 'utf8' }).stderr).toContain(
      'No such file',
    );
  });
});
