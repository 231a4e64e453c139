// A Node that can run it loads the command line. Builtins come by getBuiltinModule in all that every start loads: an import
// reads each of a module's exports, and some of them load more (of node:fs alone 4 ms).
import { bundledMain } from './bundle.js';
import { compileCache } from './compile-cache.js';

const AGAIN = 'KEYWARDEN_REEXECUTED';

if (process.env[AGAIN]) endWithParent();
delete process.env[AGAIN];

// Before anything is loaded: then a stack names lines of the sources.
if (process.env.KEYWARDEN_DEBUG) process.setSourceMapsEnabled(true);
const cache = compileCache();
if (cache !== null) process.getBuiltinModule('node:module').enableCompileCache(cache);
await import(bundledMain() ?? '../src/cli/main.ts');

/** The old Node that started us holds the other end of fd 3: when even SIGKILL took it, we end too. */
function endWithParent() {
  const { Socket } = process.getBuiltinModule('node:net');
  const line = new Socket({ fd: 3 });
  line.on('error', () => {});
  line.on('close', () => process.kill(process.pid, 'SIGTERM'));
  line.resume();
  line.unref();
}
