import { useQuery } from "@tanstack/react-query";
import { client, unwrap } from "../../api/client";
import { usePages } from "../../api/pages";
import type { DoNotCallFound, DoNotCallList, DoNotCallRegister } from "../../api/types";
import { useChange } from "../identity/peopleApi";

/** A file is sent as it is. */
const asIs = { bodySerializer: (body: unknown) => body as BodyInit, headers: { "Content-Type": "text/csv" } };

export const useDoNotCallLists = () =>
  usePages<DoNotCallList>(["do-not-call", "lists"], (cursor, signal) =>
    unwrap(client.GET("/api/v1/do-not-call/lists", { params: { query: { limit: 100, cursor } }, signal })),
  );

type ListBody = { name: string; description: string; scope: DoNotCallList["scope"] };

export const useCreateList = () =>
  useChange(["do-not-call"], (body: ListBody) => unwrap(client.POST("/api/v1/do-not-call/lists", { body })));

export const useUpdateList = () =>
  useChange(["do-not-call"], ({ id, ...body }: { id: string } & Partial<ListBody>) =>
    unwrap(client.PATCH("/api/v1/do-not-call/lists/{id}", { params: { path: { id } }, body })),
  );

export const useDeleteList = () =>
  useChange(["do-not-call"], ({ id, reason }: { id: string; reason: string }) =>
    unwrap(client.POST("/api/v1/do-not-call/lists/{id}/delete", { params: { path: { id } }, body: { reason } })),
  );

type Numbers = { id: string; numbers: string[]; country?: string; reason: string };

export const useAddNumbers = () =>
  useChange(["do-not-call"], ({ id, ...body }: Numbers) =>
    unwrap(
      client.POST("/api/v1/do-not-call/lists/{id}/numbers", {
        params: { path: { id } },
        body: { ...body, source: "person" },
      }),
    ),
  );

export const useRemoveNumbers = () =>
  useChange(["do-not-call"], ({ id, ...body }: Numbers) =>
    unwrap(client.POST("/api/v1/do-not-call/lists/{id}/numbers/remove", { params: { path: { id } }, body })),
  );

export const useImportList = () =>
  useChange(["do-not-call"], ({ id, file, country }: { id: string; file: File; country: string }) =>
    unwrap(
      client.POST("/api/v1/do-not-call/lists/{id}/import", {
        params: { path: { id }, query: country ? { country } : {} },
        body: file as never,
        ...asIs,
      }),
    ),
  );

export const useExportList = () =>
  useChange([], async (id: string) => {
    const of = { params: { path: { id } }, parseAs: "blob" } as const;
    return (await unwrap(client.GET("/api/v1/do-not-call/lists/{id}/export", of))) as unknown as Blob;
  });

export const useLookup = () =>
  useChange([], async (body: { numbers: string[]; country?: string }) => {
    return (await unwrap(client.POST("/api/v1/do-not-call/lookup", { body }))).items as DoNotCallFound[];
  });

export const useRegisters = () =>
  useQuery({
    queryKey: ["do-not-call", "registers"],
    queryFn: async ({ signal }) =>
      (await unwrap(client.GET("/api/v1/do-not-call/registers", { signal }))).items as DoNotCallRegister[],
  });

export const useImportRegister = () =>
  useChange(["do-not-call"], ({ name, file, asOf }: { name: string; file: File; asOf: string }) =>
    unwrap(
      client.PUT("/api/v1/do-not-call/registers/{name}", {
        params: { path: { name }, query: asOf ? { asOf } : {} },
        body: file as never,
        ...asIs,
        headers: { "Content-Type": /\.(csv|txt)$/i.test(file.name) ? "text/csv" : "application/octet-stream" },
      }),
    ),
  );

export const useForgetRegister = () =>
  useChange(["do-not-call"], ({ name, reason }: { name: string; reason: string }) =>
    unwrap(
      client.POST("/api/v1/do-not-call/registers/{name}/forget", { params: { path: { name } }, body: { reason } }),
    ),
  );
