import { keepPreviousData, useQueries, useQuery, useQueryClient } from "@tanstack/react-query";
import { client, unwrap } from "../../api/client";
import type { DoneLeads, Explanation, Lead, LeadDetail } from "../../api/types";
import { useChange } from "../identity/peopleApi";

export type LeadFilters = { state?: Lead["state"]; outcome?: string; q?: string };
type LeadPage = { items: Lead[]; next: string | null; total: number | null };

/** How many people one request brings. */
export const PAGE = 100;

const page = (id: string, filters: LeadFilters, n: number) => ({
  queryKey: ["campaigns", "leads", id, filters, n],
  queryFn: async ({ signal }: { signal: AbortSignal }) =>
    (await unwrap(
      client.GET("/api/v1/campaigns/{id}/leads", {
        params: { path: { id }, query: { ...filters, limit: PAGE, offset: n * PAGE || undefined } },
        signal,
      }),
    )) as LeadPage,
  gcTime: 60_000,
});

/** The first people of a list, which tell how many there are where that is known. */
export const useFirstLeads = (id: string, filters: LeadFilters) =>
  useQuery({ ...page(id, filters, 0), placeholderData: keepPreviousData });

/** The people of a list from one place to another: only the pages that have them are read, wherever one scrolled to. */
export function useLeadsBetween(id: string, filters: LeadFilters, first: number, last: number) {
  const from = Math.floor(first / PAGE);
  const until = Math.max(from, Math.ceil(last / PAGE) - 1);
  const numbers = Array.from({ length: until - from + 1 }, (_, i) => from + i);
  const pages = useQueries({ queries: numbers.map((n) => page(id, filters, n)) });
  return {
    at: (index: number): Lead | undefined => pages[Math.floor(index / PAGE) - from]?.data?.items[index % PAGE],
    failed: pages.find((p) => p.isError && !p.data),
    /** Where the pages that are there end, and whether the list goes on. */
    end: pages.reduce((end, p, i) => (p.data ? (numbers[i] ?? 0) * PAGE + p.data.items.length : end), 0),
    more: pages.at(-1)?.data?.next != null,
  };
}

export const useLead = (id: string, leadId: string) =>
  useQuery({
    queryKey: ["campaigns", "lead", id, leadId],
    queryFn: async ({ signal }) =>
      (await unwrap(
        client.GET("/api/v1/campaigns/{id}/leads/{leadId}", { params: { path: { id, leadId } }, signal }),
      )) as LeadDetail,
  });

export type LeadValues = {
  number: string;
  name: string;
  country: string;
  region: string;
  zone: string;
  variables: Record<string, string>;
};

export const useAddLead = () =>
  useChange(["campaigns"], async ({ id, ...lead }: { id: string } & LeadValues) => {
    const added = await unwrap(
      client.POST("/api/v1/campaigns/{id}/leads", { params: { path: { id } }, body: { leads: [lead] } }),
    );
    return added.items[0];
  });

type One = { id: string; leadId: string };

export const useUpdateLead = () =>
  useChange(["campaigns"], ({ id, leadId, ...body }: One & Partial<LeadValues>) =>
    unwrap(client.PATCH("/api/v1/campaigns/{id}/leads/{leadId}", { params: { path: { id, leadId } }, body })),
  );

export function useDeleteLead() {
  const queries = useQueryClient();
  return useChange([], async ({ id, leadId }: One) => {
    await unwrap(client.DELETE("/api/v1/campaigns/{id}/leads/{leadId}", { params: { path: { id, leadId } } }));
    // What is shown of the person would not be found any more.
    void queries.invalidateQueries({ predicate: ({ queryKey: k }) => k[0] === "campaigns" && k[3] !== leadId });
  });
}

export const useCallBack = () =>
  useChange(["campaigns"], ({ id, leadId, at }: One & { at: string }) =>
    unwrap(
      client.POST("/api/v1/campaigns/{id}/leads/{leadId}/callback", { params: { path: { id, leadId } }, body: { at } }),
    ),
  );

/** How many people are done, by how their last call ended. */
export const useDoneLeads = (id: string, importId: string) =>
  useQuery({
    queryKey: ["campaigns", "done", id, importId],
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }) =>
      (
        await unwrap(
          client.GET("/api/v1/campaigns/{id}/done-leads", {
            params: { path: { id }, query: importId ? { importId } : {} },
            signal,
          }),
        )
      ).items as DoneLeads[],
  });

type Recycle = {
  id: string;
  outcomes: string[];
  dispositions: string[];
  importId: string;
  /** How many were asked for: who comes to be done meanwhile is not called once more. */
  most: number;
};

/** Has those who are done called again. One request does some thousands, so it may take several. */
export const useRecycle = () =>
  useChange(["campaigns"], async ({ id, outcomes, dispositions, importId, most }: Recycle) => {
    const body = {
      ...(outcomes.length > 0 ? { outcomes } : {}),
      ...(dispositions.length > 0 ? { dispositions } : {}),
      ...(importId ? { importId } : {}),
    };
    let recycled = 0;
    for (;;) {
      const r = await unwrap(
        client.POST("/api/v1/campaigns/{id}/leads/recycle", { params: { path: { id } }, body: body as never }),
      );
      recycled += r.recycled;
      if (!r.more || recycled >= most) return recycled;
    }
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
