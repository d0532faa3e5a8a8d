import { Badge, Button, Modal, Stack, Table, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconBuildingBroadcastTower, IconPlus } from "@tabler/icons-react";
import { useState } from "react";
import type { Trunk, TrunkCheck } from "../../api/types";
import { since } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { done, failed } from "../../ui/notify";
import { Page } from "../../ui/Page";
import { RowActions } from "../../ui/RowActions";
import { Section } from "../../ui/Section";
import { Empty, Loaded } from "../../ui/states";
import { useMay } from "../identity/api";
import { CallerNumbers } from "./CallerNumbers";
import { ChangeTrunk, NewTrunk } from "./TrunkForm";
import { useCheckTrunk, useDeleteTrunk, useTrunks } from "./trunkApi";

/** Carriers that calls to numbers go through, and the numbers that such calls show. */
export function TrunksPage() {
  const trunks = useTrunks();
  const [adding, dialog] = useDisclosure(false);
  const [changed, change] = useState<Trunk | null>(null);
  const add = useMay()("trunk:create") && (
    <Button leftSection={<IconPlus size={16} />} onClick={dialog.open}>
      Add a trunk
    </Button>
  );
  return (
    <Page title="Trunks" lead="Carriers and exchanges that calls to telephone numbers go through." actions={add}>
      <Section title="Carriers" lead="How each is reached, what it takes, and how it fares now.">
        <Loaded query={trunks}>
          {({ items }) =>
            items.length === 0 ? (
              <Empty
                icon={<IconBuildingBroadcastTower size={22} />}
                title="No trunks yet"
                text="Without one only phones and SIP addresses can be called. Your carrier gives you an address, a user name and a password."
                action={add}
              />
            ) : (
              <TrunkTable trunks={items} onChange={change} />
            )
          }
        </Loaded>
      </Section>
      <CallerNumbers trunks={trunks.data?.items ?? []} />
      <NewTrunk opened={adding} close={dialog.close} />
      <ChangeTrunk trunk={changed} close={() => change(null)} />
    </Page>
  );
}

function TrunkTable({ trunks, onChange }: { trunks: Trunk[]; onChange: (t: Trunk) => void }) {
  const may = useMay();
  const remove = useDeleteTrunk();
  const check = useCheckTrunk();
  const [checked, show] = useState<{ name: string; result: TrunkCheck } | null>(null);
  return (
    <>
      <Listing minWidth={720}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Name</Table.Th>
            <Table.Th>Address</Table.Th>
            <Table.Th>Takes</Table.Th>
            <Table.Th>State</Table.Th>
            <Table.Th aria-label="Actions" />
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {trunks.map((t) => (
            <Table.Tr key={t.id}>
              <Table.Td fw={600}>{t.name}</Table.Td>
              <Table.Td>
                {t.address}
                <Text size="xs" c="dimmed">
                  {[t.transport.toUpperCase(), t.proxy && `by ${t.proxy}`, t.encryptedOnly && "only encrypted"]
                    .filter(Boolean)
                    .join(", ")}
                </Text>
              </Table.Td>
              <Table.Td>
                {t.lines} at once
                <Text size="xs" c="dimmed">
                  {t.perSecond} a second
                </Text>
              </Table.Td>
              <Table.Td>
                <State trunk={t} />
              </Table.Td>
              <Table.Td>
                <RowActions
                  name={t.name}
                  change={may("trunk:update") ? () => onChange(t) : undefined}
                  remove={
                    may("trunk:delete")
                      ? {
                          text: "No more calls can go through it. Calls already made stay in the list.",
                          run: () =>
                            remove.mutate(t.id, { onSuccess: () => done("The trunk was deleted."), onError: failed }),
                        }
                      : undefined
                  }
                >
                  {may("trunk:update") && (
                    <Button
                      size="xs"
                      variant="subtle"
                      aria-label={`Check ${t.name}`}
                      loading={check.isPending && check.variables === t.id}
                      onClick={() =>
                        check.mutate(t.id, {
                          onSuccess: (result) => show({ name: t.name, result }),
                          onError: failed,
                        })
                      }
                    >
                      Check
                    </Button>
                  )}
                </RowActions>
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Listing>
      <Modal opened={checked !== null} onClose={() => show(null)} title={`Check of ${checked?.name}`}>
        {checked && <Checked result={checked.result} />}
      </Modal>
    </>
  );
}

function State({ trunk: { enabled, status } }: { trunk: Trunk }) {
  if (!enabled) return <Badge color="gray">Off</Badge>;
  const calls = status.calls === 1 ? "1 call" : `${status.calls} calls`;
  return (
    <>
      {status.state === "closed" && <Badge color="pine">Works</Badge>}
      {status.state === "half-open" && <Badge color="clay">Being tried</Badge>}
      {status.state === "open" && <Badge color="red">Out of order</Badge>}
      <Text size="xs" c="dimmed" mt={2}>
        {calls} now
        {status.until && `, tried again ${since(status.until)}`}
      </Text>
      {status.reason && (
        <Text size="xs" maw={320}>
          {status.reason}
        </Text>
      )}
    </>
  );
}

const verdicts: Record<TrunkCheck["verdict"], { color: string; label: string }> = {
  ready: { color: "pine", label: "It answers" },
  credentials: { color: "red", label: "Not signed in" },
  refused: { color: "red", label: "It refuses us" },
  overloaded: { color: "clay", label: "It takes no calls now" },
  unreachable: { color: "red", label: "No answer" },
};

function Checked({ result }: { result: TrunkCheck }) {
  const rows: [string, string][] = [
    ["Answer", result.status ? `${result.status} ${result.reason}` : "none"],
    ["From", result.remote],
    ["Server", result.software],
    ["Took", result.status ? `${result.tookMs} ms` : ""],
  ];
  return (
    <Stack>
      <Badge color={verdicts[result.verdict].color}>{verdicts[result.verdict].label}</Badge>
      <Text size="sm">{result.text}</Text>
      <Table>
        <Table.Tbody>
          {rows
            .filter(([, v]) => v)
            .map(([k, v]) => (
              <Table.Tr key={k}>
                <Table.Th w={100}>{k}</Table.Th>
                <Table.Td>{v}</Table.Td>
              </Table.Tr>
            ))}
        </Table.Tbody>
      </Table>
    </Stack>
  );
}
