import { Button, Menu } from "@mantine/core";
import { IconDownload } from "@tabler/icons-react";
import { client, unwrap } from "../../api/client";
import type { Campaign } from "../../api/types";
import { slugify } from "../../ui/format";
import { failed } from "../../ui/notify";
import { save } from "../../ui/save";
import { useChange } from "../identity/peopleApi";

type Kind = { rows: "leads" | "attempts"; format: "csv" | "xlsx" };

const useReport = (id: string) =>
  useChange([], async (query: Kind) => {
    const of = { params: { path: { id }, query }, parseAs: "blob" } as const;
    return (await unwrap(client.GET("/api/v1/campaigns/{id}/report/file", of))) as unknown as Blob;
  });

const kinds: { title: string; rows: Kind["rows"] }[] = [
  { title: "A line for each person", rows: "leads" },
  { title: "A line for each attempt", rows: "attempts" },
];

/** Downloads what came of a campaign. */
export function ReportMenu({ campaign: c }: { campaign: Campaign }) {
  const report = useReport(c.id);
  const take = (kind: Kind) =>
    report.mutate(kind, {
      onSuccess: (file) =>
        save(file, `${slugify(c.name) || "campaign"}-${kind.rows === "leads" ? "people" : "attempts"}.${kind.format}`),
      onError: failed,
    });
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button variant="default" leftSection={<IconDownload size={16} />} loading={report.isPending}>
          Report
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {kinds.map(({ title, rows }) => [
          <Menu.Label key={rows}>{title}</Menu.Label>,
          <Menu.Item key={`${rows} csv`} aria-label={`${title}, CSV`} onClick={() => take({ rows, format: "csv" })}>
            CSV
          </Menu.Item>,
          <Menu.Item key={`${rows} xlsx`} aria-label={`${title}, Excel`} onClick={() => take({ rows, format: "xlsx" })}>
            Excel
          </Menu.Item>,
        ])}
      </Menu.Dropdown>
    </Menu>
  );
}
