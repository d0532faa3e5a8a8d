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
  const rows = overlapping(flow) ? columns(flow) : undefined;
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

export const STEP_WIDTH = 220;
const GAP = 48;

/** About how high a step's card is: its head, its words and its exits. */
export function height(n: Pick<FlowNode, "type" | "data">): number {
  const ways = exits(n.type, n.data ?? {}).length;
  const said = n.data?.text || n.data?.topic || n.data?.department ? 76 : 0;
  return 42 + said + (ways > 1 ? 14 + ways * 26 : 0);
}

/** Whether steps hide each other where they are, or have no place at all. */
export function overlapping(flow: Flow): boolean {
  return flow.nodes.some((a, i) =>
    flow.nodes.slice(i + 1).some((b) => {
      const p = a.position ?? { x: 0, y: 0 };
      const q = b.position ?? { x: 0, y: 0 };
      const upper = p.y <= q.y ? a : b;
      return Math.abs(p.x - q.x) < STEP_WIDTH && Math.abs(p.y - q.y) < height(upper);
    }),
  );
}

/** Places without overlap: one column for each number of steps from the start, in the order of the exits. */
export function columns(flow: Flow): Map<string, { x: number; y: number }> {
  const depth = new Map<string, number>();
  const start = flow.nodes.find((n) => n.type === "start")?.id ?? flow.nodes[0]?.id;
  const queue: string[] = start ? [start] : [];
  const order: string[] = [];
  if (start) depth.set(start, 0);
  for (let id = queue.shift(); id !== undefined; id = queue.shift()) {
    order.push(id);
    for (const e of flow.edges) {
      if (e.source !== id || depth.has(e.target)) continue;
      depth.set(e.target, (depth.get(id) ?? 0) + 1);
      queue.push(e.target);
    }
  }
  const loose = flow.nodes.filter((n) => !depth.has(n.id)).map((n) => n.id);
  const last = Math.max(0, ...depth.values()) + 1;
  const byId = new Map(flow.nodes.map((n) => [n.id, n]));
  const heights = new Map<number, number>();
  const out = new Map<string, { x: number; y: number }>();
  for (const id of [...order, ...loose]) {
    const node = byId.get(id);
    if (!node) continue;
    const column = depth.get(id) ?? last;
    const y = heights.get(column) ?? 0;
    heights.set(column, y + height(node) + GAP);
    out.set(id, { x: column * (STEP_WIDTH + 130), y });
  }
  // Columns stand centred beside each other.
  const tallest = Math.max(0, ...heights.values());
  for (const [id, at] of out) {
    const column = Math.round(at.x / (STEP_WIDTH + 130));
    out.set(id, { x: at.x, y: Math.round(at.y + (tallest - (heights.get(column) ?? 0)) / 2) });
  }
  return out;
}
