import { Miniflare } from 'miniflare';
import { broken, type Check, fine } from './check.ts';

export function nodeCheck(): Check {
  const version = process.versions.node;
  return process.features.typescript
    ? fine('Node.js', version)
    : broken('Node.js', `${version} cannot strip types`, 'install Node.js 24, or npm install in the project');
}

/** Really starts workerd and asks it something. */
export async function workerdCheck(): Promise<Check> {
  const miniflare = new Miniflare({
    host: '127.0.0.1',
    port: 0,
    cf: false,
    logRequests: false,
    enableDevRegistry: false,
    workers: [
      {
        config: {
          name: 'doctor',
          compatibilityDate: '2026-01-01',
          manifest: {
            mainModule: 'index.js',
            modules: { 'index.js': { type: 'esm', contents: "export default { fetch: () => new Response('well') }" } },
          },
        },
      },
    ],
  });
  try {
    const response = await miniflare.dispatchFetch('http://localhost/');
    const text = await response.text();
    return text === 'well'
      ? fine('workerd', 'starts and answers')
      : broken('workerd', `answers ${response.status}`, 'npm install again');
  } catch (error) {
    return broken(
      'workerd',
      `does not start: ${(error as Error).message.split('\n')[0]}`,
      'npm install again; workerd needs glibc ≥ 2.35 (Debian 12, Ubuntu 22.04)',
    );
  } finally {
    await miniflare.dispose().catch(() => {});
  }
}
