import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { client, ifMatch, unwrap, unwrapTagged } from "../../api/client";
import { useChange } from "../identity/peopleApi";

export const usePhones = () =>
  useQuery({
    queryKey: ["phones"],
    queryFn: ({ signal }) => unwrap(client.GET("/api/v1/phones", { params: { query: { limit: 200 } }, signal })),
    refetchInterval: 15_000, // registrations come and go without an event
  });

export const usePhoneServer = () =>
  useQuery({
    queryKey: ["phone-server"],
    queryFn: ({ signal }) => unwrap(client.GET("/api/v1/phone-server", { signal })),
    staleTime: Number.POSITIVE_INFINITY, // a restart changes it
  });

export function useCreatePhone() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (body: { username: string; displayName?: string; password?: string; encryptedOnly?: boolean }) =>
      unwrap(client.POST("/api/v1/phones", { body })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["phones"] }),
  });
}

export function useNewPassword() {
  return useMutation({
    mutationFn: (id: string) =>
      unwrap(client.PATCH("/api/v1/phones/{id}", { params: { path: { id } }, body: { password: "" } })),
  });
}

export const readPhone = (id: string) => (signal?: AbortSignal) =>
  unwrapTagged(client.GET("/api/v1/phones/{id}", { params: { path: { id } }, signal }));

type PhoneChange = { displayName: string; userId: string; projectId: string; encryptedOnly: boolean };

export const useChangePhone = () =>
  useChange(["phones"], ({ id, tag, ...body }: PhoneChange & { id: string; tag: string }) =>
    unwrap(client.PATCH("/api/v1/phones/{id}", { params: { path: { id }, header: ifMatch(tag) }, body })),
  );

export function useDeletePhone() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => unwrap(client.DELETE("/api/v1/phones/{id}", { params: { path: { id } } })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["phones"] }),
  });
}
