import { expect, it } from 'vitest';
import { workerdLine } from '../../runner/src/edge/workerd-log.ts';

it.each([
  [
    'e = workerd/util/sqlite.c++:663: failed: unable to open database file: SQLITE_CANTOPEN\nstack: /opt/x/bin/workerd@3760720 /opt/x/bin/workerd@631aeb0; sentryErrorContext = jsgInternalError',
    'e = workerd/util/sqlite.c++:663: failed: unable to open database file: SQLITE_CANTOPEN',
  ],
  ['uncaught exception; source = Uncaught; stack: /w@1 /w@2\nnext', 'uncaught exception; source = Uncaught\nnext'],
  ['Error: no\n    at f (index.js:1:2)', 'Error: no\n    at f (index.js:1:2)'],
  ['an empty stack: none', 'an empty stack: none'],
])('a line of workerd is told without the addresses of its stack: %j', (line, told) =>
  expect(workerdLine(line)).toBe(told),
);
