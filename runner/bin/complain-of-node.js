/** For a Node that cannot run the project's TypeScript, and has found none that can. */
export function complainOfNode() {
  process.stderr.write(
    `keywarden: error: Node.js ${process.versions.node} is too old: 22.18 or newer is needed\n` +
      'keywarden: hint: "npm install --include=optional" brings Node.js 24 along; or install it\n',
  );
  process.exitCode = 125;
}
