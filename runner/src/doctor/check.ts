/** One thing that the doctor looked at. */
export interface Check {
  readonly name: string;
  /** `present` and `absent` are of layers that only the runner of sandboxes will need. */
  readonly state: 'ok' | 'warning' | 'broken' | 'present' | 'absent' | 'skipped';
  readonly detail: string;
  readonly mend: string | null;
}

export const fine = (name: string, detail: string): Check => ({ name, state: 'ok', detail, mend: null });
export const warning = (name: string, detail: string, mend: string): Check => ({
  name,
  state: 'warning',
  detail,
  mend,
});
export const broken = (name: string, detail: string, mend: string): Check => ({ name, state: 'broken', detail, mend });
export const skipped = (name: string, detail: string): Check => ({ name, state: 'skipped', detail, mend: null });
export const layer = (name: string, there: boolean, detail: string, mend: string): Check => ({
  name,
  state: there ? 'present' : 'absent',
  detail,
  mend: there ? null : mend,
});
