import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { client, unwrap, unwrapJson } from "../../api/client";
import type { Call, CallDetail } from "../../api/types";
import { type CallFilters, toQuery } from "./filters";

const path = (id: string) => ({ path: { id } });

export const useCalls = (filters: CallFilters) =>
  useInfiniteQuery({
    queryKey: ["calls", "list", filters],
    queryFn: ({ signal, pageParam }) =>
      unwrap(
        client.GET("/api/v1/calls", {
          params: { query: { ...toQuery(filters), limit: 50, ...(pageParam ? { cursor: pageParam } : {}) } },
          signal,
        }),
      ),
    initialPageParam: "",
    getNextPageParam: (page) => page.next || undefined,
  });

export const useCall = (id: string) =>
  useQuery<CallDetail>({
    queryKey: ["calls", id],
    // A recording is put away after the call has ended, and no event tells when.
    refetchInterval: ({ state: { data } }) =>
      data?.status === "ended" && data.recording.state === "recording" ? 1000 : false,
    queryFn: ({ signal }) => unwrap(client.GET("/api/v1/calls/{id}", { params: path(id), signal })),
  });

export const useTranscript = (id: string) =>
  useQuery({
    queryKey: ["calls", id, "transcript"],
    queryFn: ({ signal }) =>
      unwrapJson(
        client.GET("/api/v1/calls/{id}/transcript", { params: { ...path(id), query: { limit: 1000 } }, signal }),
      ),
  });

export const usePeaks = (id: string, enabled: boolean) =>
  useQuery({
    queryKey: ["calls", id, "peaks"],
    enabled,
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: ({ signal }) =>
      unwrap(
        client.GET("/api/v1/calls/{id}/recording/peaks", { params: { ...path(id), query: { buckets: 1000 } }, signal }),
      ),
  });

export const useTurns = (id: string) =>
  useQuery({
    queryKey: ["calls", id, "turns"],
    queryFn: ({ signal }) => unwrap(client.GET("/api/v1/calls/{id}/turns", { params: path(id), signal })),
  });

export const useEvents = (id: string, kind: string) =>
  useInfiniteQuery({
    queryKey: ["calls", id, "events", kind],
    queryFn: ({ signal, pageParam }) =>
      unwrapJson(
        client.GET("/api/v1/calls/{id}/events", {
          params: {
            ...path(id),
            query: { limit: 200, ...(kind ? { kind: [kind] } : {}), ...(pageParam ? { cursor: pageParam } : {}) },
          },
          signal,
        }),
      ),
    initialPageParam: "",
    getNextPageParam: (page) => page.next || undefined,
  });

export const useSignals = (id: string) =>
  useQuery({
    queryKey: ["calls", id, "signals"],
    queryFn: ({ signal }) => unwrap(client.GET("/api/v1/calls/{id}/signals", { params: path(id), signal })),
  });

export function useHangup() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => unwrap(client.POST("/api/v1/calls/{id}/hangup", { params: path(id) })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["calls"] }),
  });
}

/** Addresses of a call's files. */
export const files = (id: string) => ({
  recording: `/api/v1/calls/${id}/recording`,
  json: `/api/v1/calls/${id}/transcript?format=json`,
  text: `/api/v1/calls/${id}/transcript?format=text`,
  vtt: `/api/v1/calls/${id}/transcript?format=vtt`,
  ndjson: `/api/v1/calls/${id}/events?format=ndjson`,
});

/** Who the other side is, as a person would say it. */
export function callerName(call: Pick<Call, "from" | "fromName" | "to" | "direction" | "channel">): string {
  const name = call.direction === "outbound" ? call.to : call.fromName || call.from;
  return name || (call.channel === "webrtc" ? "Browser" : "Withheld");
}
