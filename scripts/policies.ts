/**
 * Compiles the policies into the bundle that the Worker carries, and writes the schemas for editors.
 *
 *   node scripts/policies.ts [--dir policies] [--out src/policy/bundle.generated.json] [--dev]
 *
 * Prints every problem as `file:line:column: error: …` with its fix; exit code 1 when there is any, and then writes nothing.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { Failure } from '../runner/src/failure.ts';
import { type Compiled, tryCompileDirectory } from '../runner/src/policy/compile.ts';
import { editorSchemas } from '../src/policy/schema.ts';

const { values } = parseArgs({
  options: {
    dir: { type: 'string', default: 'policies' },
    out: { type: 'string', default: 'src/policy/bundle.generated.json' },
    dev: { type: 'boolean', default: false },
  },
});

const compiled = await compiledOf(values.dir);
if (!compiled.ok) {
  for (const { file, line, column, message, fix } of compiled.error) {
    console.error(`${file}:${line}:${column}: error: ${message}\n  fix: ${fix}`);
  }
  console.error(`${compiled.error.length} problem${compiled.error.length === 1 ? '' : 's'}; nothing was written`);
  process.exit(1);
}

const { services, agents, hash } = compiled.value;
writeIfChanged(values.out, compiled.value);
const schemas = editorSchemas();
writeIfChanged(join(values.dir, 'schema.json'), schemas.service);
writeIfChanged(join(values.dir, 'agents.schema.json'), schemas.agents);
const capabilities = Object.values(services).reduce((sum, service) => sum + service.capabilities.length, 0);
console.log(
  `policies: ${Object.keys(services).length} services, ${capabilities} capabilities, ${agents.grants.length} agents, hash ${hash.slice(0, 12)}`,
);

async function compiledOf(directory: string): Promise<Compiled> {
  try {
    return await tryCompileDirectory(directory, { allowLoopbackHttp: values.dev });
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    console.error(`error: ${error.message}`);
    process.exit(1);
  }
}

/** The folder is watched by the build that runs this: to write what is there already would start it again for ever. */
function writeIfChanged(path: string, value: unknown): void {
  const text = `${JSON.stringify(value, null, 1)}\n`;
  let before: string | null = null;
  try {
    before = readFileSync(path, 'utf8');
  } catch {
    mkdirSync(dirname(path), { recursive: true });
  }
  if (before !== text) writeFileSync(path, text);
}
