import { queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { client, unwrap } from "../../api/client";

export const meQuery = queryOptions({
  queryKey: ["me"],
  queryFn: ({ signal }) => unwrap(client.GET("/api/v1/me", { signal })),
  staleTime: 60_000,
  retry: false,
});

export const useMe = () => useQuery(meQuery);

export const useSetupState = () =>
  useQuery({ queryKey: ["setup"], queryFn: ({ signal }) => unwrap(client.GET("/api/v1/setup", { signal })), retry: 1 });

export type Owner = { token: string; email: string; name: string; password: string; organisationName: string };

export const createOwner = (owner: Owner) => unwrap(client.POST("/api/v1/setup", { body: owner }));

export const signIn = (body: { email: string; password: string }) =>
  unwrap(client.POST("/api/v1/auth/sign-in", { body }));

export const signOut = () => unwrap(client.POST("/api/v1/auth/sign-out"));

export const useTokens = () =>
  useQuery({ queryKey: ["tokens"], queryFn: ({ signal }) => unwrap(client.GET("/api/v1/tokens", { signal })) });

export function useCreateToken() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (body: { name: string; expiresAt?: string }) => unwrap(client.POST("/api/v1/tokens", { body })),
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
