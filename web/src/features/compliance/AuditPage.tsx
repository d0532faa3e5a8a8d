import { Button, Menu, Text } from "@mantine/core";
import { IconDownload } from "@tabler/icons-react";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Page } from "../../ui/Page";
import { useAudit, useAuditState } from "./api";
import { type AuditFilters, exportHref } from "./filters";
import { Trail } from "./Trail";

/** Who did what, when and from where. */
export function AuditPage() {
  const filters = useSearch({ from: "/app/settings/audit" });
  const navigate = useNavigate({ from: "/settings/audit" });
  return (
    <Page
      title="Audit trail"
      lead="Every change, sign-in, refusal and look at a recording. Each entry seals the one before it."
      actions={<Export filters={filters} />}
    >
      <Trail
        filters={filters}
        narrow={(search) => void navigate({ search, replace: true })}
        entries={useAudit(filters)}
        state={useAuditState()}
      />
    </Page>
  );
}

function Export({ filters }: { filters: AuditFilters }) {
  const whole = Object.keys(filters).length === 0;
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button variant="default" leftSection={<IconDownload size={16} />}>
          Export
        </Button>
      </Menu.Target>
      <Menu.Dropdown maw={320}>
        <Menu.Item component="a" href={exportHref(filters, "ndjson")} download>
          {whole ? "The whole chain (NDJSON)" : "What is shown (NDJSON)"}
          <Text size="xs" c="dimmed">
            {whole
              ? "parley audit verify proves it offline"
              : "A part cannot be proved; take the filters away for that"}
          </Text>
        </Menu.Item>
        <Menu.Item component="a" href={exportHref(filters, "csv")} download>
          As a table (CSV)
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
