/** Before scripts in TypeScript: says in plain words why they could not run. Plain JS, so that any Node reads it. */
import { existsSync } from 'node:fs';
import { complainOfNode } from '../runner/bin/complain-of-node.js';

if (!existsSync(new URL('../node_modules/keywarden', import.meta.url))) {
  process.stderr.write('keywarden: error: nothing is installed yet\nkeywarden: hint: npm install\n');
  process.exitCode = 125;
} else if (!process.features.typescript) complainOfNode();
