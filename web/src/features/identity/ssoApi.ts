import { useMutation, useQuery } from "@tanstack/react-query";
import { client, ifMatch, type Tagged, unwrap, unwrapTagged } from "../../api/client";
import { usePages } from "../../api/pages";
import type { components } from "../../api/schema";
import type { Solid } from "../../api/types";
import { useChange } from "./peopleApi";

type S = components["schemas"];
export type Connection = Omit<Solid<S["SSOConnection"]>, "oidc" | "saml"> & {
  oidc: Solid<S["OIDCProvider"]> | null;
  saml: S["SAMLProvider"] | null;
};
export type NewConnection = S["NewSSOConnection"];
const keys = ["sso"];

/** Asks how the person with this address signs in. */
export const startSSO = (email: string, returnTo: string) =>
  unwrap(client.POST("/api/v1/auth/sso/start", { body: { email, returnTo } }));

/** Begins the trial sign-in of a link. */
export const startSSOTest = (token: string) => unwrap(client.POST("/api/v1/auth/sso/test", { body: { token } }));

export const useConnections = () =>
  useQuery({
    queryKey: ["sso", "connections"],
    queryFn: async ({ signal }) =>
      (await unwrap(client.GET("/api/v1/sso/connections", { signal }))).items as Connection[],
  });

export const useSSOPolicy = () =>
  useQuery({
    queryKey: ["sso", "policy"],
    queryFn: ({ signal }) => unwrap(client.GET("/api/v1/sso/policy", { signal })),
  });

export const useSetSSOPolicy = () =>
  useChange(keys, (ssoOnly: boolean) => unwrap(client.PUT("/api/v1/sso/policy", { body: { ssoOnly } })));

export const readConnection = (id: string) => async (signal?: AbortSignal) =>
  (await unwrapTagged(
    client.GET("/api/v1/sso/connections/{id}", { params: { path: { id } }, signal }),
  )) as Tagged<Connection>;

export const useMakeConnection = () =>
  useChange(keys, (body: NewConnection) => unwrap(client.POST("/api/v1/sso/connections", { body })));

export const useChangeConnection = () =>
  useChange(keys, ({ id, tag, body }: { id: string; tag: string; body: NewConnection }) => {
    const { protocol: _, roles, factorContexts, ...rest } = body;
    const change = { ...rest, roles: roles ?? [], factorContexts: factorContexts ?? [] };
    const params = { path: { id }, header: ifMatch(tag) };
    return unwrap(client.PATCH("/api/v1/sso/connections/{id}", { params, body: change }));
  });

export const useEnable = () =>
  useChange(keys, ({ id, enabled }: { id: string; enabled: boolean }) =>
    unwrap(client.PATCH("/api/v1/sso/connections/{id}", { params: { path: { id } }, body: { enabled } })),
  );

export const useDeleteConnection = () =>
  useChange(keys, (id: string) => unwrap(client.DELETE("/api/v1/sso/connections/{id}", { params: { path: { id } } })));

export const useAddDomain = () =>
  useChange(keys, ({ id, domain }: { id: string; domain: string }) =>
    unwrap(client.POST("/api/v1/sso/connections/{id}/domains", { params: { path: { id } }, body: { domain } })),
  );

export const useVerifyDomain = () =>
  useChange(keys, (path: { id: string; domain: string }) =>
    unwrap(client.POST("/api/v1/sso/connections/{id}/domains/{domain}/verify", { params: { path } })),
  );

export const useRemoveDomain = () =>
  useChange(keys, (path: { id: string; domain: string }) =>
    unwrap(client.DELETE("/api/v1/sso/connections/{id}/domains/{domain}", { params: { path } })),
  );

export const useTest = () =>
  useChange([], (id: string) => unwrap(client.POST("/api/v1/sso/connections/{id}/test", { params: { path: { id } } })));

export const useTestResult = () =>
  useMutation({
    mutationFn: (path: { id: string; testId: string }) =>
      unwrap(client.GET("/api/v1/sso/connections/{id}/tests/{testId}", { params: { path } })),
  });

export const useScimTokens = (id: string) =>
  useQuery({
    queryKey: ["sso", "scim", id],
    queryFn: ({ signal }) =>
      unwrap(client.GET("/api/v1/sso/connections/{id}/scim-tokens", { params: { path: { id } }, signal })),
  });

export const useMakeScimToken = () =>
  useChange(keys, (id: string) =>
    unwrap(client.POST("/api/v1/sso/connections/{id}/scim-tokens", { params: { path: { id } } })),
  );

export const useRevokeScimToken = () =>
  useChange(keys, (path: { id: string; tokenId: string }) =>
    unwrap(client.DELETE("/api/v1/sso/connections/{id}/scim-tokens/{tokenId}", { params: { path } })),
  );

export const useLinks = (id: string) =>
  usePages(["sso", "links", id], (cursor, signal) =>
    unwrap(client.GET("/api/v1/sso/connections/{id}/links", { params: { path: { id }, query: { cursor } }, signal })),
  );

export const useUnlink = () =>
  useChange(keys, (path: { id: string; userId: string }) =>
    unwrap(client.DELETE("/api/v1/sso/connections/{id}/links/{userId}", { params: { path } })),
  );
