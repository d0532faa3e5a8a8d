import { describe, expect, it } from "vitest";
import { difference } from "../../ui/diff";
import { auditQuery, exportHref, readAuditFilters } from "./filters";

describe("a difference", () => {
  it("names what changed and leaves the rest out", () => {
    expect(difference({ name: "A", role: "x", at: 1 }, { name: "B", role: "x", at: 1 })).toEqual([
      { path: "name", before: "A", after: "B" },
    ]);
  });
  it("goes into objects and lists", () => {
    expect(difference({ a: { b: [1, 2] } }, { a: { b: [1, 3] } })).toEqual([
      { path: "a.b", before: "1, 2", after: "1, 3" },
    ]);
    expect(difference({ l: [{ n: 1 }] }, { l: [{ n: 1 }, { n: 2 }] })).toEqual([
      { path: "l[2].n", before: null, after: "2" },
    ]);
  });
  it("knows what was made and what is gone", () => {
    expect(difference(null, { name: "A", none: null })).toEqual([{ path: "name", before: null, after: "A" }]);
    expect(difference({ tags: [] }, null)).toEqual([{ path: "tags", before: "none", after: null }]);
    expect(difference(null, null)).toEqual([]);
  });
});

describe("filters of the audit trail", () => {
  it("take from the address what is a filter", () => {
    expect(
      readAuditFilters({ actor: "u1", outcome: "maybe", from: "2026-03-01", to: "yesterday", kind: "", x: "y", ip: 7 }),
    ).toEqual({ actor: "u1", from: "2026-03-01", ip: "7" });
    expect(readAuditFilters({ outcome: "denied" })).toEqual({ outcome: "denied" });
  });
  it("take in the whole of the last day", () => {
    const q = auditQuery({ action: "team.*", from: "2026-03-01", to: "2026-03-01" });
    expect(q.action).toBe("team.*");
    expect(new Date(q.to ?? "").getTime() - new Date(q.from ?? "").getTime()).toBe(86_400_000);
    expect(auditQuery({})).toEqual({});
  });
  it("go into the export's address", () => {
    expect(exportHref({ action: "team.*" }, "csv")).toBe("/api/v1/audit/export?action=team.*&format=csv");
  });
});
