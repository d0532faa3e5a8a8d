import { Tooltip } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { Handle, type NodeProps, Position } from "@xyflow/react";
import css from "./agent.module.css";
import { exits, type StepNode } from "./graph";
import { steps } from "./steps";

/** One step on the canvas: its kind, what it says, and a handle for each way out. */
export function StepCard({ id, data, selected }: NodeProps<StepNode>) {
  const { icon: Icon, name } = steps[data.kind];
  const ways = exits(data.kind, data.step);
  const bad = data.problems?.some((p) => p.severity === "error");
  const about =
    data.step.text ||
    (data.step.topic ? `Tells: ${data.step.topic}` : "") ||
    (data.step.department ? `To ${data.step.department}` : "");
  return (
    <div className={css.step} data-kind={data.kind} data-selected={selected} data-bad={bad}>
      {data.kind !== "start" && <Handle type="target" position={Position.Left} className={css.entry} />}
      <div className={css.stepHead}>
        <Icon size={17} stroke={1.8} aria-hidden />
        <b>{data.step.label || (id === data.kind ? name : id)}</b>
        {data.problems && data.problems.length > 0 && (
          <Tooltip label={data.problems.map((p) => p.message).join("; ")} multiline maw={280}>
            <IconAlertTriangle
              size={17}
              color={bad ? "var(--mantine-color-red-6)" : "var(--mantine-color-orange-6)"}
              aria-label="Has problems"
            />
          </Tooltip>
        )}
      </div>
      {about && <div className={css.stepText}>{about}</div>}
      {ways.length > 1 ? (
        <ul className={css.exits}>
          {ways.map((w) => (
            <li key={w.id}>
              {w.label}
              <Handle type="source" id={w.id} position={Position.Right} />
            </li>
          ))}
        </ul>
      ) : (
        ways.map((w) => <Handle key={w.id} type="source" id={w.id} position={Position.Right} className={css.entry} />)
      )}
      {data.kind === "ask" && (
        <Handle type="source" id="next" position={Position.Bottom} className={css.spare} isConnectable={false} />
      )}
    </div>
  );
}
