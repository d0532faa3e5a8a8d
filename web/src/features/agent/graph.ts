import type { Edge, Node } from "@xyflow/react";
import type { Flow, FlowData, FlowEdge, FlowNode, FlowNodeData, FlowNodeType, Problem } from "../../api/types";

/** A step on the canvas. Its data is the flow's own, so that nothing is lost on the way there and back. */
export type StepNode = Node<{ step: FlowNodeData; kind: FlowNodeType; problems?: Problem[] }, "step">;
export type StepEdge = Edge<{ condition: string | undefined }>;

export type Exit = { id: string; label: string };

/** The ways out of a step, the ordinary one first; docs/flow.md lists them by type. */
export function exits(kind: FlowNodeType, data: FlowNodeData): Exit[] {
  const named = (...ids: string[]) => ids.map((id) => ({ id, label: id === "nomatch" ? "not understood" : id }));
  switch (kind) {
    case "ask":
      return [...(data.intents ?? []).map((i) => ({ id: i.id, label: i.label || i.id })), ...named("nomatch")];
    case "collect":
      return data.slot === "yesno" ? named("next", "yes", "no", "failed") : named("next", "failed");
    case "book":
      return named("next", "booked", "failed");
    case "move":
      return named("next", "moved", "none", "failed");
    case "cancel":
      return named("next", "cancelled", "kept", "none", "failed");
    case "route":
      return named("next", "failed");
    case "hangup":
      return [];
    default:
      return named("next");
  }
}

export function toGraph(flow: Flow): { nodes: StepNode[]; edges: StepEdge[] } {
  const placed = flow.nodes.some((n) => n.position && (n.position.x !== 0 || n.position.y !== 0));
  const rows = placed ? undefined : layers(flow);
  const nodes = flow.nodes.map(
    (n): StepNode => ({
      id: n.id,
      type: "step",
      position: rows?.get(n.id) ?? n.position ?? { x: 0, y: 0 },
      data: { step: n.data ?? {}, kind: n.type },
      deletable: n.type !== "start",
    }),
  );
  return { nodes, edges: flow.edges.map(toGraphEdge) };
}

function toGraphEdge(e: FlowEdge, i: number): StepEdge {
  return {
    id: e.id || `edge-${i}-${e.source}-${e.target}`,
    source: e.source,
    target: e.target,
    sourceHandle: e.condition || "next",
    data: { condition: e.condition },
    ...(e.label ? { label: e.label } : {}),
  };
}

export function toFlow(nodes: StepNode[], edges: StepEdge[], data: FlowData): Flow {
  return {
    data,
    nodes: nodes.map(
      (n): FlowNode => ({
        id: n.id,
        type: n.data.kind,
        position: { x: Math.round(n.position.x), y: Math.round(n.position.y) },
        data: n.data.step,
      }),
    ),
    edges: edges.map((e): FlowEdge => {
      const condition = e.data?.condition;
      return {
        id: e.id,
        source: e.source,
        target: e.target,
        ...(condition ? { condition } : {}),
        ...(typeof e.label === "string" && e.label ? { label: e.label } : {}),
      };
    }),
  };
}

/** An exit leads to one place: a new edge takes the old one's place. */
export function connect(
  edges: StepEdge[],
  way: { source: string; target: string; sourceHandle: string | null },
): StepEdge[] {
  const handle = way.sourceHandle ?? "next";
  const rest = edges.filter((e) => !(e.source === way.source && (e.sourceHandle ?? "next") === handle));
  return [
    ...rest,
    {
      id: unique(`${way.source}-${handle}`, new Set(rest.map((e) => e.id))),
      source: way.source,
      target: way.target,
      sourceHandle: handle,
      data: { condition: handle === "next" ? undefined : handle },
    },
  ];
}

/** Edges whose exit is gone (an intent was deleted) go too. */
export function dropLoose(nodes: StepNode[], edges: StepEdge[]): StepEdge[] {
  const ways = new Map(nodes.map((n) => [n.id, new Set(exits(n.data.kind, n.data.step).map((x) => x.id))]));
  const kept = edges.filter((e) => {
    const handle = e.sourceHandle ?? "next";
    const known = ways.get(e.source);
    // The ordinary exit serves every step that has exits at all, also where it is not drawn.
    return known !== undefined && ways.has(e.target) && (known.has(handle) || (handle === "next" && known.size > 0));
  });
  return kept.length === edges.length ? edges : kept;
}

export function unique(wanted: string, taken: Set<string>): string {
  if (!taken.has(wanted)) return wanted;
  let n = 2;
  while (taken.has(`${wanted}-${n}`)) n++;
  return `${wanted}-${n}`;
}

/** Problems of each step: the server names them by their place, "flow.nodes[2].data.text". */
export function problemsByNode(problems: Problem[], nodes: { id: string }[]): Map<string, Problem[]> {
  const out = new Map<string, Problem[]>();
  for (const p of problems) {
    const id = nodeOf(p, nodes);
    if (id) out.set(id, [...(out.get(id) ?? []), p]);
  }
  return out;
}

export function nodeOf(p: Problem, nodes: { id: string }[]): string | undefined {
  const m = /^(?:flow\.)?nodes\[(\d+)\]/.exec(p.location);
  return m ? nodes[Number(m[1])]?.id : undefined;
}

/** Places for steps that have none: one row for each number of steps from the start. */
function layers(flow: Flow): Map<string, { x: number; y: number }> {
  const depth = new Map<string, number>();
  const start = flow.nodes.find((n) => n.type === "start")?.id ?? flow.nodes[0]?.id;
  const queue: string[] = start ? [start] : [];
  if (start) depth.set(start, 0);
  for (let id = queue.shift(); id !== undefined; id = queue.shift()) {
    for (const e of flow.edges) {
      if (e.source !== id || depth.has(e.target)) continue;
      depth.set(e.target, (depth.get(id) ?? 0) + 1);
      queue.push(e.target);
    }
  }
  const last = Math.max(0, ...depth.values()) + 1;
  const out = new Map<string, { x: number; y: number }>();
  const inRow = new Map<number, number>();
  for (const n of flow.nodes) {
    const row = depth.get(n.id) ?? last;
    const column = inRow.get(row) ?? 0;
    inRow.set(row, column + 1);
    out.set(n.id, { x: column * 300, y: row * 210 });
  }
  return out;
}
