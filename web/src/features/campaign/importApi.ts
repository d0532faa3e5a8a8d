import { useQuery } from "@tanstack/react-query";
import { ApiError, client, toApiError, unwrap } from "../../api/client";
import { usePages } from "../../api/pages";
import type { LeadImport } from "../../api/types";
import { useChange } from "../identity/peopleApi";

export type Sample = { columns: string[]; rows: string[][] };
export type Uploaded = { import: LeadImport; sample: Sample };

/** Whether an import still moves by itself. */
export const moving = (i: LeadImport) => i.state === "waiting" || i.state === "running" || i.state === "undoing";

export const useImports = (id: string) =>
  usePages<LeadImport>(["campaigns", "imports", id], async (cursor, signal) => {
    const page = await unwrap(
      client.GET("/api/v1/campaigns/{id}/imports", {
        params: { path: { id }, query: { limit: 20, cursor } },
        signal,
      }),
    );
    return page as { items: LeadImport[]; next: string | null };
  });

/** One import, read again and again while it moves. */
export const useImport = (id: string, importId: string, begun?: LeadImport) =>
  useQuery({
    queryKey: ["campaigns", "import", id, importId],
    initialData: begun,
    queryFn: async ({ signal }) =>
      (await unwrap(
        client.GET("/api/v1/campaigns/{id}/imports/{importId}", { params: { path: { id, importId } }, signal }),
      )) as LeadImport,
    refetchInterval: (q) => (q.state.data && moving(q.state.data) ? 1_000 : false),
  });

type StartBody = {
  mapping: Record<string, string>;
  region?: string;
  skipInOtherCampaigns: boolean;
};

export const useStartImport = () =>
  useChange(["campaigns"], async ({ id, importId, body }: { id: string; importId: string; body: StartBody }) => {
    return (await unwrap(
      client.POST("/api/v1/campaigns/{id}/imports/{importId}/start", { params: { path: { id, importId } }, body }),
    )) as LeadImport;
  });

type One = { id: string; importId: string };

/** Says how an uploaded file is written; what is left out is found out. Gives what then is in it. */
export const useFormatImport = () =>
  useChange([], async ({ id, importId, ...body }: One & { encoding?: string; delimiter?: string }) => {
    const path = { id, importId };
    return (await unwrap(
      client.POST("/api/v1/campaigns/{id}/imports/{importId}/format", { params: { path }, body: body as never }),
    )) as Uploaded;
  });

export const useCancelImport = () =>
  useChange(["campaigns"], ({ id, importId }: One) =>
    unwrap(client.POST("/api/v1/campaigns/{id}/imports/{importId}/cancel", { params: { path: { id, importId } } })),
  );

export const useUndoImport = () =>
  useChange(["campaigns"], ({ id, importId }: One) =>
    unwrap(client.POST("/api/v1/campaigns/{id}/imports/{importId}/undo", { params: { path: { id, importId } } })),
  );

export const useRejects = () =>
  useChange([], async ({ id, importId }: One) => {
    const of = { params: { path: { id, importId } }, parseAs: "blob" } as const;
    return (await unwrap(client.GET("/api/v1/campaigns/{id}/imports/{importId}/rejects", of))) as unknown as Blob;
  });

/** Sends a list and tells how far it is; fetch cannot. */
export function upload(
  id: string,
  file: File,
  progress: (share: number) => void,
  signal: AbortSignal,
): Promise<Uploaded> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const form = new FormData();
    form.append("file", file);
    request.open("POST", `/api/v1/campaigns/${encodeURIComponent(id)}/leads/import`);
    request.responseType = "json";
    request.upload.addEventListener("progress", (e) => e.lengthComputable && progress(e.loaded / e.total));
    request.addEventListener("load", () => {
      if (request.status >= 200 && request.status < 300) resolve(request.response as Uploaded);
      else reject(toApiError(request.status, request.response));
    });
    request.addEventListener("error", () =>
      reject(new ApiError(0, "unreachable", "The file could not be sent. Check that you are online.")),
    );
    request.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}
