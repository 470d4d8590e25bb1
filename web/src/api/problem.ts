import type { components } from "./generated/management";

export type Problem = components["schemas"]["Problem"];

/** An answer that is an error: the problem document of the service, or one made here where none came. */
export class ProblemError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail || problem.title);
  }
}

/** Makes a problem of what an answer held. */
export function problemOf(body: unknown, status: number, requestId?: string | null): ProblemError {
  if (typeof body === "object" && body !== null && "code" in body && "detail" in body) {
    return new ProblemError(body as Problem);
  }
  return new ProblemError({
    type: "/errors",
    title: "Unexpected answer",
    status,
    code: "unexpected_answer",
    detail: `The service answered with status ${status} and no problem document.`,
    retryable: status >= 500,
    outcome: "unknown",
    request_id: requestId ?? "",
  });
}

/** What failed, as a problem: a request that got no answer has one too. */
export function asProblem(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem;
  const unreachable = error instanceof TypeError && /fetch|network/i.test(error.message);
  return {
    type: "/errors",
    title: unreachable ? "The service cannot be reached" : "The console failed",
    status: 0,
    code: unreachable ? "unreachable" : "console_fault",
    detail: error instanceof Error ? error.message : String(error),
    retryable: true,
    outcome: "unknown",
    request_id: "",
  };
}
