import { keepPreviousData, useQueries, useQuery, useQueryClient } from "@tanstack/react-query";
import { client, ifMatch, unwrap, unwrapTagged } from "../../api/client";
import { usePages } from "../../api/pages";
import type { Campaign, CampaignProgress, CampaignSettings } from "../../api/types";
import { useChange } from "../identity/peopleApi";
import type { CampaignFilters } from "./filters";

export const useCampaigns = (filters: CampaignFilters) =>
  usePages<Campaign>(["campaigns", "list", filters], async (cursor, signal) => {
    const { state, archived } = filters;
    const query = { limit: 25, cursor, ...(state ? { state } : {}), ...(archived ? { archived } : {}) };
    return (await unwrap(client.GET("/api/v1/campaigns", { params: { query }, signal }))) as {
      items: Campaign[];
      next: string | null;
    };
  });

/** One campaign with the tag that a change of it sends. */
export const readCampaign = (id: string) => async (signal?: AbortSignal) => {
  const { value, tag } = await unwrapTagged(client.GET("/api/v1/campaigns/{id}", { params: { path: { id } }, signal }));
  return { value: value as Campaign, tag };
};

export const useCampaign = (id: string) =>
  useQuery({ queryKey: ["campaigns", "one", id], queryFn: ({ signal }) => readCampaign(id)(signal) });

/** How a campaign goes. Where a page watches it live, that one keeps this fresh. */
export const useProgress = (id: string, every: number | false = false) =>
  useQuery({
    queryKey: ["campaigns", "progress", id],
    queryFn: ({ signal }) => readProgress(id, signal),
    refetchInterval: every,
  });

const readProgress = (id: string, signal?: AbortSignal): Promise<CampaignProgress> =>
  unwrap(client.GET("/api/v1/campaigns/{id}/progress", { params: { path: { id } }, signal }));

const MANY = 100; // ids of one request

/** How each of several campaigns goes, by its id: one request for a hundred. */
export function useProgressOfMany(campaigns: Campaign[]): Map<string, CampaignProgress> {
  const ids = campaigns.map((c) => c.id);
  const every = campaigns.some((c) => c.state === "running") ? 10_000 : false;
  const parts = Array.from({ length: Math.ceil(ids.length / MANY) }, (_, i) => ids.slice(i * MANY, (i + 1) * MANY));
  const answers = useQueries({
    queries: parts.map((part) => ({
      queryKey: ["campaigns", "progress of many", part],
      queryFn: async ({ signal }: { signal: AbortSignal }) =>
        (
          await unwrap(
            client.GET("/api/v1/campaign-progress", { params: { query: { ids: [part.join(",")] } }, signal }),
          )
        ).items,
      refetchInterval: every as number | false,
      placeholderData: keepPreviousData,
    })),
  });
  return new Map(answers.flatMap((a) => (a.data ?? []).map((p) => [p.id, p])));
}

export const useCampaignHours = (id: string) =>
  useQuery({
    queryKey: ["campaigns", "hours", id],
    queryFn: ({ signal }) => unwrap(client.GET("/api/v1/campaigns/{id}/hours", { params: { path: { id } }, signal })),
    refetchInterval: 60_000,
  });

export const usePreflight = (id: string, enabled = true) =>
  useQuery({
    queryKey: ["campaigns", "preflight", id],
    enabled,
    gcTime: 0,
    queryFn: ({ signal }) =>
      unwrap(client.GET("/api/v1/campaigns/{id}/preflight", { params: { path: { id } }, signal })),
  });

export type NewCampaign = { name: string; settings?: Partial<CampaignSettings> };

export const useCreateCampaign = () =>
  useChange(["campaigns"], async (body: NewCampaign) => {
    return (await unwrap(client.POST("/api/v1/campaigns", { body: body as never }))) as Campaign;
  });

export type CampaignChange = { name?: string; settings?: Partial<CampaignSettings> };

/** Changes a campaign while it is what tag names. */
export const changeCampaign = async (id: string, tag: string, body: CampaignChange) =>
  (await unwrap(
    client.PATCH("/api/v1/campaigns/{id}", { params: { path: { id }, header: ifMatch(tag) }, body: body as never }),
  )) as Campaign;

export const useMarkChecked = () =>
  useChange(["campaigns"], (id: string) =>
    unwrap(client.POST("/api/v1/campaigns/{id}/check", { params: { path: { id } } })),
  );

export const useStart = () =>
  useChange(["campaigns"], (id: string) =>
    unwrap(client.POST("/api/v1/campaigns/{id}/start", { params: { path: { id } } })),
  );

export const usePause = () =>
  useChange(["campaigns"], ({ id, why }: { id: string; why: string }) =>
    unwrap(client.POST("/api/v1/campaigns/{id}/pause", { params: { path: { id } }, body: why ? { why } : {} })),
  );

export const useResume = () =>
  useChange(["campaigns"], (id: string) =>
    unwrap(client.POST("/api/v1/campaigns/{id}/resume", { params: { path: { id } } })),
  );

export const useStop = () =>
  useChange(["campaigns"], (id: string) =>
    unwrap(client.POST("/api/v1/campaigns/{id}/stop", { params: { path: { id } } })),
  );

export const useArchive = () =>
  useChange(["campaigns"], ({ id, archived }: { id: string; archived: boolean }) =>
    unwrap(client.POST("/api/v1/campaigns/{id}/archive", { params: { path: { id } }, body: { archived } })),
  );

export const useDuplicate = () =>
  useChange(["campaigns"], async ({ id, name }: { id: string; name: string }) => {
    return (await unwrap(
      client.POST("/api/v1/campaigns/{id}/duplicate", { params: { path: { id } }, body: { name } }),
    )) as Campaign;
  });

export const useDeleteCampaign = () =>
  useChange([], (id: string) => unwrap(client.DELETE("/api/v1/campaigns/{id}", { params: { path: { id } } })));

/** Reads again everything that is shown of campaigns. */
export function useRefresh() {
  const queries = useQueryClient();
  return () => queries.invalidateQueries({ queryKey: ["campaigns"] });
}
