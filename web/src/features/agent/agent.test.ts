import { describe, expect, it } from "vitest";
import type { Flow } from "../../api/types";
import { differences, prune, same } from "./definition";
import { connect, dropLoose, exits, nodeOf, problemsByNode, toFlow, toGraph, unique } from "./graph";
import { formatHours, readHours } from "./hours";
import { readTargets } from "./SettingsForms";

const flow: Flow = {
  data: { name: "Clinic" },
  nodes: [
    { id: "start", type: "start", position: { x: 0, y: 0 }, data: { text: "Hi" } },
    {
      id: "menu",
      type: "ask",
      position: { x: 10, y: 150 },
      data: { text: "What?", intents: [{ id: "hours", label: "hours", phrases: ["hours"] }] },
    },
    { id: "bye", type: "hangup", position: { x: 10, y: 400 }, data: { text: "Bye" } },
  ],
  edges: [
    { id: "e1", source: "start", target: "menu" },
    { id: "e2", source: "menu", target: "bye", condition: "hours", label: "hours" },
  ],
};

describe("the canvas", () => {
  it("gives back the flow it was given", () => {
    const g = toGraph(flow);
    expect(toFlow(g.nodes, g.edges, flow.data)).toEqual(flow);
  });
  it("finds places for steps that have none, no two at the same", () => {
    const bare = { ...flow, nodes: flow.nodes.map((n) => ({ ...n, position: undefined })) };
    const at = toGraph(bare).nodes.map((n) => `${n.position.x},${n.position.y}`);
    expect(new Set(at).size).toBe(3);
  });
  it("leads each exit to one place", () => {
    const { edges } = toGraph(flow);
    const next = connect(edges, { source: "menu", target: "start", sourceHandle: "hours" });
    expect(next.filter((e) => e.source === "menu").map((e) => e.target)).toEqual(["start"]);
    expect(next.at(-1)?.data?.condition).toBe("hours");
  });
  it("drops the edge of an intent that is gone, and of a step that is gone", () => {
    const { nodes, edges } = toGraph(flow);
    const without = nodes.map((n) => (n.id === "menu" ? { ...n, data: { ...n.data, step: { text: "What?" } } } : n));
    expect(dropLoose(without, edges).map((e) => e.id)).toEqual(["e1"]);
    expect(dropLoose(nodes.slice(0, 1), edges)).toEqual([]);
    expect(dropLoose(nodes, edges)).toBe(edges);
  });
  it("knows the exits of each kind", () => {
    expect(exits("hangup", {})).toEqual([]);
    expect(exits("collect", { slot: "yesno" }).map((x) => x.id)).toEqual(["next", "yes", "no", "failed"]);
    expect(exits("ask", { intents: [{ id: "a", phrases: [] }] }).map((x) => x.id)).toEqual(["a", "nomatch"]);
  });
  it("puts problems to their steps", () => {
    const p = { location: "flow.nodes[1].data.text", message: "is empty", severity: "error" as const };
    expect(nodeOf(p, flow.nodes)).toBe("menu");
    expect(problemsByNode([p, { ...p, location: "flow.data.hours" }], flow.nodes).get("menu")).toEqual([p]);
  });
  it("makes names that are free", () => {
    expect(unique("say", new Set(["say", "say-2"]))).toBe("say-3");
  });
});

describe("definitions", () => {
  it("leave out what is empty", () => {
    expect(prune({ a: "", b: { c: undefined, d: 0, e: false }, f: [{ g: "" }] })).toEqual({
      b: { d: 0, e: false },
      f: [{}],
    });
  });
  it("are the same when they would be saved the same", () => {
    expect(same({ kind: "flow", greeting: "" }, { kind: "flow" })).toBe(true);
    expect(same({ kind: "flow", greeting: "Hi" }, { kind: "flow" })).toBe(false);
  });
  it("say where they differ", () => {
    const b = structuredClone(flow);
    (b.nodes[1] as { data: { text: string } }).data.text = "Else?";
    b.nodes.push({ id: "say", type: "say", data: { text: "Hm" } });
    b.edges.pop();
    expect(differences({ kind: "flow", flow }, { kind: "flow", language: "en-GB", flow: b })).toEqual([
      "language",
      "steps added: say",
      "steps changed: menu",
      "ways between steps",
    ]);
  });
});

describe("opening hours", () => {
  it("are read as people write them", () => {
    expect(readHours("8-12, 13:00–18:30")).toEqual([
      { from: "08:00", to: "12:00" },
      { from: "13:00", to: "18:30" },
    ]);
    expect(readHours("")).toEqual([]);
    expect(readHours("18-8")).toBeNull();
    expect(readHours("morning")).toBeNull();
    expect(formatHours([{ from: "08:00", to: "18:00" }])).toBe("08:00-18:00");
  });
});

describe("places to transfer to", () => {
  it("are read line by line", () => {
    expect(readTargets("a = sip:x@y;z=1\nbad\n = q\nb=2")).toEqual({ a: "sip:x@y;z=1", b: "2" });
  });
});
