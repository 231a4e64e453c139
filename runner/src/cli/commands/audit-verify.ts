export async function verifyAudit(_file: string | undefined, _options: { jwks?: string; state?: string; json?: boolean }): Promise<number> {
  return 1;
}
