import { Badge, Button, Group, Modal, Table, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import type { DoNotCallRegister } from "../../api/types";
import { count, day } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { done } from "../../ui/notify";
import { Section } from "../../ui/Section";
import { Loaded } from "../../ui/states";
import { useMay } from "../identity/api";
import { useForgetRegister, useImportRegister, useRegisters } from "./doNotCallApi";
import { FileForm } from "./FileForm";
import { ReasonWindow } from "./ReasonWindow";

type Asking = { what: "file" | "forget"; register: DoNotCallRegister } | null;

/** The public registers that rules ask for, with their age. */
export function Registers() {
  const registers = useRegisters();
  const may = useMay()("donotcall:update");
  const [asking, ask] = useState<Asking>(null);
  const forget = useForgetRegister();
  const close = () => ask(null);
  return (
    <Section
      title="Public registers"
      lead="Some countries keep lists of people who want no sales calls. Get the file from who keeps it, and bring it here; only a fingerprint of each number is stored."
    >
      <Loaded query={registers} rows={3}>
        {(items) => (
          <Listing minWidth={680}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Register</Table.Th>
                <Table.Th>Here</Table.Th>
                <Table.Th ta="right">Numbers</Table.Th>
                <Table.Th aria-label="Actions" />
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {items.map((r) => (
                <Table.Tr key={r.name}>
                  <Table.Td maw={380}>
                    <Text size="sm" fw={600}>
                      {r.name} ({r.countries.join(", ")})
                    </Text>
                    <Text size="xs" c="dimmed">
                      {r.says} {r.cite}
                    </Text>
                  </Table.Td>
                  <Table.Td>
                    <Age register={r} />
                  </Table.Td>
                  <Table.Td ta="right" className="num">
                    {r.version ? r.version.numbers.toLocaleString("en-GB") : "–"}
                  </Table.Td>
                  <Table.Td ta="right">
                    {may && (
                      <Group gap={4} justify="flex-end" wrap="nowrap">
                        <Button
                          size="xs"
                          variant="subtle"
                          aria-label={`Bring a file of ${r.name}`}
                          onClick={() => ask({ what: "file", register: r })}
                        >
                          {r.version ? "Newer file" : "Bring a file"}
                        </Button>
                        {r.version && (
                          <Button
                            size="xs"
                            variant="subtle"
                            color="red"
                            aria-label={`Forget ${r.name}`}
                            onClick={() => ask({ what: "forget", register: r })}
                          >
                            Forget
                          </Button>
                        )}
                      </Group>
                    )}
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Listing>
        )}
      </Loaded>
      <Modal opened={asking?.what === "file"} onClose={close} title={`A file of ${asking?.register.name}`}>
        {asking?.what === "file" && <RegisterFile register={asking.register} close={close} />}
      </Modal>
      <ReasonWindow
        opened={asking?.what === "forget"}
        close={close}
        title={`Forget ${asking?.register.name}?`}
        text="It is asked no more. Campaigns whose rules need it then say that it is missing."
        action="Forget it"
        run={async (reason) => {
          await forget.mutateAsync({ name: asking?.register.name ?? "", reason });
          done("The register is asked no more.");
        }}
      />
    </Section>
  );
}

function Age({ register: r }: { register: DoNotCallRegister }) {
  if (!r.version) return <Badge color="gray">Not here</Badge>;
  return (
    <>
      <Badge color={r.tooOld ? "red" : "pine"}>{r.tooOld ? "Too old" : "In use"}</Badge>
      <Text size="xs" c="dimmed" mt={4}>
        of {day(r.version.asOf)}
        {r.maxDays > 0 && `; may be ${r.maxDays} days old`}
      </Text>
    </>
  );
}

function RegisterFile({ register, close }: { register: DoNotCallRegister; close: () => void }) {
  const replace = useImportRegister();
  return (
    <FileForm
      text="A CSV file or a text with a number on each line. It replaces the one before."
      begin={{ asOf: new Date().toISOString().slice(0, 10) }}
      action="Use it"
      close={close}
      send={async (file, { asOf }) => {
        const at = asOf ? `${asOf}T00:00:00Z` : "";
        const r = await replace.mutateAsync({ name: register.name, file, asOf: at });
        return `${count(r.numbers, "number", "numbers")} read. The register is asked from now on.`;
      }}
    >
      {(form) => (
        <TextInput
          type="date"
          label="Made on"
          description="The day on which its publisher made it: its age is counted from there"
          {...form.getInputProps("asOf")}
        />
      )}
    </FileForm>
  );
}
