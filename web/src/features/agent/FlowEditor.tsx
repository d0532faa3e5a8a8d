import { Alert, Button, Drawer, Group, Menu, Text, useMantineColorScheme } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { IconPlus } from "@tabler/icons-react";
import {
  Background,
  type Connection,
  Controls,
  MarkerType,
  type NodeChange,
  Panel,
  ReactFlow,
  ReactFlowProvider,
  useEdgesState,
  useNodesState,
  useReactFlow,
} from "@xyflow/react";
import { useEffect, useMemo, useRef, useState } from "react";
import type { Flow, FlowNodeData, FlowNodeType, Problem } from "../../api/types";
import css from "./agent.module.css";
import {
  columns,
  connect,
  dropLoose,
  nodeOf,
  problemsByNode,
  type StepEdge,
  type StepNode,
  toFlow,
  toGraph,
  unique,
} from "./graph";
import { Inspector } from "./Inspector";
import { StepCard } from "./StepCard";
import { steps } from "./steps";

const nodeTypes = { step: StepCard };
const edgeOptions = { type: "smoothstep", markerEnd: { type: MarkerType.ArrowClosed, width: 16, height: 16 } };

type Props = { flow: Flow; onChange: (flow: Flow) => void; problems: Problem[] };

/** The drawn conversation: a canvas of steps, a palette to add them and an inspector to set them. */
export function FlowEditor(props: Props) {
  return (
    <ReactFlowProvider>
      <Canvas {...props} />
    </ReactFlowProvider>
  );
}

function Canvas({ flow, onChange, problems }: Props) {
  const [start] = useState(() => toGraph(flow));
  const [nodes, setNodes, onNodesChange] = useNodesState<StepNode>(start.nodes);
  const [edges, setEdges, onEdgesChange] = useEdgesState<StepEdge>(start.edges);
  const { colorScheme } = useMantineColorScheme();
  const { screenToFlowPosition, setCenter, fitView } = useReactFlow();
  const box = useRef<HTMLDivElement>(null);
  const narrow = useMediaQuery("(max-width: 900px)");
  const [dragging, setDragging] = useState(false);

  // The canvas owns the graph while it is drawn; the agent's page is told of what would be saved.
  // Steps that were moved apart to be seen are saved there with the first real change, not before.
  const told = useRef(JSON.stringify(toFlow(start.nodes, start.edges, flow.data)));
  useEffect(() => {
    if (dragging) return;
    const next = toFlow(nodes, edges, flow.data);
    const text = JSON.stringify(next);
    if (text === told.current) return;
    told.current = text;
    onChange(next);
  }, [nodes, edges, flow.data, onChange, dragging]);

  const wrong = useMemo(() => problemsByNode(problems, nodes), [problems, nodes]);
  const shown = useMemo(
    () => nodes.map((n) => (wrong.has(n.id) ? { ...n, data: { ...n.data, problems: wrong.get(n.id) } } : n)),
    [nodes, wrong],
  );
  const selected = nodes.find((n) => n.selected);

  const add = (kind: FlowNodeType, at?: { x: number; y: number }) => {
    const r = box.current?.getBoundingClientRect();
    const middle = r ? { x: r.x + r.width / 2 - 110, y: r.y + r.height / 2 - 40 } : { x: 0, y: 0 };
    const id = unique(kind, new Set(nodes.map((n) => n.id)));
    const node: StepNode = {
      id,
      type: "step",
      position: screenToFlowPosition(at ?? middle),
      data: { kind, step: structuredClone(steps[kind].fresh) },
      selected: true,
    };
    setNodes((all) => [...all.map((n) => ({ ...n, selected: false })), node]);
  };
  const change = (id: string, step: FlowNodeData) => {
    const next = nodes.map((n) => (n.id === id ? { ...n, data: { ...n.data, step } } : n));
    setNodes(next);
    setEdges((all) => dropLoose(next, all));
  };
  const remove = (id: string) => {
    setNodes((all) => all.filter((n) => n.id !== id));
    setEdges((all) => all.filter((e) => e.source !== id && e.target !== id));
  };
  const select = (id: string) => {
    setNodes((all) => all.map((n) => ({ ...n, selected: n.id === id })));
    const n = nodes.find((x) => x.id === id);
    if (n) void setCenter(n.position.x + 110, n.position.y + 60, { zoom: 1, duration: 300 });
  };
  const tidy = () => {
    const places = columns(toFlow(nodes, edges, flow.data));
    setNodes((all) => all.map((n) => ({ ...n, position: places.get(n.id) ?? n.position })));
    requestAnimationFrame(() => void fitView({ padding: 0.1, duration: 300 }));
  };
  const close = () => setNodes((all) => all.map((n) => ({ ...n, selected: false })));

  const inspector = selected && (
    <Inspector
      key={selected.id}
      node={selected}
      flowData={flow.data}
      problems={wrong.get(selected.id) ?? []}
      change={(step) => change(selected.id, step)}
      remove={selected.data.kind === "start" ? undefined : () => remove(selected.id)}
      close={close}
    />
  );
  return (
    <div className={css.flow}>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: a drop target; the same is reached by the menu "Add a step" */}
      <div
        className={css.canvas}
        ref={box}
        onDragOver={(e) => e.preventDefault()}
        onDrop={(e) => {
          const kind = e.dataTransfer.getData("application/x-parley-step") as FlowNodeType;
          if (kind in steps) add(kind, { x: e.clientX - 110, y: e.clientY - 20 });
        }}
      >
        <ReactFlow
          nodes={shown}
          edges={edges}
          nodeTypes={nodeTypes}
          defaultEdgeOptions={edgeOptions}
          onNodesChange={(c: NodeChange<StepNode>[]) => onNodesChange(c)}
          onEdgesChange={onEdgesChange}
          onConnect={(c: Connection) => setEdges((all) => connect(all, c))}
          onNodeDragStart={() => setDragging(true)}
          onNodeDragStop={() => setDragging(false)}
          colorMode={colorScheme === "auto" ? "system" : colorScheme}
          fitView
          fitViewOptions={{ padding: 0.1, maxZoom: 1, minZoom: 0.5 }}
          minZoom={0.2}
          deleteKeyCode={["Delete"]}
          proOptions={{ hideAttribution: true }}
          aria-label="Flow"
        >
          <Background gap={22} />
          <Controls showInteractive={false} />
          <Panel position="top-left">
            <Group gap="xs">
              <Palette add={add} />
              <Button size="xs" variant="default" onClick={tidy}>
                Tidy up
              </Button>
            </Group>
          </Panel>
        </ReactFlow>
      </div>
      {narrow ? (
        <Drawer opened={!!selected} onClose={close} position="bottom" size="75%" withCloseButton={false}>
          {inspector}
        </Drawer>
      ) : (
        selected && <aside className={css.inspector}>{inspector}</aside>
      )}
      <ProblemList problems={problems} nodes={nodes} select={select} />
    </div>
  );
}

function Palette({ add }: { add: (kind: FlowNodeType) => void }) {
  const kinds = (Object.keys(steps) as FlowNodeType[]).filter((k) => k !== "start");
  return (
    <Menu position="bottom-start" width={300} closeOnItemClick>
      <Menu.Target>
        <Button size="xs" leftSection={<IconPlus size={15} />}>
          Add a step
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {kinds.map((k) => {
          const { icon: Icon, name, about } = steps[k];
          return (
            <Menu.Item
              key={k}
              leftSection={<Icon size={18} stroke={1.6} />}
              onClick={() => add(k)}
              draggable
              onDragStart={(e) => e.dataTransfer.setData("application/x-parley-step", k)}
            >
              <Text size="sm" fw={600}>
                {name}
              </Text>
              <Text size="xs" c="dimmed">
                {about}
              </Text>
            </Menu.Item>
          );
        })}
      </Menu.Dropdown>
    </Menu>
  );
}

function ProblemList(props: { problems: Problem[]; nodes: StepNode[]; select: (id: string) => void }) {
  const { problems, nodes, select } = props;
  if (problems.length === 0) return null;
  const errors = problems.filter((p) => p.severity === "error").length;
  return (
    <Alert
      className={css.problems}
      color={errors > 0 ? "red" : "clay"}
      variant="light"
      title={
        errors > 0 ? `${errors} thing${errors === 1 ? "" : "s"} to put right before it can be saved` : "Worth a look"
      }
    >
      <ul className={css.plain}>
        {problems.map((p) => {
          const id = nodeOf(p, nodes);
          return (
            <li key={`${p.location}${p.message}`}>
              {id ? (
                <button type="button" className={css.jump} onClick={() => select(id)}>
                  {nodes.find((n) => n.id === id)?.data.step.label || id}
                </button>
              ) : (
                <span className="mono">{p.location}</span>
              )}{" "}
              {p.message}
            </li>
          );
        })}
      </ul>
    </Alert>
  );
}
