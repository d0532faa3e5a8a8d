import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { client, ifMatch, unwrap, unwrapTagged } from "../../api/client";
import type { ModelInput } from "../../api/types";

export const useModels = () =>
  useQuery({ queryKey: ["models"], queryFn: ({ signal }) => unwrap(client.GET("/api/v1/models", { signal })) });

export const readModel = (id: string) => async (signal?: AbortSignal) =>
  unwrapTagged(client.GET("/api/v1/models/{id}", { params: { path: { id } }, signal }));

export function useSaveModel(id?: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: ({ tag, body }: { tag?: string; body: ModelInput }) =>
      id
        ? unwrap(client.PATCH("/api/v1/models/{id}", { params: { path: { id }, header: ifMatch(tag) }, body }))
        : unwrap(client.POST("/api/v1/models", { body })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["models"] }),
  });
}

export function useDeleteModel() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => unwrap(client.DELETE("/api/v1/models/{id}", { params: { path: { id } } })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["models"] }),
  });
}

export function useProbe() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (of: { id: string } | { draft: ModelInput & { id?: string } }) =>
      "id" in of
        ? unwrap(client.POST("/api/v1/models/{id}/probe", { params: { path: { id: of.id } } }))
        : unwrap(client.POST("/api/v1/models/probe", { body: of.draft })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["models"] }),
  });
}
