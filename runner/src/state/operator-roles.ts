export type OperatorRole = 'mint' | 'approve' | 'audit' | 'admin';

export const ROLES: readonly OperatorRole[] = ['mint', 'approve', 'audit', 'admin'];
