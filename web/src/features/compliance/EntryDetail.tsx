import { Table, Text } from "@mantine/core";
import type { AuditEntry } from "../../api/types";
import { difference } from "../../ui/diff";
import { Listing } from "../../ui/Listing";
import css from "./compliance.module.css";

/** An audit entry in full: what changed, and where it came from. */
export function EntryDetail({ entry: e, names }: { entry: AuditEntry; names: Map<string, string> }) {
  const changes = difference(e.before, e.after);
  const facts: [string, string][] = [
    ["Number", String(e.seq)],
    ["Time", new Date(e.at).toISOString()],
    ["Who", [names.get(e.actorId), e.actorKind, e.actorId].filter(Boolean).join(" · ")],
    ["Acting as them", e.impersonatorId],
    ["API token", e.tokenId],
    ["Thing", `${e.kind} ${e.objectId}`],
    ["Reason", e.reason],
    ["Address", e.ip],
    ["Program", e.userAgent],
    ["Operation", e.operation],
    ["Request", e.requestId],
    ["Hash", e.hash],
  ];
  return (
    <div className={css.detail}>
      {changes.length > 0 ? (
        <Listing minWidth={380} verticalSpacing={6} highlightOnHover={false} aria-label="What changed">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Field</Table.Th>
              <Table.Th>Before</Table.Th>
              <Table.Th>After</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {changes.map((c) => (
              <Table.Tr key={c.path}>
                <Table.Td className="mono">{c.path || "value"}</Table.Td>
                <Table.Td className={css.value}>{c.before === null ? "–" : <del>{c.before}</del>}</Table.Td>
                <Table.Td className={css.value}>{c.after === null ? "–" : <ins>{c.after}</ins>}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Listing>
      ) : (
        <Text size="sm" c="dimmed">
          Nothing was changed by it.
        </Text>
      )}
      <dl className={css.facts}>
        {facts
          .filter(([, v]) => v)
          .map(([k, v]) => (
            <div key={k}>
              <dt>{k}</dt>
              <dd className={k === "Who" || k === "Reason" || k === "Program" ? undefined : "mono"}>{v}</dd>
            </div>
          ))}
      </dl>
    </div>
  );
}
