// Counts what ran, from vitest's JSON report, plus the checks; prints the closing line and sets the exit code.
import { readFileSync } from 'node:fs';

const [file, testsExit, passedChecks, failedChecks] = process.argv.slice(2);
let passed = Number(passedChecks);
let failed = Number(failedChecks);
let skipped = 0;
try {
  const report = JSON.parse(readFileSync(file, 'utf8'));
  passed += report.numPassedTests;
  failed += report.numFailedTests;
  skipped += report.numPendingTests + (report.numTodoTests ?? 0);
  for (const { status: ofFile, assertionResults: tests } of report.testResults) {
    const unrun = tests.filter(({ status }) => ['pending', 'skipped', 'todo'].includes(status));
    // A file that could not be loaded, or whose preparation failed: what did not run was not left out on purpose.
    if (ofFile === 'failed' && !tests.some(({ status }) => status === 'failed')) {
      failed += Math.max(1, unrun.length);
      skipped -= unrun.length;
      continue;
    }
    // Whoever reads the log sees what did not run; its name says why.
    for (const { fullName } of unrun) console.log(`skipped: ${fullName}`);
  }
} catch {
  console.log('the test runner left no report');
  failed += 1;
}
if (Number(testsExit) !== 0 && failed === 0) failed = 1;
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exit(failed === 0 ? 0 : 1);
