import { useQuery } from "@tanstack/react-query";
import { client, ifMatch, unwrap, unwrapTagged } from "../../api/client";
import { usePages } from "../../api/pages";
import type { AuditState, Erasure, RetentionSettings } from "../../api/types";
import { useChange } from "../identity/peopleApi";
import { type AuditFilters, auditQuery } from "./filters";

export const useAudit = (filters: AuditFilters) =>
  usePages(["audit", filters], (cursor, signal) =>
    unwrap(client.GET("/api/v1/audit", { params: { query: { ...auditQuery(filters), limit: 50, cursor } }, signal })),
  );

export const useAuditState = () =>
  useQuery({
    queryKey: ["audit-state"],
    queryFn: async ({ signal }) => (await unwrap(client.GET("/api/v1/audit/verify", { signal }))) as AuditState,
  });

/** The log of the installation itself, which no organisation reads. */
export const usePlatformLog = (filters: AuditFilters) =>
  usePages(["super", "log", filters], (cursor, signal) =>
    unwrap(
      client.GET("/api/v1/super/audit", { params: { query: { ...auditQuery(filters), limit: 50, cursor } }, signal }),
    ),
  );

export const usePlatformState = () =>
  useQuery({
    queryKey: ["super", "log-state"],
    queryFn: async ({ signal }) => (await unwrap(client.GET("/api/v1/super/audit/verify", { signal }))) as AuditState,
  });

export const readRetention = (signal?: AbortSignal) => unwrapTagged(client.GET("/api/v1/retention", { signal }));

export const useSetRetention = () =>
  useChange([], ({ tag, ...body }: RetentionSettings & { tag: string }) =>
    unwrap(client.PUT("/api/v1/retention", { params: { header: ifMatch(tag) }, body })),
  );

export const useHolds = (released: boolean) =>
  usePages(["holds", released], (cursor, signal) =>
    unwrap(client.GET("/api/v1/legal-holds", { params: { query: { released, limit: 50, cursor } }, signal })),
  );

export const useHold = () =>
  useChange(["holds"], (body: { scope: "organisation" | "call" | "person"; subject?: string; reason: string }) =>
    unwrap(client.POST("/api/v1/legal-holds", { body })),
  );

export const useRelease = () =>
  useChange(["holds"], ({ id, reason }: { id: string; reason: string }) =>
    unwrap(client.POST("/api/v1/legal-holds/{id}/release", { params: { path: { id } }, body: { reason } })),
  );

export const useErasures = () =>
  useQuery({
    queryKey: ["erasures"],
    queryFn: async ({ signal }) =>
      (await unwrap(client.GET("/api/v1/persons/erasures", { params: { query: { limit: 50 } }, signal })))
        .items as Erasure[],
    // The certificate comes when the work is done.
    refetchInterval: (q) => (q.state.data?.some((e) => e.state === "waiting") ? 5_000 : false),
  });

export const useErase = () =>
  useChange(["erasures"], (body: { subject: string; reason: string }) =>
    unwrap(client.POST("/api/v1/persons/erasures", { body })),
  );

/** Everything there is of one person, as a file. */
export const useExportPerson = () =>
  useChange([], async (subject: string) => {
    const blob = await unwrap(client.POST("/api/v1/persons/export", { body: { subject }, parseAs: "blob" }));
    return blob as unknown as Blob;
  });

export const useConsents = (subject: string) =>
  usePages(["consents", subject], (cursor, signal) =>
    unwrap(client.GET("/api/v1/consents", { params: { query: { subject: subject || undefined, cursor } }, signal })),
  );

export type NewConsent = { subject: string; scope: string; source: string; proof?: string; expiresAt?: string };

export const useGiveConsent = () =>
  useChange(["consents"], (body: NewConsent) => unwrap(client.POST("/api/v1/consents", { body })));

export const useRevokeConsent = () =>
  useChange(["consents"], (id: string) =>
    unwrap(client.POST("/api/v1/consents/{id}/revoke", { params: { path: { id } } })),
  );
