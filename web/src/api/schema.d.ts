/** Draft of the API's paths, in the shape openapi-typescript gives them; `npm run generate` replaces it. */
import type * as t from "./types";

type Ok<T> = { headers: Record<string, unknown>; content: { "application/json": T } };
type None = { headers: Record<string, unknown>; content?: never };
type Op<P, B, R> = {
  parameters: Omit<{ query?: never; header?: never; path?: never; cookie?: never }, keyof P> & P;
} & (B extends undefined ? { requestBody?: never } : { requestBody: { content: { "application/json": B } } }) & {
  responses: { 200: R; default: { headers: Record<string, unknown>; content: { "application/problem+json": unknown } } };
};
type Get<R, P = object> = { parameters: object; get: Op<P, undefined, Ok<R>> };
type Id = { path: { id: string } };
type Q = { query?: { cursor?: string; limit?: number } };

export interface paths {
  "/api/v1/setup": Get<{ needsOwner: boolean }> & { post: Op<object, { token: string; email: string; name: string; password: string; organisationName: string }, Ok<t.Account>> };
  "/api/v1/auth/sign-in": { parameters: object; post: Op<object, { email: string; password: string }, Ok<t.Account>> };
  "/api/v1/auth/sign-out": { parameters: object; post: Op<object, undefined, None> };
  "/api/v1/me": Get<t.Account>;
  "/api/v1/tokens": Get<t.Page<t.Token>> & { post: Op<object, { name: string; expiresAt?: string }, Ok<t.Token & { secret: string }>> };
  "/api/v1/tokens/{id}": { parameters: object; delete: Op<Id, undefined, None> };
  "/api/v1/agents": Get<t.Page<t.Agent>, Q> & { post: Op<object, { name: string; slug: string; definition: t.Definition }, Ok<t.Agent>> };
  "/api/v1/agents/{id}": Get<t.Agent, Id> & { patch: Op<Id, { name?: string; slug?: string }, Ok<t.Agent>>; delete: Op<Id, undefined, None> };
  "/api/v1/agents/{id}/versions": Get<t.Page<t.AgentVersion>, Id & Q> & { post: Op<Id, { definition: t.Definition; note?: string }, Ok<t.AgentVersion>> };
  "/api/v1/agents/{id}/versions/{number}": Get<t.AgentVersion, { path: { id: string; number: number } }>;
  "/api/v1/agents/{id}/versions/{number}/publish": { parameters: object; post: Op<{ path: { id: string; number: number } }, undefined, Ok<t.Agent>> };
  "/api/v1/agents/validate": { parameters: object; post: Op<object, { definition: t.Definition }, Ok<{ problems: t.Problem[] }>> };
  "/api/v1/agents/{id}/talk": { parameters: object; post: Op<Id, { sdp: string }, Ok<{ sdp: string; callId: string }>> };
  "/api/v1/agent-templates": Get<{ items: t.AgentTemplate[] }>;
  "/api/v1/models": Get<t.Page<t.Model>> & { post: Op<object, t.ModelInput, Ok<t.Model>> };
  "/api/v1/models/{id}": { parameters: object; patch: Op<Id, Partial<t.ModelInput>, Ok<t.Model>>; delete: Op<Id, undefined, None> };
  "/api/v1/models/{id}/probe": { parameters: object; post: Op<Id, undefined, Ok<t.ProbeResult>> };
  "/api/v1/models/probe": { parameters: object; post: Op<object, t.ModelInput & { id?: string }, Ok<t.ProbeResult>> };
  "/api/v1/phones": Get<t.Page<t.Phone>, Q> & { post: Op<object, { username: string; displayName?: string; password?: string }, Ok<t.Phone & { password?: string }>> };
  "/api/v1/phones/{id}": { parameters: object; patch: Op<Id, { displayName?: string; password?: string }, Ok<t.Phone & { password?: string }>>; delete: Op<Id, undefined, None> };
  "/api/v1/calls": Get<t.Page<t.Call>, { query?: { status?: string; direction?: string; channel?: string; agentId?: string; q?: string; from?: string; to?: string; cursor?: string; limit?: number } }>;
  "/api/v1/calls/{id}": Get<t.CallDetail, Id>;
  "/api/v1/calls/outbound": { parameters: object; post: Op<object, { to: string; agent: string }, Ok<t.Call>> };
  "/api/v1/calls/{id}/hangup": { parameters: object; post: Op<Id, undefined, Ok<t.Call>> };
  "/api/v1/calls/{id}/transcript": Get<t.Page<t.TranscriptItem>, Id & Q>;
  "/api/v1/calls/{id}/recording/peaks": Get<t.Peaks, Id & { query?: { buckets?: number } }>;
  "/api/v1/calls/{id}/events": Get<t.Page<t.Entry>, Id & { query?: { kind?: string[]; cursor?: string; limit?: number } }>;
  "/api/v1/calls/{id}/turns": Get<{ items: t.Turn[] }, Id>;
  "/api/v1/calls/{id}/signals": Get<{ items: t.Signal[] }, Id>;
  "/api/v1/overview": Get<t.Overview, { query?: { timeZone?: string } }>;
}
