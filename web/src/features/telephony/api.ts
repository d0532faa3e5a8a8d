import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { client, unwrap } from "../../api/client";

export const usePhones = () =>
  useQuery({
    queryKey: ["phones"],
    queryFn: ({ signal }) => unwrap(client.GET("/api/v1/phones", { params: { query: { limit: 200 } }, signal })),
    refetchInterval: 15_000, // registrations come and go without an event
  });

export function useCreatePhone() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (body: { username: string; displayName?: string; password?: string }) =>
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

export function useDeletePhone() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => unwrap(client.DELETE("/api/v1/phones/{id}", { params: { path: { id } } })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["phones"] }),
  });
}
