import { useQuery } from "@tanstack/react-query";
import { client, ifMatch, unwrap, unwrapTagged } from "../../api/client";
import { usePages } from "../../api/pages";
import type { components } from "../../api/schema";
import type { LimitsView, Solid } from "../../api/types";
import { useChange } from "./peopleApi";

type S = components["schemas"];

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

/** A reference to another schema cannot say that it may be null; the description does. */
export type Secret = Omit<Solid<S["OrganisationSecret"]>, "key" | "setBy"> & {
  key: S["SecretKey"] | null;
  setBy: S["SecretSetter"] | null;
};

export const useSecrets = () =>
  usePages(["secrets"], async (cursor, signal) => {
    const page = await unwrap(client.GET("/api/v1/secrets", { params: { query: { cursor } }, signal }));
    return { next: page.next, items: page.items as Secret[] };
  });
