import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { client, ifMatch, unwrap, unwrapTagged } from "../../api/client";
import type { Definition } from "../../api/types";
import { prune } from "./definition";

export const useAgents = () =>
  useQuery({
    queryKey: ["agents"],
    queryFn: ({ signal }) => unwrap(client.GET("/api/v1/agents", { params: { query: { limit: 200 } }, signal })),
  });

export const readAgent = (id: string, signal?: AbortSignal) =>
  unwrapTagged(client.GET("/api/v1/agents/{id}", { params: { path: { id } }, signal }));

export const useAgent = (id: string) =>
  useQuery({ queryKey: ["agents", id], queryFn: ({ signal }) => readAgent(id, signal) });

const readVersion = (id: string, number: number, signal?: AbortSignal) =>
  unwrap(client.GET("/api/v1/agents/{id}/versions/{number}", { params: { path: { id, number } }, signal }));

/** An agent's newest version, with the tag of the agent. */
export async function readLatest(id: string) {
  const { value, tag } = await readAgent(id);
  return { tag, value: await readVersion(id, value.latestVersion) };
}

export const useVersion = (id: string, number: number | undefined) =>
  useQuery({
    queryKey: ["agents", id, "versions", number],
    enabled: number !== undefined,
    staleTime: Number.POSITIVE_INFINITY, // a version never changes
    queryFn: ({ signal }) => readVersion(id, number as number, signal),
  });

export const useVersions = (id: string) =>
  useInfiniteQuery({
    queryKey: ["agents", id, "versions"],
    queryFn: ({ signal, pageParam }) =>
      unwrap(
        client.GET("/api/v1/agents/{id}/versions", {
          params: { path: { id }, query: { limit: 20, ...(pageParam ? { cursor: pageParam } : {}) } },
          signal,
        }),
      ),
    initialPageParam: "",
    getNextPageParam: (page) => page.next || undefined,
  });

export const useTemplates = () =>
  useQuery({
    queryKey: ["agent-templates"],
    queryFn: ({ signal }) => unwrap(client.GET("/api/v1/agent-templates", { signal })),
    staleTime: Number.POSITIVE_INFINITY,
  });

function useRefresh() {
  const queries = useQueryClient();
  return () => queries.invalidateQueries({ queryKey: ["agents"] });
}

export function useCreateAgent() {
  const refresh = useRefresh();
  return useMutation({
    mutationFn: (a: { name: string; slug: string; definition: Definition }) =>
      unwrap(client.POST("/api/v1/agents", { body: { ...a, definition: prune(a.definition) } })),
    onSuccess: refresh,
  });
}

export function useRenameAgent(id: string) {
  const refresh = useRefresh();
  return useMutation({
    mutationFn: ({ tag, ...body }: { tag: string; name: string; slug: string }) =>
      unwrap(client.PATCH("/api/v1/agents/{id}", { params: { path: { id }, header: ifMatch(tag) }, body })),
    onSuccess: refresh,
  });
}

export function useDeleteAgent() {
  const refresh = useRefresh();
  return useMutation({
    mutationFn: (id: string) => unwrap(client.DELETE("/api/v1/agents/{id}", { params: { path: { id } } })),
    onSuccess: refresh,
  });
}

export function useSaveVersion(id: string) {
  const refresh = useRefresh();
  return useMutation({
    mutationFn: (v: { definition: Definition; note: string; tag: string }) =>
      unwrap(
        client.POST("/api/v1/agents/{id}/versions", {
          params: { path: { id }, header: ifMatch(v.tag) },
          body: { definition: prune(v.definition), ...(v.note ? { note: v.note } : {}) },
        }),
      ),
    onSettled: refresh,
  });
}

export function usePublish(id: string) {
  const refresh = useRefresh();
  return useMutation({
    mutationFn: (number: number) =>
      unwrap(client.POST("/api/v1/agents/{id}/versions/{number}/publish", { params: { path: { id, number } } })),
    onSuccess: refresh,
  });
}

/** What the server finds wrong with a definition that is not saved yet. */
export const useProblems = (definition: Definition) =>
  useQuery({
    queryKey: ["agent-problems", definition],
    queryFn: async ({ signal }) =>
      (await unwrap(client.POST("/api/v1/agents/validate", { body: { definition: prune(definition) }, signal })))
        .problems ?? [],
    placeholderData: (old) => old,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 30_000,
    retry: false,
  });
