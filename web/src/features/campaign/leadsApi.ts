import { infiniteQueryOptions, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { client, unwrap } from "../../api/client";
import type { Explanation, Lead, LeadDetail } from "../../api/types";

export type LeadFilters = { state?: Lead["state"]; outcome?: string; q?: string };
type LeadPage = { items: Lead[]; next: string | null; total: number | null };

const leads = (id: string, filters: LeadFilters) =>
  infiniteQueryOptions({
    queryKey: ["campaigns", "leads", id, filters],
    initialPageParam: "",
    queryFn: async ({ pageParam, signal }): Promise<LeadPage> =>
      (await unwrap(
        client.GET("/api/v1/campaigns/{id}/leads", {
          params: { path: { id }, query: { ...filters, limit: 200, cursor: pageParam || undefined } },
          signal,
        }),
      )) as LeadPage,
    getNextPageParam: (page) => page.next,
    select: (data) => ({ ...data, items: data.pages.flatMap((p) => p.items) }),
  });

export const useLeads = (id: string, filters: LeadFilters) => useInfiniteQuery(leads(id, filters));

export const useLead = (id: string, leadId: string) =>
  useQuery({
    queryKey: ["campaigns", "lead", id, leadId],
    queryFn: async ({ signal }) =>
      (await unwrap(
        client.GET("/api/v1/campaigns/{id}/leads/{leadId}", { params: { path: { id, leadId } }, signal }),
      )) as LeadDetail,
  });

export type Asked = { number: string; at: string };

/** Why a number was called, or was not, at a time. */
export const useExplanation = (asked: Asked | null) =>
  useQuery({
    queryKey: ["decisions", "explain", asked],
    enabled: asked !== null,
    retry: false,
    queryFn: async ({ signal }) =>
      (await unwrap(
        client.GET("/api/v1/decisions/explain", { params: { query: asked ?? { number: "", at: "" } }, signal }),
      )) as unknown as Explanation,
  });
