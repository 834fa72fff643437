/** Problem Details, RFC 9457: what an answer with an error says, as application/problem+json. */
export interface ProblemDetails {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail?: string;
  /** What is wrong with the request, all of it. */
  readonly errors?: readonly Violation[];
}

export interface Violation {
  /** Where: a JSON Pointer into the body (RFC 6901), or the name of a parameter. */
  readonly pointer?: string;
  readonly parameter?: string;
  readonly detail: string;
}

/** What an operation fails with on purpose. Anything else that is thrown is answered with 500 and logged. */
export class Problem extends Error {
  readonly details: ProblemDetails;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, title: string, more: Partial<ProblemDetails> = {}, headers: Record<string, string> = {}) {
    super(more.detail ?? title);
    this.details = { type: 'about:blank', title, status, ...more };
    this.headers = headers;
  }
}

export const invalid = (errors: readonly Violation[]): Problem =>
  new Problem(400, 'The request is not valid.', { errors });
