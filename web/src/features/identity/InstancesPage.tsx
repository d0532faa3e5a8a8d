import { Alert, Badge, Paper, Table, Text } from "@mantine/core";
import { IconServer } from "@tabler/icons-react";
import { since } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { Page } from "../../ui/Page";
import { Empty, Loaded } from "../../ui/states";
import { type Instance, useInstances } from "./superApi";

/** The processes of the installation, as the one that answers hears of them. */
export function InstancesPage() {
  const instances = useInstances();
  return (
    <Page title="Processes" lead="Who serves this installation now. It is read again every five seconds.">
      <Loaded query={instances} rows={3}>
        {(data) => (
          <>
            {data.status !== "ok" && (
              <Alert
                color={data.status === "down" ? "red" : "clay"}
                variant="light"
                role="alert"
                title={data.status === "down" ? "Something is down" : "Something is not as it should be"}
              >
                {data.reasons.join(" ")}
              </Alert>
            )}
            <Paper p="md">
              {data.items.length === 0 ? (
                <Empty
                  icon={<IconServer size={22} />}
                  title="One process does everything"
                  text="More are listed here when roles run as processes of their own."
                />
              ) : (
                <Instances items={data.items} />
              )}
            </Paper>
          </>
        )}
      </Loaded>
    </Page>
  );
}

function Instances({ items }: { items: Instance[] }) {
  return (
    <Listing minWidth={720}>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Process</Table.Th>
          <Table.Th>Role</Table.Th>
          <Table.Th>State</Table.Th>
          <Table.Th ta="right">Calls</Table.Th>
          <Table.Th>Region</Table.Th>
          <Table.Th>Running since</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {items.map((i) => (
          <Table.Tr key={i.id}>
            <Table.Td>
              <Text size="sm" className="mono" style={{ overflowWrap: "anywhere" }}>
                {i.id}
              </Text>
              <Text size="xs" c="dimmed">
                {i.version}
              </Text>
            </Table.Td>
            <Table.Td>{i.role}</Table.Td>
            <Table.Td>
              <State instance={i} />
            </Table.Td>
            <Table.Td ta="right" className="num">
              {i.calls} of {i.capacity}
            </Table.Td>
            <Table.Td>{[i.region, i.zone].filter(Boolean).join(", ") || "–"}</Table.Td>
            <Table.Td>{since(i.startedAt)}</Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Listing>
  );
}

function State({ instance: i }: { instance: Instance }) {
  if (i.breaker === "open") return <Badge color="red">does not answer</Badge>;
  if (i.breaker === "half-open") return <Badge color="clay">tried again</Badge>;
  if (i.draining) return <Badge color="clay">ending: takes nothing new</Badge>;
  return <Badge color="pine">serving</Badge>;
}
