import { describe, expect, it } from "vitest";
import { amount, fromFields, share, toFields } from "./limits";

describe("a limit", () => {
  it("is read as people read it", () => {
    expect(amount("minutes", 12000)).toBe("12,000");
    expect(amount("storageBytes", 5 * 1024 ** 3)).toBe("5 GB");
    expect(amount("storageBytes", 2_500_000)).toBe("2.4 MB");
  });
  it("is used in part, wholly, or not at all", () => {
    expect(share(3, 10)).toBe(0.3);
    expect(share(3, undefined)).toBeNull();
    expect(share(null, 10)).toBeNull();
    expect(share(0, 0)).toBe(1);
  });
  it("goes through a form unchanged, and empty is none", () => {
    const limits = { calls: 0, minutes: 500, storageBytes: 1024 ** 3 };
    expect(fromFields(toFields(limits))).toEqual(limits);
    expect(toFields({}).calls).toBe("");
    expect(fromFields(toFields({}))).toEqual({});
  });
});
