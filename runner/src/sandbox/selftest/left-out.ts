/** Rows of the table in docs/sandbox.md that have no probe here, and why. */
export const LEFT_OUT: readonly { readonly rows: string; readonly why: string }[] = [
  { rows: '12', why: 'image history: the tests of the docker backend; no secret is ever given to an image' },
  { rows: '20', why: 'nothing collects files out of a session; mounts are the caller’s own folders' },
  { rows: '40-50', why: 'no desktop in the sandbox yet' },
  { rows: '52, 54-58', why: 'what the edge does with a request: its own tests (test/security)' },
  { rows: '60', why: 'no UDP leaves: row 53 sends it' },
  { rows: '61, 63-66, 68', why: 'the life of sessions and approvals: runner/test/session, test/approvals' },
];
