import { useQuery } from "@tanstack/react-query";
import { client, unwrap } from "../../api/client";
import type { components } from "../../api/schema";
import { useChange } from "../identity/peopleApi";

export type Export = Omit<components["schemas"]["OrganisationExport"], "$schema" | "file">;

/** Whether a file is still being made. */
export const goesOn = (e: Export) => e.state === "waiting" || e.state === "running";

/** Files of the whole organisation, newest first. */
export const useExports = () =>
  useQuery({
    queryKey: ["exports"],
    queryFn: async ({ signal }) => await unwrap(client.GET("/api/v1/organisation/exports", { signal })),
    refetchInterval: (q) => (q.state.data?.items.some(goesOn) ? 2_000 : false),
  });

export const useAskForExport = () =>
  useChange(["exports"], (passphrase: string) =>
    unwrap(client.POST("/api/v1/organisation/exports", { body: { passphrase } })),
  );

export const useRemoveExport = () =>
  useChange(["exports"], (id: string) =>
    unwrap(client.DELETE("/api/v1/organisation/exports/{id}", { params: { path: { id } } })),
  );

export const useDownloadExport = () =>
  useChange(["exports"], async (id: string) => {
    const file = await unwrap(
      client.GET("/api/v1/organisation/exports/{id}/file", { params: { path: { id } }, parseAs: "blob" }),
    );
    return file as unknown as Blob;
  });
