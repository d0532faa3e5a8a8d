import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { client, ifMatch, unwrap, unwrapTagged } from "../../api/client";
import { usePages } from "../../api/pages";
import { useMay } from "./api";
import { proving } from "./Prove";

/** A change after which lists of the organisation are read again. */
export function useChange<In, Out>(keys: string[], change: (input: In) => Promise<Out>) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (input: In) => proving(() => change(input)),
    onSuccess: () => Promise.all(keys.map((key) => queries.invalidateQueries({ queryKey: [key] }))),
  });
}

export const useMembers = (enabled = true) =>
  usePages(
    ["members"],
    (cursor, signal) => unwrap(client.GET("/api/v1/members", { params: { query: { limit: 100, cursor } }, signal })),
    enabled,
  );

/** Names of people by their id, where the person may know them. */
export function useNames(): Map<string, string> {
  const members = useMembers(useMay()("member:read"));
  return new Map((members.data?.items ?? []).map((m) => [m.userId, m.name || m.email]));
}

const lists = ["members", "invitations", "teams", "roles", "limits", "sign-on-policy"];

export const useChangeMember = () =>
  useChange(lists, ({ userId, tag, ...body }: { userId: string; tag?: string; role?: string; suspended?: boolean }) =>
    unwrap(client.PATCH("/api/v1/members/{userId}", { params: { path: { userId }, header: ifMatch(tag) }, body })),
  );

export const readMember = (userId: string) => (signal?: AbortSignal) =>
  unwrapTagged(client.GET("/api/v1/members/{userId}", { params: { path: { userId } }, signal }));

export const useRemoveMember = () =>
  useChange(lists, (userId: string) =>
    unwrap(client.DELETE("/api/v1/members/{userId}", { params: { path: { userId } } })),
  );

export const useSendReset = () =>
  useChange([], (userId: string) =>
    unwrap(client.POST("/api/v1/members/{userId}/password-reset", { params: { path: { userId } } })),
  );

export const useRemoveFactors = () =>
  useChange(lists, (userId: string) =>
    unwrap(client.DELETE("/api/v1/members/{userId}/second-factors", { params: { path: { userId } } })),
  );

export const useInvitations = (enabled: boolean) =>
  useQuery({
    queryKey: ["invitations"],
    enabled,
    queryFn: ({ signal }) => unwrap(client.GET("/api/v1/invitations", { params: { query: { limit: 200 } }, signal })),
  });

export const useInvite = () =>
  useChange(lists, (body: { email: string; role: string; teams: string[] }) =>
    unwrap(client.POST("/api/v1/invitations", { body })),
  );

export const useResend = () =>
  useChange(lists, (id: string) =>
    unwrap(client.POST("/api/v1/invitations/{id}/resend", { params: { path: { id } } })),
  );

export const useRevokeInvitation = () =>
  useChange(lists, (id: string) => unwrap(client.DELETE("/api/v1/invitations/{id}", { params: { path: { id } } })));

export const useTeams = (enabled = true) =>
  useQuery({
    queryKey: ["teams"],
    enabled,
    queryFn: ({ signal }) => unwrap(client.GET("/api/v1/teams", { params: { query: { limit: 200 } }, signal })),
  });

/** The thing that is changed, and the state of it that was read; neither for a new one. */
type Which = { id?: string; tag?: string };
export type TeamText = { name: string; description: string };

export const readTeam = (id: string) => (signal?: AbortSignal) =>
  unwrapTagged(client.GET("/api/v1/teams/{id}", { params: { path: { id } }, signal }));

export const useSaveTeam = () =>
  useChange(lists, ({ id, tag, ...body }: TeamText & Which) =>
    id
      ? unwrap(client.PATCH("/api/v1/teams/{id}", { params: { path: { id }, header: ifMatch(tag) }, body }))
      : unwrap(client.POST("/api/v1/teams", { body })),
  );

export const useDeleteTeam = () =>
  useChange(lists, (id: string) => unwrap(client.DELETE("/api/v1/teams/{id}", { params: { path: { id } } })));

export const useTeamMember = () =>
  useChange(lists, ({ id, userId, on }: { id: string; userId: string; on: boolean }) => {
    const params = { path: { id, userId } };
    return on
      ? unwrap(client.PUT("/api/v1/teams/{id}/members/{userId}", { params }))
      : unwrap(client.DELETE("/api/v1/teams/{id}/members/{userId}", { params }));
  });

export const useProjects = (enabled = true) =>
  usePages(
    ["projects"],
    (cursor, signal) => unwrap(client.GET("/api/v1/projects", { params: { query: { cursor } }, signal })),
    enabled,
  );

export const readProject = (id: string) => (signal?: AbortSignal) =>
  unwrapTagged(client.GET("/api/v1/projects/{id}", { params: { path: { id } }, signal }));

export const useSaveProject = () =>
  useChange(["projects"], ({ id, tag, ...body }: TeamText & Which) =>
    id
      ? unwrap(client.PATCH("/api/v1/projects/{id}", { params: { path: { id }, header: ifMatch(tag) }, body }))
      : unwrap(client.POST("/api/v1/projects", { body })),
  );

export const useDeleteProject = () =>
  useChange(["projects"], (id: string) => unwrap(client.DELETE("/api/v1/projects/{id}", { params: { path: { id } } })));

export const useRoles = (enabled = true) =>
  useQuery({
    queryKey: ["roles"],
    enabled,
    queryFn: ({ signal }) => unwrap(client.GET("/api/v1/roles", { signal })),
  });

export const usePermissions = (enabled = true) =>
  useQuery({
    queryKey: ["permissions"],
    enabled,
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: ({ signal }) => unwrap(client.GET("/api/v1/permissions", { signal })),
  });

export type RoleText = { name: string; description: string; permissions: string[] };

export const readRole = (id: string) => (signal?: AbortSignal) =>
  unwrapTagged(client.GET("/api/v1/roles/{id}", { params: { path: { id } }, signal }));

export const useSaveRole = () =>
  useChange([...lists, "me"], ({ id, tag, ...body }: RoleText & Which) =>
    id
      ? unwrap(client.PATCH("/api/v1/roles/{id}", { params: { path: { id }, header: ifMatch(tag) }, body }))
      : unwrap(client.POST("/api/v1/roles", { body })),
  );

export const useDeleteRole = () =>
  useChange(lists, (id: string) => unwrap(client.DELETE("/api/v1/roles/{id}", { params: { path: { id } } })));
