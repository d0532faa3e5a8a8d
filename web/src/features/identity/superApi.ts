import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { client, unwrap } from "../../api/client";
import { pages, usePages } from "../../api/pages";
import type { components } from "../../api/schema";
import type { PlanLimits, Solid, SuperOrganisation } from "../../api/types";
import { useChange } from "./peopleApi";

const keys = ["super", "plans"];

export const useSuperOrganisations = (search: string) =>
  usePages(["super", "list", search], async (cursor, signal) => {
    const page = await unwrap(
      client.GET("/api/v1/super/organisations", {
        params: { query: { limit: 25, cursor, search: search || undefined } },
        signal,
      }),
    );
    return { next: page.next, items: page.items as SuperOrganisation[] };
  });

export const useSuperOrganisation = (id: string) =>
  useQuery({
    queryKey: ["super", "one", id],
    queryFn: async ({ signal }) =>
      (await unwrap(
        client.GET("/api/v1/super/organisations/{id}", { params: { path: { id } }, signal }),
      )) as SuperOrganisation,
  });

export const useSuperMembers = (id: string) =>
  usePages(["super", "members", id], (cursor, signal) =>
    unwrap(
      client.GET("/api/v1/super/organisations/{id}/members", {
        params: { path: { id }, query: { limit: 50, cursor } },
        signal,
      }),
    ),
  );

export type NewOrganisation = {
  name: string;
  ownerEmail: string;
  placement: "shared" | "own";
  region?: string;
  planId?: string;
};

export const useSuperCreate = () =>
  useChange(keys, (body: NewOrganisation) => unwrap(client.POST("/api/v1/super/organisations", { body })));

export const useSuperUpdate = () =>
  useChange(keys, ({ id, ...body }: { id: string; name?: string; planId?: string; limits?: PlanLimits }) =>
    unwrap(client.PATCH("/api/v1/super/organisations/{id}", { params: { path: { id } }, body })),
  );

export const useSuspend = () =>
  useChange(keys, ({ id, reason }: { id: string; reason: string }) =>
    unwrap(client.POST("/api/v1/super/organisations/{id}/suspend", { params: { path: { id } }, body: { reason } })),
  );

export const useResume = () =>
  useChange(keys, (id: string) =>
    unwrap(client.POST("/api/v1/super/organisations/{id}/resume", { params: { path: { id } } })),
  );

export const useImpersonate = () =>
  useChange([], ({ id, ...body }: { id: string; userId: string; reason: string }) =>
    unwrap(client.POST("/api/v1/super/organisations/{id}/impersonate", { params: { path: { id } }, body })),
  );

export const usePlans = () =>
  useQuery({ queryKey: ["plans"], queryFn: ({ signal }) => unwrap(client.GET("/api/v1/super/plans", { signal })) });

export const useSavePlan = () =>
  useChange(keys, ({ id, ...body }: { id?: string; name: string; limits: PlanLimits }) =>
    id
      ? unwrap(client.PATCH("/api/v1/super/plans/{id}", { params: { path: { id } }, body }))
      : unwrap(client.POST("/api/v1/super/plans", { body })),
  );

export const useDeletePlan = () =>
  useChange(keys, (id: string) => unwrap(client.DELETE("/api/v1/super/plans/{id}", { params: { path: { id } } })));

export type Instance = Solid<components["schemas"]["InstanceView"]>;

export const useInstances = () =>
  useQuery({
    queryKey: ["super", "instances"],
    queryFn: ({ signal }) => unwrap(client.GET("/api/v1/super/instances", { signal })),
    refetchInterval: 5_000, // processes come and go without an event
  });

export type Move = components["schemas"]["OrganisationMove"];

export const ended = (m: Move) => m.state === "moved" || m.state === "rolled_back";

export const useMoves = (id: string) =>
  useInfiniteQuery({
    ...pages(["super", "moves", id], (cursor, signal) =>
      unwrap(
        client.GET("/api/v1/super/organisations/{id}/moves", { params: { path: { id }, query: { cursor } }, signal }),
      ),
    ),
    // While one is under way its progress is read again.
    refetchInterval: (q) => (q.state.data?.pages.some((p) => p.items.some((m) => !ended(m))) ? 1_000 : false),
  });

/** Has the organisation read again when its move is over: it is elsewhere then. */
export function useArrival(running: boolean) {
  const queries = useQueryClient();
  const was = useRef(false);
  useEffect(() => {
    if (was.current && !running) void queries.invalidateQueries({ queryKey: ["super"] });
    was.current = running;
  }, [queries, running]);
}

export const useMove = () =>
  useChange(keys, ({ id, ...body }: { id: string; placement: "shared" | "own"; region?: string }) =>
    unwrap(client.POST("/api/v1/super/organisations/{id}/move", { params: { path: { id } }, body })),
  );

export const useCancelMove = () =>
  useChange(keys, (id: string) =>
    unwrap(client.POST("/api/v1/super/organisations/{id}/move/cancel", { params: { path: { id } } })),
  );

export const useRegions = () =>
  useQuery({
    queryKey: ["regions"],
    queryFn: ({ signal }) => unwrap(client.GET("/api/v1/super/regions", { signal })),
  });

export type SuperAdmin = components["schemas"]["SuperAdmin"];

export const useSuperAdmins = () =>
  useQuery({
    queryKey: ["super", "admins"],
    queryFn: ({ signal }) => unwrap(client.GET("/api/v1/super/admins", { signal })),
  });

export const useGrantSuper = () =>
  useChange(keys, (email: string) => unwrap(client.POST("/api/v1/super/admins", { body: { email } })));

export const useRevokeSuper = () =>
  useChange([...keys, "me"], (userId: string) =>
    unwrap(client.DELETE("/api/v1/super/admins/{userId}", { params: { path: { userId } } })),
  );
