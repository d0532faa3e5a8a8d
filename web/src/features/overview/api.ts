import { useQuery } from "@tanstack/react-query";
import { client, unwrap } from "../../api/client";

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

export const useOverview = () =>
  useQuery({
    queryKey: ["overview"],
    queryFn: ({ signal }) => unwrap(client.GET("/api/v1/overview", { params: { query: { timeZone: zone } }, signal })),
    refetchInterval: 60_000,
  });

export const useLiveCalls = () =>
  useQuery({
    queryKey: ["calls", "list", "live"],
    queryFn: ({ signal }) =>
      unwrap(client.GET("/api/v1/calls", { params: { query: { status: "in_progress", limit: 50 } }, signal })),
  });
