export interface ExplainOptions {
  readonly agent: string;
  readonly can?: readonly string[];
  readonly body?: string;
  readonly contentType?: string;
  readonly policies?: string;
  readonly dev?: boolean;
  readonly json?: boolean;
}
export async function explainPolicy(_method: string, _path: string, _options: ExplainOptions): Promise<number> {
  return 1;
}
