import { useMutation, useQuery } from "@tanstack/react-query";
import { client, ifMatch, unwrap, unwrapTagged } from "../../api/client";
import { usePages } from "../../api/pages";
import type { components } from "../../api/schema";
import { useChange } from "../identity/peopleApi";

type S = components["schemas"];

export const useTrunks = (enabled = true) =>
  useQuery({
    queryKey: ["trunks"],
    queryFn: ({ signal }) => unwrap(client.GET("/api/v1/trunks", { params: { query: { limit: 200 } }, signal })),
    refetchInterval: 10_000, // how they fare changes by itself
    enabled,
  });

export const readTrunk = (id: string) => (signal?: AbortSignal) =>
  unwrapTagged(client.GET("/api/v1/trunks/{id}", { params: { path: { id } }, signal }));

export const useCreateTrunk = () =>
  useChange(["trunks"], (body: Omit<S["TrunkCreateInputBody"], "$schema">) =>
    unwrap(client.POST("/api/v1/trunks", { body })),
  );

type TrunkChange = Omit<S["TrunkUpdateInputBody"], "$schema"> & { id: string; tag?: string };

export const useChangeTrunk = () =>
  useChange(["trunks"], ({ id, tag, ...body }: TrunkChange) =>
    unwrap(client.PATCH("/api/v1/trunks/{id}", { params: { path: { id }, header: ifMatch(tag) }, body })),
  );

export const useDeleteTrunk = () =>
  useChange(["trunks"], (id: string) => unwrap(client.DELETE("/api/v1/trunks/{id}", { params: { path: { id } } })));

export const useCheckTrunk = () =>
  useMutation({
    mutationFn: (id: string) => unwrap(client.POST("/api/v1/trunks/{id}/check", { params: { path: { id } } })),
  });

export const useCallerNumbers = () =>
  usePages(["caller-numbers"], (cursor, signal) =>
    unwrap(client.GET("/api/v1/caller-numbers", { params: { query: { limit: 100, cursor } }, signal })),
  );

export const useCreateCallerNumber = () =>
  useChange(["caller-numbers"], (body: { number: string; displayName?: string; trunkId?: string }) =>
    unwrap(client.POST("/api/v1/caller-numbers", { body: { enabled: true, ...body } })),
  );

type NumberChange = { id: string; tag?: string; displayName?: string; trunkId?: string; enabled?: boolean };

export const useChangeCallerNumber = () =>
  useChange(["caller-numbers"], ({ id, tag, ...body }: NumberChange) =>
    unwrap(client.PATCH("/api/v1/caller-numbers/{id}", { params: { path: { id }, header: ifMatch(tag) }, body })),
  );

export const readCallerNumber = (id: string) => (signal?: AbortSignal) =>
  unwrapTagged(client.GET("/api/v1/caller-numbers/{id}", { params: { path: { id } }, signal }));

export const useDeleteCallerNumber = () =>
  useChange(["caller-numbers"], (id: string) =>
    unwrap(client.DELETE("/api/v1/caller-numbers/{id}", { params: { path: { id } } })),
  );
