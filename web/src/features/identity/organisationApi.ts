import { useQuery } from "@tanstack/react-query";
import { client, unwrap } from "../../api/client";
import type { LimitsView } from "../../api/types";
import { useChange } from "./peopleApi";

export const useOrganisation = () =>
  useQuery({
    queryKey: ["organisation"],
    queryFn: ({ signal }) => unwrap(client.GET("/api/v1/organisation", { signal })),
  });

export const useChangeOrganisation = () =>
  useChange(
    ["organisation", "me"],
    (body: { name?: string; address?: string; timeZone?: string; sessionIdleMinutes?: number }) =>
      unwrap(client.PATCH("/api/v1/organisation", { body })),
  );

export const useOrigins = () =>
  useQuery({
    queryKey: ["origins"],
    queryFn: ({ signal }) => unwrap(client.GET("/api/v1/organisation/origins", { signal })),
  });

export const useSetOrigins = () =>
  useChange(["origins"], (items: string[]) => unwrap(client.PUT("/api/v1/organisation/origins", { body: { items } })));

export const useSignOnPolicy = () =>
  useQuery({
    queryKey: ["sign-on-policy"],
    queryFn: ({ signal }) => unwrap(client.GET("/api/v1/organisation/sign-on-policy", { signal })),
  });

export const useSetSignOnPolicy = () =>
  useChange(["sign-on-policy", "me", "mfa"], (mfaRequired: boolean) =>
    unwrap(client.PATCH("/api/v1/organisation/sign-on-policy", { body: { mfaRequired } })),
  );

export const useLimits = () =>
  useQuery({
    queryKey: ["limits"],
    queryFn: async ({ signal }) => (await unwrap(client.GET("/api/v1/limits", { signal }))) as LimitsView,
    refetchInterval: 30_000, // calls and minutes move without an event
  });
