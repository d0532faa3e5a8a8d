/** What a person may do, by the patterns of their role: the same rules as the server's, to hide what it would refuse. */

/** How far a permission goes. */
export enum Reach {
  None = 0,
  Own = 1,
  Team = 2,
  All = 3,
}

/** How far patterns such as "call:*", "agent:update:own" and "*" allow "area:verb". */
export function reach(patterns: readonly string[], permission: string): Reach {
  const [area, verb] = permission.split(":");
  let found = Reach.None;
  for (const pattern of patterns) {
    if (pattern === "*") return Reach.All;
    const [a, v, narrow = ""] = pattern.split(":");
    if (a !== area || (v !== "*" && v !== verb)) continue;
    if (narrow === "") return Reach.All;
    if (narrow === "team") found = Math.max(found, Reach.Team);
    if (narrow === "own") found = Math.max(found, Reach.Own);
  }
  return found;
}

/** Whether patterns allow "area:verb" in the whole organisation. */
export const allows = (patterns: readonly string[], permission: string) => reach(patterns, permission) === Reach.All;

/** What patterns give of a catalogue, in the catalogue's order, narrower ones with their last part. */
export function expand(patterns: readonly string[], catalogue: readonly string[]): string[] {
  const suffix = ["", ":own", ":team", ""];
  return catalogue.flatMap((permission) => {
    const r = reach(patterns, permission);
    return r === Reach.None ? [] : [permission + suffix[r]];
  });
}

/** Whether who has patterns may hand out all that others gives: nobody gives more than they have. */
export function mayGrant(
  patterns: readonly string[],
  others: readonly string[],
  catalogue: readonly string[],
): boolean {
  if (others.includes("*") && !patterns.includes("*")) return false;
  return catalogue.every((permission) => reach(others, permission) <= reach(patterns, permission));
}

export type Area = { area: string; verbs: string[] };

/** The catalogue by area, as a picker shows it. */
export function areas(catalogue: readonly string[]): Area[] {
  const out: Area[] = [];
  for (const permission of catalogue) {
    const [area = "", verb = ""] = permission.split(":");
    const last = out.find((a) => a.area === area);
    if (!last) out.push({ area, verbs: [verb] });
    else if (!last.verbs.includes(verb)) last.verbs.push(verb);
  }
  return out;
}

/** Switches one permission of a picker on or off: a full area becomes "area:*", and is taken apart again. */
export function toggle(patterns: readonly string[], { area, verbs }: Area, verb: string, on: boolean): string[] {
  const others = patterns.filter((p) => p.split(":")[0] !== area);
  const have = new Map<string, string>();
  for (const v of verbs) {
    const r = reach(patterns, `${area}:${v}`);
    if (r === Reach.All) have.set(v, `${area}:${v}`);
    else if (r === Reach.Team) have.set(v, `${area}:${v}:team`);
    else if (r === Reach.Own) have.set(v, `${area}:${v}:own`);
  }
  for (const v of verb === "*" ? verbs : [verb]) {
    if (on) have.set(v, `${area}:${v}`);
    else have.delete(v);
  }
  const mine = verbs.flatMap((v) => have.get(v) ?? []);
  const full = mine.length === verbs.length && mine.every((p) => p.split(":").length === 2);
  return [...others.filter((p) => p !== "*"), ...(full ? [`${area}:*`] : mine)].sort();
}
