import { queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { client, unwrap } from "../../api/client";
import type { Account, MFA } from "../../api/types";
import { allows, Reach, reach } from "./permissions";

export const meQuery = queryOptions({
  queryKey: ["me"],
  queryFn: async ({ signal }) => (await unwrap(client.GET("/api/v1/me", { signal }))) as Account,
  staleTime: 60_000,
  retry: false,
});

export const useMe = () => useQuery(meQuery);

/** Gives the SIP address of an agent of the person's organisation. */
export function useSip() {
  const suffix = useMe().data?.agentSuffix ?? "";
  return (slug: string) => `sip:${slug}${suffix}@${location.hostname}`;
}

export const mfaQuery = queryOptions({
  queryKey: ["mfa"],
  queryFn: async ({ signal }) => (await unwrap(client.GET("/api/v1/me/mfa", { signal }))) as MFA,
});

export type May = {
  /** In the whole organisation. */
  (permission: string): boolean;
  /** At least with one's own. */
  some: (permission: string) => boolean;
};

/** Tells what the person may do, so that a page hides the rest. The server refuses it all the same. */
export function useMay(): May {
  const { data: me } = useMe();
  const patterns = me?.permissions ?? [];
  return Object.assign((permission: string) => allows(patterns, permission), {
    some: (permission: string) => reach(patterns, permission) > Reach.None,
  });
}

/** Forgets everything that was shown to whoever was here before: another organisation, or another person. */
export function useArrive() {
  const queries = useQueryClient();
  return (me: unknown) => {
    queries.clear();
    if (me) queries.setQueryData(meQuery.queryKey, me as Account);
  };
}

export const useSetupState = () =>
  useQuery({ queryKey: ["setup"], queryFn: ({ signal }) => unwrap(client.GET("/api/v1/setup", { signal })), retry: 1 });

export type Owner = { token: string; email: string; name: string; password: string; organisationName: string };

export const createOwner = (owner: Owner) => unwrap(client.POST("/api/v1/setup", { body: owner }));

/** Which ways of signing in there are at this address. */
export const useSignInWays = () =>
  useQuery({
    queryKey: ["sign-in-ways"],
    queryFn: ({ signal }) =>
      unwrap(client.GET("/api/v1/auth/sign-in", { params: { query: { page: location.origin } }, signal })),
    staleTime: Number.POSITIVE_INFINITY,
  });

export const signIn = async (body: { email: string; password: string }) =>
  (await unwrap(client.POST("/api/v1/auth/sign-in", { body }))) as Account;

export type FactorMethod = "totp" | "recovery_code" | "passkey";
export type Factor = { challenge: string; method: FactorMethod; code?: string; credential?: unknown };

export const secondFactor = async (body: Factor) =>
  (await unwrap(client.POST("/api/v1/auth/second-factor", { body }))) as Account;

export const askSecondPasskey = (challenge: string) =>
  unwrap(client.POST("/api/v1/auth/second-factor/passkey", { body: { challenge } }));

export const askPasskey = () => unwrap(client.POST("/api/v1/auth/passkey/options"));

export const signInByPasskey = async (body: { challenge: string; credential: unknown }) =>
  (await unwrap(client.POST("/api/v1/auth/passkey", { body }))) as Account;

export const signOut = () => unwrap(client.POST("/api/v1/auth/sign-out"));

export const forgot = (email: string) => unwrap(client.POST("/api/v1/auth/forgot", { body: { email } }));

export const resetPassword = (body: { token: string; password: string }) =>
  unwrap(client.POST("/api/v1/auth/reset", { body }));

export const findInvitation = (token: string) => unwrap(client.POST("/api/v1/invitations/find", { body: { token } }));

export const acceptInvitation = (body: { token: string; name: string; password: string }) =>
  unwrap(client.POST("/api/v1/invitations/accept", { body }));

export const joinByInvitation = (token: string) => unwrap(client.POST("/api/v1/me/invitations", { body: { token } }));

export const switchOrganisation = (organisationId: string) =>
  unwrap(client.POST("/api/v1/me/organisation", { body: { organisationId } }));

export const endImpersonation = () => unwrap(client.POST("/api/v1/me/impersonation/end"));

export const useTokens = () =>
  useQuery({ queryKey: ["tokens"], queryFn: ({ signal }) => unwrap(client.GET("/api/v1/tokens", { signal })) });

export type NewToken = { name: string; expiresAt?: string; scopes?: string[]; allowedIps?: string[] };

export function useCreateToken() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (body: NewToken) => unwrap(client.POST("/api/v1/tokens", { body })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["tokens"] }),
  });
}

export function useRevokeToken() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => unwrap(client.DELETE("/api/v1/tokens/{id}", { params: { path: { id } } })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["tokens"] }),
  });
}
