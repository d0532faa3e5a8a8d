import { useQuery } from "@tanstack/react-query";
import { client, ifMatch, unwrap, unwrapTagged } from "../../api/client";
import type { LimitsView } from "../../api/types";
import { useChange } from "./peopleApi";

export const readOrganisation = (signal?: AbortSignal) => unwrapTagged(client.GET("/api/v1/organisation", { signal }));

export const useChangeOrganisation = () =>
  useChange(
    ["me"],
    ({
      tag,
      ...body
    }: {
      tag: string;
      name?: string;
      address?: string;
      timeZone?: string;
      sessionIdleMinutes?: number;
    }) => unwrap(client.PATCH("/api/v1/organisation", { params: { header: ifMatch(tag) }, body })),
  );

export const readOrigins = (signal?: AbortSignal) =>
  unwrapTagged(client.GET("/api/v1/organisation/origins", { signal }));

export const useSetOrigins = () =>
  useChange([], ({ tag, items }: { tag: string; items: string[] }) =>
    unwrap(client.PUT("/api/v1/organisation/origins", { params: { header: ifMatch(tag) }, body: { items } })),
  );

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
