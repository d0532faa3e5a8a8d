import { describe, expect, it } from "vitest";
import { allows, areas, expand, mayGrant, Reach, reach, toggle } from "./permissions";

const catalogue = ["agent:create", "agent:read", "agent:update", "call:read", "call:update", "token:read"];

describe("a permission", () => {
  it("is matched by itself, by its area and by everything", () => {
    expect(reach(["call:read"], "call:read")).toBe(Reach.All);
    expect(reach(["call:*"], "call:read")).toBe(Reach.All);
    expect(reach(["*"], "call:read")).toBe(Reach.All);
    expect(reach(["call:read"], "call:update")).toBe(Reach.None);
    expect(reach(["calls:*"], "call:read")).toBe(Reach.None);
    expect(reach([], "call:read")).toBe(Reach.None);
  });
  it("may be narrower, and the widest counts", () => {
    expect(reach(["agent:update:own"], "agent:update")).toBe(Reach.Own);
    expect(reach(["agent:update:own", "agent:*:team"], "agent:update")).toBe(Reach.Team);
    expect(reach(["agent:update:own", "agent:update"], "agent:update")).toBe(Reach.All);
    expect(reach(["agent:update:theirs"], "agent:update")).toBe(Reach.None);
    expect(allows(["agent:update:own"], "agent:update")).toBe(false);
  });
});

describe("patterns", () => {
  it("expand over the catalogue", () => {
    expect(expand(["call:*", "agent:update:own"], catalogue)).toEqual(["agent:update:own", "call:read", "call:update"]);
    expect(expand(["*"], catalogue)).toEqual(catalogue);
  });
  it("are handed out only by who has them", () => {
    expect(mayGrant(["*"], ["call:*"], catalogue)).toBe(true);
    expect(mayGrant(["call:*"], ["call:read:own"], catalogue)).toBe(true);
    expect(mayGrant(["call:read:own"], ["call:read"], catalogue)).toBe(false);
    expect(mayGrant(catalogue, ["*"], catalogue)).toBe(false);
  });
});

describe("the picker", () => {
  const [agent, call] = areas(catalogue) as [never, never];
  it("groups by area", () => {
    expect(areas(catalogue)).toEqual([
      { area: "agent", verbs: ["create", "read", "update"] },
      { area: "call", verbs: ["read", "update"] },
      { area: "token", verbs: ["read"] },
    ]);
  });
  it("joins a full area to a wildcard and takes it apart again", () => {
    expect(toggle(["call:read"], call, "update", true)).toEqual(["call:*"]);
    expect(toggle(["call:*"], call, "update", false)).toEqual(["call:read"]);
    expect(toggle([], agent, "*", true)).toEqual(["agent:*"]);
    expect(toggle(["agent:*", "call:read"], agent, "*", false)).toEqual(["call:read"]);
  });
  it("keeps what is narrower until it is touched", () => {
    expect(toggle(["agent:update:own"], agent, "read", true)).toEqual(["agent:read", "agent:update:own"]);
    expect(toggle(["agent:update:own"], agent, "update", true)).toEqual(["agent:update"]);
  });
});
