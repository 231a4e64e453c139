/** What an operator may do. `admin` may do everything. */
export const ROLES = ['mint', 'approve', 'audit', 'admin'] as const;
export type Role = (typeof ROLES)[number];

/** A human or a machine that runs Keywarden: not an agent. */
export interface Operator {
  /** Printable id, as it goes into audit rows. */
  readonly id: string;
  readonly roles: ReadonlySet<Role>;
  /** Names by which a policy's `approval.reviewers` may mean several operators. */
  readonly groups?: ReadonlySet<string>;
}

const GROUP_NAME = /^[A-Za-z0-9][A-Za-z0-9._@:-]{0,99}$/;

export const mayAct = (operator: Operator, role: Role): boolean =>
  operator.roles.has(role) || operator.roles.has('admin');

export const isRole = (x: unknown): x is Role => ROLES.includes(x as Role);

export const isGroupName = (x: unknown): x is string => typeof x === 'string' && GROUP_NAME.test(x);
