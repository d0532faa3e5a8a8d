import { useQuery } from "@tanstack/react-query";
import { client, unwrap } from "../../api/client";

export const useOverview = () =>
  useQuery({
    queryKey: ["overview"],
    queryFn: ({ signal }) => unwrap(client.GET("/api/v1/overview", { signal })),
    refetchInterval: 60_000,
  });

export const useLiveCalls = () =>
  useQuery({
    queryKey: ["calls", "list", "live"],
    queryFn: ({ signal }) =>
      unwrap(client.GET("/api/v1/calls", { params: { query: { status: "in_progress", limit: 50 } }, signal })),
  });
