#!/usr/bin/env node
// Plain JS that any Node can read. `keywarden` beside it finds a good Node; this may be started by whichever there is.
await import(process.features.typescript ? './start.js' : './old-node.js');
