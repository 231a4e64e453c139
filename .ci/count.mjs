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
  // Whoever reads the log sees what did not run; its name says why.
  for (const { assertionResults } of report.testResults)
    for (const { status, fullName } of assertionResults)
      if (status === 'pending' || status === 'skipped' || status === 'todo') console.log(`skipped: ${fullName}`);
  // A file that could not even be loaded holds no test to count.
  failed += report.testResults.filter((r) => r.status === 'failed' && r.assertionResults.length === 0).length;
} catch {
  console.log('the test runner left no report');
  failed += 1;
}
if (Number(testsExit) !== 0 && failed === 0) failed = 1;
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exit(failed === 0 ? 0 : 1);
