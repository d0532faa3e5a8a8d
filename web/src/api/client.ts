import createClient from "openapi-fetch";
import type { paths } from "./schema";
import type { Solid } from "./types";

/** The one way to the server. The session is an HttpOnly cookie, so there is no token to hold here. */
export const client = createClient<paths>({ credentials: "same-origin" });

export type FieldProblem = { location?: string; message: string };

/** What the server refused, in its own words (RFC 9457 problem+json). */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly fields: FieldProblem[];

  constructor(status: number, code: string, message: string, fields: FieldProblem[] = []) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.fields = fields;
  }
}

type Answer<T> = { data?: T; error?: unknown; response: Response };

/** Gives the answer's data, or throws an ApiError that a page can show. */
export async function unwrap<T>(call: Promise<Answer<T>>): Promise<Solid<T>> {
  let answer: Answer<T>;
  try {
    answer = await call;
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw new ApiError(
      0,
      "unreachable",
      "The server cannot be reached. Check that Parley runs and that you are online.",
    );
  }
  if (answer.response.ok) return solid(answer.data) as Solid<T>;
  throw toApiError(answer.response.status, answer.error);
}

/** What was read, and the entity tag that names this state of it. */
export type Tagged<T> = { value: T; tag: string };

/** As unwrap, with the tag that a change sends as If-Match. */
export async function unwrapTagged<T>(call: Promise<Answer<T>>): Promise<Tagged<Solid<T>>> {
  const answer = await call.catch(() => undefined);
  const value = await unwrap(answer ? Promise.resolve(answer) : call);
  return { value, tag: answer?.response.headers.get("ETag") ?? "" };
}

/** The header of a change that counts only while the thing is what was read; without a tag it counts in any case. */
export const ifMatch = (tag: string | undefined) => (tag ? { "If-Match": tag } : {});

/** As unwrap, for operations that can give text as well, asked for JSON. */
export async function unwrapJson<T>(call: Promise<Answer<T>>): Promise<Exclude<Solid<T>, string>> {
  return (await unwrap(call)) as Exclude<Solid<T>, string>;
}

/** An empty list may come as null. */
function solid(data: unknown): unknown {
  if (typeof data === "object" && data !== null && "items" in data && data.items === null)
    return { ...data, items: [] };
  return data;
}

export function toApiError(status: number, body: unknown): ApiError {
  const problem = (typeof body === "object" && body !== null ? body : {}) as {
    detail?: string;
    title?: string;
    code?: string;
    errors?: FieldProblem[];
  };
  const fallback =
    status >= 500 ? "Something went wrong on the server. Please try again." : `The server answered ${status}.`;
  return new ApiError(
    status,
    problem.code ?? "unknown",
    problem.detail || problem.title || fallback,
    problem.errors ?? [],
  );
}

/** Maps the fields a server complained about ("body.email") to a form's errors. */
export function formErrors(error: unknown): Record<string, string> {
  const out: Record<string, string> = {};
  if (error instanceof ApiError) {
    for (const f of error.fields) if (f.location) out[f.location.replace(/^body\./, "")] = f.message;
  }
  return out;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : "Something went wrong.";
}
