import { describe, expect, it } from 'vitest';
import type { Backend, BackendName, Layer } from '../../src/sandbox/backend.ts';
import { chooseBackend, wantedBackend } from '../../src/session/choose-backend.ts';

const layer = (name: string, present: boolean, required: boolean): Layer => ({
  ...{ name, present, required, detail: '', mend: present ? null : `get ${name}` },
});
const WHOLE = [layer('walls', true, true), layer('limits', true, false)];
const ENOUGH = [layer('walls', true, true), layer('limits', false, false)];
const LACKING = [layer('walls', false, true), layer('limits', true, false)];

/** What this host offers: the layers of each backend; one that is not to be asked has none. */
const choose = async (wanted: BackendName | 'auto', host: Partial<Record<BackendName, readonly Layer[]>>) =>
  (
    await chooseBackend(wanted, async (name) => {
      const layers = host[name];
      if (layers === undefined) throw new Error(`${name} was asked`);
      return { name, layers: async () => layers } as Partial<Backend> as Backend;
    })
  ).backend.name;

describe('--backend auto', () => {
  it.each<[string, Partial<Record<BackendName, readonly Layer[]>>, BackendName]>([
    ['namespace, when it is whole: docker is not even asked', { namespace: WHOLE }, 'namespace'],
    ['docker, when that alone is whole', { namespace: ENOUGH, docker: WHOLE }, 'docker'],
    ['docker, when namespace lacks what is required', { namespace: LACKING, docker: ENOUGH }, 'docker'],
    [
      'namespace, when none is whole and both have what is required',
      { namespace: ENOUGH, docker: ENOUGH },
      'namespace',
    ],
    ['namespace, when docker lacks what is required', { namespace: ENOUGH, docker: LACKING }, 'namespace'],
  ])('takes %s', async (_, host, taken) => {
    expect(await choose('auto', host)).toBe(taken);
  });

  it('refuses when both lack something required, and says what, and how to get it', async () => {
    const refused = choose('auto', { namespace: LACKING, docker: LACKING });
    await expect(refused).rejects.toMatchObject({
      message: expect.stringMatching(/^the namespace backend lacks walls .*\nthe docker backend lacks walls /),
      hints: ['namespace: get walls', 'docker: get walls'],
      exitCode: 125,
    });
  });
});

it('a named backend is taken or refused, and no other one is asked', async () => {
  expect(await choose('namespace', { namespace: ENOUGH })).toBe('namespace');
  expect(await choose('docker', { docker: WHOLE })).toBe('docker');
  await expect(choose('docker', { docker: LACKING })).rejects.toThrow('the docker backend lacks walls');
});

it('who names an image means docker, who names a root means namespace; what contradicts itself is wrong usage', () => {
  expect(wantedBackend({ backend: 'auto', image: 'an-image', root: null })).toBe('docker');
  expect(wantedBackend({ backend: 'auto', image: null, root: '/srv/root' })).toBe('namespace');
  expect(wantedBackend({ backend: 'auto', image: null, root: null })).toBe('auto');
  for (const [backend, image, root] of [
    ['namespace', 'an-image', null],
    ['docker', null, '/srv/root'],
    ['auto', 'an-image', '/srv/root'],
  ] as const)
    expect(() => wantedBackend({ backend, image, root })).toThrow(expect.objectContaining({ exitCode: 2 }));
});
