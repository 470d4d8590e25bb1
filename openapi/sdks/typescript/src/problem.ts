import type { Problem } from './streaming/index.js';

/** What the service refused, or what kept it from answering. */
export class HeadwaterError extends Error {
  /** The RFC 9457 problem, as the service wrote it; absent if nothing readable came back. */
  readonly problem: Problem | undefined;

  constructor(message: string, problem?: Problem, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'HeadwaterError';
    this.problem = problem;
  }

  /** The stable code, or `no_answer`. */
  get code(): string {
    return this.problem?.code ?? 'no_answer';
  }

  /** The HTTP status; undefined without an answer. */
  get status(): number | undefined {
    return this.problem?.status;
  }

  /** What became of the request's effect. Without an answer nobody knows. */
  get outcome(): 'not_applied' | 'applied' | 'unknown' {
    return this.problem?.outcome ?? 'unknown';
  }

  /** Whether the same request may succeed later. A connection that broke may come back. */
  get retryable(): boolean {
    return this.problem?.retryable ?? true;
  }

  /** How long the service asks to be left alone, in milliseconds. */
  get retryAfterMs(): number | undefined {
    return this.problem?.retry_after_ms;
  }
}

/** The error of a call that failed: a problem in JSON, or whatever the connection threw. */
export function toError(error: unknown): HeadwaterError {
  if (error instanceof HeadwaterError) return error;
  if (isProblem(error)) return new HeadwaterError(`${error.code}: ${error.detail}`, error);
  const why = error instanceof Error ? error.message : String(error);
  return new HeadwaterError(`no answer: ${why}`, undefined, error);
}

/**
 * Whether to send the request again, by `retryable` and `outcome` alone. `repeatable` says that a
 * repeat does no harm, as with an Idempotency-Key or where nothing is written.
 */
export function shouldRetry(error: HeadwaterError, repeatable: boolean): boolean {
  if (!error.retryable || error.outcome === 'applied') return false;
  return error.outcome === 'not_applied' || repeatable;
}

function isProblem(error: unknown): error is Problem {
  return (
    typeof error === 'object' &&
    error !== null &&
    typeof (error as Problem).code === 'string' &&
    typeof (error as Problem).retryable === 'boolean'
  );
}
